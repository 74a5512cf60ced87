"""The results in docs/hot-and-cold.md, computed from its records."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from kelvin.artifacts.folders import RECORDED
from kelvin.artifacts.reading import read_json
from kelvin.metrics.gates import BUDGET, RESTORATION, SEEDS, SEVERITY
from kelvin.report.kit.words import listed
from kelvin.report.parts.arms import TIED

TUNING = "digits-hot-cold/tuning"  # under reports/reference
JUDGED = ("mnist-hot-cold", "digits-hot-cold/verdict", "digits-hot-cold/tyings")
TARGETS = "digits-hot-cold/targets"
EVALUATIONS = "50"
STUDY = "hot-and-cold"
COLD = "blur"  # the degradation that the sentences are of


def results(root: Path = Path(".")) -> str:
    """The table of every record's contrasts, and what its pages say of tuning, samplers, restoration and
    prior."""
    rates = next(s for s in sentences(root / RECORDED / TUNING) if s.startswith("Learning rate"))
    verdict = sentences(root / RECORDED / JUDGED[1])
    prior = next(s for s in verdict if s.startswith("The prior's part"))
    copiers = [s for s in verdict if "flagged as a copier" in s]
    return "\n\n".join([
        table(root), by_one_sampler(root), restoration(root / RECORDED / JUDGED[0]),
        f"Digits. {prior.partition(' That is what')[0]}", targets(root / RECORDED / TARGETS), *copiers,
        f"[Tuning]({link(TUNING)}). {rates}"])


def table(root: Path) -> str:
    """One row a degradation of a record: its best sampler's ratio under each tying, missed gates."""
    lines = ["| images | updates | seeds | degradation | "
             + " | ".join(f"tied by {words} [95 % interval]" for words in TIED.values())
             + " | missed gates | verdict |", "|---|--:|--:|---|" + "--:|" * len(TIED) + "---|---|"]
    for folder in JUDGED:
        record = root / RECORDED / folder
        gates = rows(record, f"{STUDY}-gates")
        (updates,) = {row["updates"] for row in gates}
        candidates: dict[str, list[dict[str, str]]] = {}
        for row in rows(record, f"{STUDY}-contrasts"):
            if row["sampler"].startswith("best") and row["nfe"] == EVALUATIONS:
                candidates.setdefault(row["candidate"], []).append(row)
        for run, contrasts in candidates.items():
            ratios = {row["tie"]: ratio(row) for row in contrasts}
            lines.append("| " + " | ".join([
                f"[{images(record)}]({link(folder)})", f"{int(updates):,}", contrasts[0]["seeds"],
                contrasts[0]["title"].partition(" against ")[0],
                *(ratios.get(tie, "not trained") for tie in TIED),
                ", ".join(missed(run, gates)) or "none",
                listed(list(dict.fromkeys(row["outcome"] for row in contrasts)))]) + " |")
    return "\n".join(lines)


def missed(run: str, gates: Sequence[dict[str, str]]) -> list[str]:
    """The gates that a run misses under any tying."""
    own = [row for row in gates if row["run"].partition("_")[0] == run]
    return [gate for gate in (RESTORATION, BUDGET, SEVERITY, SEEDS)
            if any(row[gate] == "missed" for row in own)]


def ratio(row: dict[str, str]) -> str:
    low, high = (float(row[f"ratio_{end}"]) for end in ("low", "high"))
    return f"{float(row['ratio']):.2f} [{low:.2f}, {high:.2f}]"


def by_one_sampler(root: Path) -> str:
    """Blur against noise by Algorithm 2 for both."""
    parts = []
    for folder in JUDGED[:2]:
        record = root / RECORDED / folder
        (row,) = [row for row in rows(record, f"{STUDY}-contrasts") if row["sampler"] == "Algorithm 2"
                  and row["nfe"] == EVALUATIONS and row["title"].startswith(f"{COLD} against")]
        parts.append(f"{ratio(row)} ({images(record)})")
    return f"By Algorithm 2 for both, the FMD of {COLD} over that of noise is {listed(parts)}."


def restoration(record: Path) -> str:
    """One evaluation of blur's network against least squares, RMSE over t."""
    runs = [row for row in rows(record, "restoration_over_t") if row["run"].startswith(f"tied-{COLD}_")]
    network, linear = ({int(row["t"]): float(row["rmse"]) for row in runs if row["method"] == method}
                       for method in ("one-shot", "linear-8-bit"))
    parts = [f"{network[t]:.2g} and {linear[t]:.2g} at t = {t}" for t in sorted(network)]
    return (f"{images(record)}: RMSE of one restoration of {COLD}, by the network and by least squares "
            f"on the 8-bit input: {listed(parts)}, of T = {max(network)}.")


def targets(record: Path) -> str:
    """What other targets than x0 do to FMD, and to one evaluation of blur's network at both ends."""
    by_target: dict[str, list[float]] = {}
    for row in rows(record, f"{STUDY}-targets"):
        if row["ratio"]:
            by_target.setdefault(row["target"], []).append(float(row["ratio"]))
    (updates,) = {row["updates"] for row in rows(record, f"{STUDY}-gates")}
    parts = [f"{target} gives {min(ratios):.2f} to {max(ratios):.2f} times its FMD"
             for target, ratios in by_target.items()]
    restored = {(row["run"].split("_")[1].removeprefix("parameterisation-"), int(row["t"])):
                float(row["rmse"]) for row in rows(record, "restoration_over_t")
                if row["run"].startswith(f"tied-{COLD}_") and row["method"] == "one-shot"}
    ends = [f"{restored['linear-plus', t]:.2g} at t = {t} (x0: {restored['x0', t]:.2g})"
            for t in (50, max(t for _, t in restored))]
    order = sentences(record)[0].partition("Under every target ")[2]
    return (f"[Targets]({link(TARGETS)}), digits after {int(updates):,} updates: in place of x0, "
            f"{listed(parts)}. Under every target {order} One restoration of {COLD} by linear+ has RMSE "
            f"{listed(ends)}.")


def images(record: Path) -> str:
    about = read_json(record / "record.json", "kelvin record")
    _, height, width = about["data"]["image_shape"]
    name = about["set"].get("dataset", "digits")
    return f"{name.upper() if name == 'mnist' else name} {height}x{width}"


def rows(record: Path, name: str) -> list[dict[str, str]]:
    """One of a record's tables."""
    path = record / "tables" / f"{name}.csv"
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def sentences(record: Path) -> list[str]:
    """Those of the study on hot and cold, of a record's page."""
    return read_json(record / "tables" / "findings.json", "kelvin record")[STUDY]


def link(folder: str) -> str:
    """To the page of a record, from docs/."""
    return f"../{(RECORDED / folder).as_posix()}/index.html"
