"""The results in docs/hot-and-cold.md, computed from its records."""

from __future__ import annotations

import csv
import re
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
WARM = "blur and noise"
SCORED = re.compile(r" after [\d,]+ updates \(.*?\)")  # how low the FMD was, and by which sampler
COPIER = re.compile(r"(“.+?”) may copy, .*?(C_T [−\d.]+)")


def results(root: Path = Path(".")) -> str:
    """The table of every record's contrasts, and what its pages say of tuning, samplers, restoration and
    prior."""
    rates = next(s for s in sentences(root / RECORDED / TUNING) if s.startswith("Learning rate"))
    verdict = sentences(root / RECORDED / JUDGED[1])
    prior = next(s for s in verdict if s.startswith("The prior's part"))
    return "\n\n".join([
        table(root), over_updates(root / RECORDED / JUDGED[1]), by_one_sampler(root),
        restoration(root / RECORDED / JUDGED[0]),
        "Digits. " + prior.partition(" A perfect")[0].replace(f" with {EVALUATIONS} evaluations", ""),
        targets(root / RECORDED / TARGETS),
        *copiers(root), f"[Tuning]({link(TUNING)}). {re.sub(SCORED, '', rates)}"])


def table(root: Path) -> str:
    """One row a degradation of a record: its declared sampler's ratio under each tying, missed gates."""
    lines = ["| images | updates | seeds | degradation | "
             + " | ".join(f"tied by {words} [95 % interval]" for words in TIED.values())
             + " | missed gates | verdict |", "|---|--:|--:|---|" + "--:|" * len(TIED) + "---|---|"]
    for folder in JUDGED:
        record = root / RECORDED / folder
        gates = rows(record, f"{STUDY}-gates")
        (updates,) = {row["updates"] for row in gates}
        candidates: dict[str, list[dict[str, str]]] = {}
        for row in rows(record, f"{STUDY}-contrasts"):
            if row["sampler"].startswith("declared") and row["nfe"] == EVALUATIONS:
                candidates.setdefault(row["candidate"], []).append(row)
        for run, contrasts in candidates.items():
            ratios = {row["tie"]: ratio(row) for row in contrasts}
            lines.append("| " + " | ".join([
                f"[{images(record)}]({link(folder)})", f"{int(updates):,}", contrasts[0]["seeds"],
                contrasts[0]["title"].partition(" against ")[0],
                *(ratios.get(tie, "not trained") for tie in TIED),
                misses(run, list(ratios), gates),
                listed(list(dict.fromkeys(row["outcome"] for row in contrasts)))]) + " |")
    return "\n".join(lines)


def misses(run: str, ties: Sequence[str], gates: Sequence[dict[str, str]]) -> str:
    """The gates that a run misses; under each tying where they differ."""
    each = {tie: ", ".join(gate for gate in (RESTORATION, BUDGET, SEVERITY, SEEDS) if any(
        row[gate] == "missed" for row in gates
        if row["run"].partition("_")[0] == run and row["tie"] == tie)) or "none" for tie in ties}
    if len(set(each.values())) == 1:
        return next(iter(each.values()))
    return "; ".join(f"{TIED[tie]}: {words}" for tie, words in each.items())


def copiers(root: Path) -> list[str]:
    """A sentence on the runs of every record that are set apart as copiers."""
    found = [f"{match[1]} ({match[2]}; {images(root / RECORDED / folder)})"
             for folder in (*JUDGED, TARGETS) for s in sentences(root / RECORDED / folder)
             if (match := COPIER.match(s))]
    return [f"May copy, since samples lie nearer to the training images than these to one another (C_T "
            f"below −2): {listed(found)}."] if found else []


def ratio(row: dict[str, str]) -> str:
    low, high = (float(row[f"ratio_{end}"]) for end in ("low", "high"))
    return f"{float(row['ratio']):.2f} [{low:.2f}, {high:.2f}]"


def over_updates(record: Path) -> str:
    """The ratios after each number of updates."""
    lines: dict[str, list[dict[str, str]]] = {}
    for row in rows(record, f"{STUDY}-budgets"):
        lines.setdefault(row["title"].partition(" against ")[0], []).append(row)
    (counts,) = {tuple(f"{int(row['updates']):,}" for row in own) for own in lines.values()}
    each = [f"{title} {', '.join(ratio(row) for row in own)}" for title, own in lines.items()]
    return (f"{images(record).capitalize()}, the same ratio after {listed(counts)} updates: "
            f"{'; '.join(each)}.")


def by_one_sampler(root: Path) -> str:
    """Blur against noise by Algorithm 2 for both, blur and noise by DDIM."""
    out = []
    for sampler, title in (("Algorithm 2", COLD), ("DDIM", WARM)):
        parts = []
        for folder in JUDGED[:2]:
            record = root / RECORDED / folder
            (row,) = [row for row in rows(record, f"{STUDY}-contrasts") if row["sampler"] == sampler
                      and row["nfe"] == EVALUATIONS and row["title"].startswith(f"{title} against")]
            parts.append(f"{ratio(row)} ({images(record)})")
        out.append(f"by {sampler} for both, that of {title} is {listed(parts)}")
    return f"FMD over that of noise, within one sampler: {'; '.join(out)}."


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
