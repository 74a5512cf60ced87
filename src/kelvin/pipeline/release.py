"""`kelvin publish`: weights/, the README's table, the tables of docs/metrics.md, the results of
docs/hot-and-cold.md."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kelvin.artifacts.evaluations import Bias, read_calibration
from kelvin.artifacts.folders import METRICS, RECORDED, REPORTS
from kelvin.artifacts.models import ModelFolder
from kelvin.artifacts.reading import read_json
from kelvin.common.errors import KelvinError
from kelvin.common.files import write_text
from kelvin.config.resolve import Params, load
from kelvin.metrics.measures import MEASURES, Place
from kelvin.weights import publish

VERDICT = ("digits-hot-cold/tuning", "digits-hot-cold/verdict", "digits-hot-cold/tyings",
           "mnist-hot-cold")  # under reports/reference


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
    """The README's table of results: the best run of each kind among the calibrating rows, best first."""
    rows = [(r["fmd_normalised"], f"{r['title']} *(real or trivial images)*", r, "-")
            for r in calibration["rows"].values()]
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


def verdict_results(root: Path = Path(".")) -> str:
    """docs/hot-and-cold.md's results: sentences and tables of its records."""
    tuning, verdict, tyings, mnist = (root / RECORDED / folder for folder in VERDICT)
    both, on_mnist = sentences(tyings), sentences(mnist)
    rates = next(s for s in sentences(tuning) if s.startswith("Learning rate"))
    wins, tested, undecided, *rest = sentences(verdict)
    prior = next(s for s in rest if s.startswith("The prior's part"))
    flagged = [s for s in rest if "flagged as a copier" in s or "below the floor" in s]
    return "\n\n".join([
        f"[`hot-cold-tuning`]({link(VERDICT[0])}). {rates}",
        rows_of(tuning / "tables/hot-and-cold-declared.md"),
        f"[`hot-cold-digits`]({link(VERDICT[1])}). {wins}", tested, undecided,
        rows_of(verdict / "tables/hot-and-cold-contrasts.md"), gates_of(rest),
        rows_of(verdict / "tables/hot-and-cold-gates.md"), prior,
        rows_of(verdict / "tables/hot-and-cold-starts.md"), *flagged,
        f"[`hot-cold-tyings`]({link(VERDICT[2])}). {both[0]}", *both[1:3],
        rows_of(tyings / "tables/hot-and-cold-contrasts.md", "best: "),
        f"[`hot-cold-mnist`]({link(VERDICT[3])}). {on_mnist[0]}", *on_mnist[1:3],
        rows_of(mnist / "tables/hot-and-cold-contrasts.md"), gates_of(on_mnist),
        rows_of(mnist / "tables/hot-and-cold-gates.md")])


def gates_of(findings: Sequence[str]) -> str:
    return next(s for s in findings if s.startswith(("Gates: ", "Every run passes")))


def sentences(record: Path) -> list[str]:
    """Those of the study on hot and cold, of a record's page."""
    return read_json(record / "tables" / "findings.json", "kelvin record")["hot-and-cold"]


def link(folder: str) -> str:
    """To the page of a record, from docs/."""
    return f"../{(RECORDED / folder).as_posix()}/index.html"


def rows_of(path: Path, part: str = "") -> str:
    """A table of Markdown without its caption; of its rows those that hold `part`."""
    head, rule, *rows = [line for line in path.read_text(encoding="utf-8").splitlines()
                         if line.startswith("|")]
    return "\n".join([head, rule, *(row for row in rows if part in row)])


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
    write_between(Path("docs/metrics.md"), "calibration", calibration_table(calibration))
    write_between(Path("docs/metrics.md"), "bias", bias_table(calibration["bias"]))
    print("docs/metrics.md: tables of calibration")
    write_between(Path("docs/hot-and-cold.md"), "results", verdict_results())
    print("docs/hot-and-cold.md: results of its records")


if __name__ == "__main__":
    try:
        main()
    except KelvinError as error:
        sys.exit(f"kelvin: {error}")
