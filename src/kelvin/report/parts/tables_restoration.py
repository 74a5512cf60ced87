"""Tables of restoration: degraded real images and what they are brought back to. No samples."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from kelvin.metrics.measures import MEASURES, PSNR_CAP
from kelvin.report.kit.measured import columns as columns_of
from kelvin.report.kit.table import Column, Row, Table
from kelvin.report.kit.titles import sampler_words
from kelvin.report.parts.columns import RUN, value
from kelvin.report.results import Results, Run

DISTORTIONS = [measure.key for measure in MEASURES.within("restoration")]
# distances of restored images
FRECHET = [measure.key for measure in MEASURES.within("restored") if measure.key not in DISTORTIONS]
METHOD = Column("method", lambda row: sampler_words(row["method"]))
UNTOUCHED = "untouched"  # x_t itself


def iterated(run: Run) -> str | None:
    """The sampler that restores a run's degraded images: its first one, or the first that does."""
    methods = [m for m in run.record["restoration"] if m in run.record["samplers"]]
    return run.record["sampler"] if run.record["sampler"] in methods else next(iter(methods), None)


def against_least_squares(runs: Iterable[Run]) -> list[str]:
    """A sentence: in how many runs linear least squares is nearer than every method of the network."""
    runs = [run for run in runs if run.trained and "linear" in run.record["restoration"]]
    if not runs:
        return []
    nearer = dict.fromkeys(("ssim", "rmse"), 0)
    for run in runs:
        own = [m for m in run.record["restoration"] if m == "one-shot" or m in run.record["samplers"]]
        for key, best in (("ssim", max), ("rmse", min)):
            values = [run.restoration_mean(m, key) for m in own]
            linear = run.restoration_mean("linear", key)
            nearer[key] += best(linear, *values) == linear and linear not in values
    return [f"Linear least squares restores test images nearer than every method of the network in "
            f"{nearer['ssim']} of {len(runs)} runs by SSIM and in {nearer['rmse']} by RMSE (means over "
            "t)."]


def methods(run: Run) -> dict[str, str]:
    """{one-shot, linear, iterated: its name in the record} of the methods that a run has."""
    names = {"one-shot": "one-shot", "linear": "linear", "iterated": iterated(run)}
    return {method: name for method, name in names.items() if name in run.record["restoration"]}


def restoration_rows(results: Results) -> list[Row]:
    """SSIM, PSNR, RMSE and FMD (restoration) by run, method and t; means over replicates."""
    rows: list[Row] = []
    for run in results.runs.values():
        if not run.trained:
            continue
        groups = zip(*(r.details["restoration"] for r in run.replicates), strict=True)
        for group in groups:
            row: Row = {"run": run.name, "title": run.title, "method": group[0]["method"],
                        "t": group[0]["t"], "t_over_T": group[0]["t"] / run.steps,
                        "n": group[0]["n"]}
            row |= {key: float(np.mean([g[key] for g in group])) for m in DISTORTIONS
                    for key in (m, f"{m}_sd", f"{m}_se")}
            row |= {f"{key}_restoration": float(np.mean([g[key] for g in group])) for key in FRECHET}
            rows.append(row)
    return rows


def restoration_table(over_t: list[Row]) -> Table:
    """Means over t. Standard errors are added as if all times were correlated: an upper bound."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in over_t:
        groups.setdefault((row["run"], row["method"]), []).append(row)
    rows = [{"run": run, "title": group[0]["title"], "method": method, "n": group[0]["n"],
             **{key: float(np.mean([r[key] for r in group]))
                for m in DISTORTIONS for key in (m, f"{m}_se")},
             **{key: float(np.mean([r[key] for r in group]))
                for key in (f"{f}_restoration" for f in FRECHET)},
             "capped": any(r["psnr"] >= PSNR_CAP * (1 - 1e-6) for r in group)}
            for (run, method), group in groups.items()]
    columns = [RUN, METHOD,
               *(capped(c) if c.key == "psnr" else c for c in columns_of("restoration")),
               value("fmd_restoration", "FMD (restoration)", "min")]
    return Table("restoration", f"Restoration of {rows[0]['n']} real test images, mean over evenly "
                 "spaced t. ±: standard error over images (an upper bound: the mean of those at each t). "
                 "FMD (restoration): distance of the restored images' distribution from real images', at "
                 "their own number; it never stands beside the FMD of samples. Untouched: x_t itself; "
                 "linear: linear least squares (8-bit: of x_t as a file holds it). Only methods of one "
                 "run are comparable, since runs degrade differently. Bold: best of a run.",
                 columns, rows, lambda r: r["method"] != UNTOUCHED, "run",
                 notes=[f"Capped: equal images, whose PSNR is counted as {PSNR_CAP:.1f} dB."]
                 if any(r["capped"] for r in rows) else [])


def capped(column: Column) -> Column:
    """The column of PSNR with a mark on rows that hold equal images."""
    return replace(column, show=lambda r: column.show(r) + " (capped)" * r["capped"])


def restoration_over_t_table(over_t: list[Row]) -> Table:
    columns = [RUN, value("t"), METHOD, *(replace(c, best="") for c in columns_of("restoration")),
               value("fmd_restoration", "FMD (restoration)")]
    return Table("restoration_over_t", "Restoration over t. ±: standard error over images; the .csv "
                 "also has the standard deviation.", columns, over_t)
