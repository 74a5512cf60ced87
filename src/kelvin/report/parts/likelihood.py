"""The variational bound of hot runs: its parts in a table, and where along the process they come from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kelvin.metrics.agreement import kendall_tau
from kelvin.metrics.measures import BITS, MEASURES
from kelvin.report.kit.measured import columns as columns_of
from kelvin.report.kit.style import WIDTH, Figure, chart, finish, looks, plain, ticks
from kelvin.report.kit.table import Column, Row, Table, number
from kelvin.report.kit.words import named, seeds
from kelvin.report.results import Results, Run

PARTS = [measure.key for measure in MEASURES.values() if measure.section == BITS]
NAME = "likelihood"


def bounded(runs: Sequence[Run]) -> list[Run]:
    """Runs whose bound was computed: hot processes that start from a standard normal."""
    return [run for run in runs if run.record.get("bits_per_dim") is not None]


def table(results: Results) -> Table | None:
    """One row per run with a bound; None without any."""
    rows: list[Row] = []
    for run in bounded(list(results.runs.values())):
        rows.append({"run": run.name, "title": run.title, "n": run.record["bits_n"],
                     "grey_levels": run.record["grey_levels"],
                     **{key: run.mean(key) for key in (*PARTS, "bits_per_dim_se")},
                     "fmd": run.mean("fmd")})
    if not rows:
        return None
    columns = [Column("run", lambda r: r["title"]), *columns_of("likelihood")]
    level = np.log2(rows[0]["grey_levels"])
    return Table(NAME, "Variational bound on the negative log-likelihood of "
                 f"{rows[0]['n']} test images, in bits per dimension with {rows[0]['grey_levels']} grey "
                 f"levels ({number(float(level))} bits are what equally likely levels cost). L_0: the "
                 "last "
                 "step, to grey levels; L_1 … L_{T−1}: the steps between; L_T: what is left of the image "
                 "at T. ±: standard error over images. Bold: lowest. A low bound is no promise of good "
                 "samples: compare it with FMD.", columns, rows)


def figure(name: str, runs: Sequence[Run]) -> Figure | None:
    """Bits per dimension and unit of t/T over log-SNR; None without a bound."""
    runs = [run for run in bounded(runs) if run.first.details.get("bound")]
    if not runs:
        return None
    canvas, axes = chart(WIDTH * 0.75, 3.6)
    for run, look in zip(runs, looks(runs), strict=True):
        rows = [row for row in run.first.details["bound"] if row["t"] > 1]
        x = np.array([row["t"] for row in rows]) / run.steps
        bits = run.steps * np.array([row["bits"] for row in rows])
        axes.plot(x, np.maximum(bits, 1e-6), label=plain(run.title),
                  **look | {"markevery": max(1, len(x) // 8)})
    axes.set(xlabel="t / T (logarithmic)", ylabel="bits per dimension\nper unit of t / T", xscale="log",
             yscale="log")
    ticks(axes.yaxis)
    return finish(canvas, f"{name}-bound", "Where the bits of the variational bound are spent: L_t per "
                  "unit of t/T, so that schedules of different length can be compared; the integral over "
                  "t/T is the bound's middle part. Both axes are logarithmic.")


def findings(runs: Sequence[Run], count: int) -> list[str]:
    """Sentences: the lowest and highest bound, and whether the order is that of FMD."""
    runs = bounded(runs)
    if not runs:
        return []
    by = sorted(runs, key=lambda run: run.mean("bits_per_dim"))
    low, high = by[0], by[-1]

    def bits(run: Run) -> str:
        return f"{number(run.mean('bits_per_dim'))} ± {number(run.mean('bits_per_dim_se'), 2)}"

    if len(runs) == 1:
        return [f"Variational bound of {named(low.title)}: {bits(low)} bits per dimension."]
    order = ""
    if len(runs) > 2:  # two runs are in one order or in the other
        tau = kendall_tau(*({run.name: run.mean(key) for run in runs}
                            for key in ("bits_per_dim", "fmd"))).tau
        order = f"; Kendall's τ between its order of {len(runs)} runs and that of FMD is {number(tau, 2)}"
    return [f"Variational bound {seeds(count)}, bits per dimension: lowest {bits(low)} "
            f"({named(low.title)}), highest {bits(high)} ({named(high.title)}){order}."]
