"""`kelvin publish`: weights/, the README's table, the tables of docs/metrics.md, the results of
docs/hot-and-cold.md."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kelvin.artifacts.evaluations import Bias, read_calibration
from kelvin.artifacts.folders import METRICS, REPORTS
from kelvin.artifacts.models import ModelFolder
from kelvin.artifacts.reading import read_json
from kelvin.common.errors import KelvinError
from kelvin.common.files import write_text
from kelvin.config.resolve import Params, load
from kelvin.config.schema import MetricsConfig
from kelvin.metrics.asked import wilson_interval
from kelvin.metrics.authenticity import copying_score
from kelvin.metrics.fd_infinity import ROWS_PER_DIMENSION
from kelvin.metrics.intervals import rows_needed
from kelvin.metrics.manifold import expected_coverage
from kelvin.metrics.measures import MEASURES, Place
from kelvin.pipeline import hot_and_cold
from kelvin.weights import publish


def best_runs(metrics: Mapping[str, Any], kinds: Sequence[str] = ("hot", "cold")) -> dict[str, str]:
    """Kind -> the run of lowest normalised FMD that was trained here and is ranked."""
    best = {}
    for kind in kinds:
        runs = [name for name, record in metrics.items()
                if record["family"] == kind and not record["copier"] and not record.get("apart")]
        if runs:
            best[kind] = min(runs, key=lambda name: metrics[name]["fmd_normalised"])
    return best


def readme_table(params: Params, metrics: dict, calibration: Mapping[str, Any]) -> str:
    """The README's table of results: the best run of each kind among real and trivial images, best
    first."""
    rows = [(r["fmd_normalised"], f"{r['title']} *(real or trivial images)*", r, "-")
            for name, r in calibration["rows"].items() if name != "copies"]
    rows += [(metrics[name]["fmd_normalised"], f"{kind}: `{name}`, {params.run(name).title}",
              metrics[name], metrics[name]["nfe"])
             for kind, name in best_runs(metrics, ("hot", "warm", "cold")).items()]
    columns = MEASURES.columns("readme")
    titles = [(s.title or m.title) + " (95 % interval)" * s.spread for m, s in columns]
    lines = [f"| run | evaluations | {' | '.join(titles)} |", "|---" + "|--:" * (1 + len(columns)) + "|"]
    for _, title, record, nfe in sorted(rows, key=lambda row: row[0]):
        cells = [readme_cell(record, m.keys if s.spread else (m.key,), s) for m, s in columns]
        lines.append(f"| {title} | {nfe} | {' | '.join(cells)} |")
    return "\n".join(lines)


def readme_cell(record: dict, keys: tuple[str, ...], place: Place) -> str:
    """A value, with its interval in brackets where the README shows one."""
    value, *interval = (f"{record[key]:.{place.decimals}f}" for key in keys)
    return f"{value} ({' to '.join(interval)})" if interval else value


def numbers_table(calibration: Mapping[str, Any], config: MetricsConfig) -> str:
    """docs/metrics.md's table of how many images measures take, and what follows from it."""
    n, test, dim = (calibration["n"], calibration["test_n"],
                    calibration["extractors"]["classifier"]["dim"])
    classes = len(next(iter(calibration["rows"].values()))["histogram"])
    low, high = wilson_interval(n // 2, n, config.confidence)
    c_t, _ = copying_score(np.ones(n), np.arange(test) + 2.0)
    small = f"{calibration['small_n']}, {calibration['bias']['study_a']['against']}"
    rows = {
        "samples of a run, `n`": n,
        "test images, `test_n`": f"{test:,}",
        "the rest of them, `test_n` − `n`, for MMD, precision, recall, density and coverage": test - n,
        "reference images (training and validation part), `reference_n`":
            f"{calibration['reference_n']:,}",
        "study A's protocol: samples, and first test images as their reference": small,
        "features of the classifier, d": dim,
        "samples that a debiased FMD needs": rows_needed(dim),
        "images that FD-infinity needs": 2 * ROWS_PER_DIMENSION * dim,
        "smallest p of MMD": f"1/{1 + config.mmd.permutations}",
        "mean coverage of independent real images":
            f"{expected_coverage(test - n, n, config.neighbours):.3f}",
        "nats by which the class entropy is too low": f"{(classes - 1) / (2 * n):.3f}",
        "largest standard error of a share of the samples": f"{0.5 / n**0.5:.3f}",
        "largest width of the interval of such a share": f"{high - low:.3f}",
        "test images below the quantile of distances that makes a copy":
            f"{config.copy_quantile * test:.1f}",
        "C_T of copies, whose distances are all 0": f"{c_t:.1f}"}
    return "\n".join(["| what | here |", "|---|--:|", *(f"| {k} | {v} |" for k, v in rows.items())])


def calibration_table(calibration: Mapping[str, Any]) -> str:
    """docs/metrics.md's table of what every measure says of real and of trivial images."""
    rows = calibration["rows"].values()
    lines = ["| measure | " + " | ".join(row["title"] for row in rows) + " |",
             "|---|" + "--:|" * len(rows)]
    for key in (measure.key for measure, _ in MEASURES.columns("calibration")):
        values = ("n/a" if row.get(key) is None else f"{row[key]:.3g}" for row in rows)
        lines.append(f"| `{key}` | " + " | ".join(values) + " |")
    return "\n".join(lines)


def bias_table(bias: Bias) -> str:
    """docs/metrics.md's table of held-out images: FMD at every n, by both studies' rules, at infinity."""
    rules = [("all of the reference", row) for row in bias["over_n"]]
    rules += [("study A's rule", bias["study_a"]), ("study D's rule", bias["study_d"])]
    lines = ["| held-out images | n | against | FMD, mean of draws | standard deviation |",
             "|---|--:|--:|--:|--:|"]
    for rule, row in rules:
        spread = "-" if row["fmd_sd"] is None else f"{row['fmd_sd']:.3g}"
        lines.append(f"| {rule} | {row['n']} | {row['against']} | {row['fmd']:.3g} | {spread} |")
    end = bias["fd_infinity"]
    if end["fmd"] is not None:
        lines.append(f"| FD-infinity | ∞ | {bias['over_n'][0]['against']} | {end['fmd']:.3g} "
                     f"({end['low']:.3g} to {end['high']:.3g}) | - |")
    return "\n".join(lines)


def write_between(path: Path, mark: str, text: str) -> None:
    """Replace what stands between <!-- mark --> and <!-- /mark --> in a file."""
    whole = path.read_text(encoding="utf-8")
    pattern = rf"(<!-- {mark} -->\n).*?(<!-- /{mark} -->)"
    new, n = re.subn(pattern, lambda m: f"{m[1]}{text}\n{m[2]}", whole, flags=re.S)
    if n != 1:
        raise KelvinError(f"{path} has no place marked <!-- {mark} --> ... <!-- /{mark} -->")
    write_text(path, new)


def publish_best(params: Params, metrics: Mapping[str, Any], project: Path, name: str) -> None:
    """The best hot and the best cold run's first training, each with the sampler that it was measured by.

    project: holds the trainings; name: of the file below weights/, without its end, {} the kind.
    """
    for kind, run in best_runs(metrics).items():
        trained = ModelFolder(project / params.folders.run(run, params.house.replicates[0]).model)
        path = Path("weights") / f"{name.format(kind)}.safetensors"
        path.parent.mkdir(exist_ok=True)
        publish(trained.ema, params.sampler(metrics[run]["sampler"]),
                {"run": run, "dataset": params.house.dataset, "scale": params.house.scale,
                 "fmd_normalised": metrics[run]["fmd_normalised"]}, path)
        print(f"{path}: {run}, {path.stat().st_size:,} bytes")


def main() -> None:
    params = load()
    metrics = {name: record for name, record in read_json(REPORTS / METRICS, "report").items()
               if not record.get("classes")}  # runs of some classes have a scale of their own
    calibration = read_calibration(params.folders.calibration)
    publish_best(params, metrics, Path("."), "{}")
    write_between(Path("README.md"), "results", readme_table(params, metrics, calibration))
    print("README.md: table of results")
    write_between(Path("docs/metrics.md"), "numbers", numbers_table(calibration, params.metrics))
    write_between(Path("docs/metrics.md"), "calibration", calibration_table(calibration))
    write_between(Path("docs/metrics.md"), "bias", bias_table(calibration["bias"]))
    print("docs/metrics.md: numbers, tables of calibration")
    write_between(Path("docs/hot-and-cold.md"), "results", hot_and_cold.results())
    print("docs/hot-and-cold.md: results of its records")


if __name__ == "__main__":
    try:
        main()
    except KelvinError as error:
        sys.exit(f"kelvin: {error}")
