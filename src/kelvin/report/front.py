"""The first screen: the question, its answers with their conditions, and where to read on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kelvin.common.git import git, revision
from kelvin.report.kit.style import (
    BAND,
    WIDTH,
    Figure,
    chart,
    finish,
    list_rows,
    mark_families,
    reference,
    spread_bar,
)
from kelvin.report.kit.table import Row, number
from kelvin.report.kit.titles import sampler_words
from kelvin.report.kit.words import listed, machine, named
from kelvin.report.parts.arms import TIED
from kelvin.report.recorded import Recorded
from kelvin.report.results import Results, Run
from kelvin.report.studies.iterations import ONE, iterated

QUESTION = "Do diffusion models need noise?"
CONTRASTS = "hot-and-cold-contrasts"  # the study's table
TOLD = 3  # ratios in the answer; of more than these the lowest and the highest


@dataclass(frozen=True)
class Answer:
    """effect: the number; under: its interval, seeds and sampler; sentence: what the number means."""

    question: str
    effect: str
    under: str
    sentence: str


@dataclass(frozen=True)
class Line:
    """One line of the forest plot: a value with its interval over seeds."""

    title: str
    value: float
    low: float
    high: float
    family: str = ""


@dataclass(frozen=True)
class Forest:
    """A plot of values over training seeds. measure: the title of its axis; one: whether values are
    ratios, read against 1; source: the page or record that they are from."""

    measure: str
    one: bool
    lines: Sequence[Line]
    answer: Answer
    source: str


def ratios(rows: Sequence[Row], source: str) -> Forest | None:
    """The ratios of the table of contrasts, by each side's declared sampler with the most evaluations;
    None where no ratio has an interval over seeds."""
    rows = [row for row in rows if row.get("ratio_low") is not None]
    rows = [r for r in rows if str(r["sampler"]).startswith("declared")] or rows
    if not rows:
        return None
    most = max(row["nfe"] for row in rows)
    rows = [row for row in rows if row["nfe"] == most]
    ties = len({row.get("tie") for row in rows}) > 1
    held = {row["title"].partition(" against ")[2] for row in rows}
    if ties or len(held) > 1:  # then what all are held against is left to the caption
        rows = [{**row, "title": row["title"].partition(" against ")[0]
                 + (f", tied by {TIED[row['tie']]}" if ties else "")} for row in rows]
    lines = [Line(f"{row['title']}, {row['sampler']}", row["ratio"], row["ratio_low"], row["ratio_high"])
             for row in rows]
    ends = sorted(rows, key=lambda row: row["ratio"])
    told = ends if len(ends) <= TOLD else [ends[0], ends[-1]]
    answer = Answer(
        QUESTION, f"FMD × {listed([format(row['ratio'], '.2f') for row in told])}",
        f"95 % intervals {listed([span(row, 'ratio', '.2f') for row in told])}; "
        f"{min(row['seeds'] for row in rows):.0f} training seeds; {most:,.0f} evaluations an image"
        + "".join(f"; {count:,.0f} updates"
                  for count in sorted({row.get("updates") for row in rows} - {None})),
        ("FMD over that with noise" if told is ends else "The lowest and the highest FMD over that with "
         "noise") + ", and what the verdict rule says. " + " ".join(
            f"{row['title'][:1].upper()}{row['title'][1:]} ({row['sampler']}): {row['outcome']}."
            for row in told))
    return Forest("ratio of FMD", True, lines, answer, source)


def levels(metrics: Mapping[str, Row], source: str) -> Forest | None:
    """The FMD of every run with several training seeds, by its first sampler; None without a hot and a
    cold run among them."""
    rows = sorted((row for row in metrics.values() if row["replicates"] > 1
                   and row.get("fmd_low") is not None), key=lambda row: row["fmd"])
    best = {family: next((row for row in rows if row["family"] == family), None)
            for family in ("hot", "cold")}
    if None in best.values():
        return None
    lines = [Line(f"{row['title']} ({sampler_words(row['sampler'])})", row["fmd"], row["fmd_low"],
                  row["fmd_high"], row["family"]) for row in rows]
    hot, cold = best["hot"], best["cold"]
    apart = hot["fmd_high"] < cold["fmd_low"] or cold["fmd_high"] < hot["fmd_low"]
    answer = Answer(
        QUESTION, f"FMD {number(hot['fmd'])} hot, {number(cold['fmd'])} cold",
        f"intervals {span(hot)} and {span(cold)}; {hot['replicates']} training seeds; "
        f"{sampler_words(hot['sampler'])} and {sampler_words(cold['sampler'])}",
        f"The lowest FMD of each kind, {named(hot['title'])} and {named(cold['title'])}: the intervals "
        f"{'part' if apart else 'overlap'}. Samplers and degradations differ, so this is no verdict.")
    return Forest("FMD", False, lines, answer, source)


def span(row: Row, key: str = "fmd", spec: str = "") -> str:
    low, high = (row[f"{key}_{end}"] for end in ("low", "high"))
    return f"{low:{spec}} to {high:{spec}}" if spec else f"{number(low)} to {number(high)}"


def over_seeds(results: Results, metrics: Mapping[str, Row], contrasts: Sequence[Row],
               records: Sequence[Recorded]) -> Forest | None:
    """This page's contrasts if they have several seeds; else those of the record with most seeds; else
    FMD."""
    here = "this page"
    data = {key: results.store.manifest[key] for key in ("image_shape", "sizes")}
    there = [(r, f"the record “{r.title}”" + ", made on another split" * (r.about.get("data") != data))
             for r in sorted(records, key=lambda r: -r.seeds) if r.seeds > 1
             and r.is_of(results.plan.dataset)]
    candidates = [ratios(contrasts, here), *(ratios(r.table(CONTRASTS), words) for r, words in there),
                  levels(metrics, here), *(levels(r.metrics, words) for r, words in there)]
    return next((forest for forest in candidates if forest), None)


def forest_figure(forest: Forest, floor: float) -> Figure:
    """Values with intervals over seeds. The vertical line: a ratio of 1, or held-out real images."""
    figure, axes = chart(WIDTH, 0.24 * len(forest.lines) + 0.9)
    for y, line in enumerate(forest.lines):
        spread_bar(axes, y, line.low, line.value, line.high, line.family, width=1.8, size=7)
    if forest.one:
        reference(axes, 1, "no difference")
    else:
        axes.axvline(floor, color=BAND, linewidth=4, label="held-out real images")
    mark_families(axes, (line.family for line in forest.lines if line.family))
    list_rows(axes, [line.title for line in forest.lines],
              f"{forest.measure} (lower is nearer to real images)")
    what = "Ratios of FMD, candidate over noise" if forest.one else "FMD by each run's first sampler"
    return finish(figure, "forest", f"{what}, with 95 % intervals over training seeds, from "
                  f"{forest.source}.", columns=4)


def distance_to_real(best: Sequence[Run], results: Results, metrics: Mapping[str, Row]) -> Answer:
    """The lowest FMD of each family, beside the FMD of real images."""
    rows = {run.family: metrics[run.name] for run in best}
    about, gaussian = results.calibration, results.calibration["rows"]["pixel-gaussian"]["fmd"]
    over = "images" if len(results.replicates) == 1 else "training seeds"
    worse = [family for family, row in rows.items() if row["fmd"] >= gaussian]
    first = (f"A Gaussian fitted to the pixels (FMD {number(gaussian)}) is nearer to real images than "
             f"the best {listed(worse)} run. " if worse else "")
    return Answer(
        "How near do samples come to real images?",
        ", ".join(f"{family} {number(row['fmd'])}" for family, row in rows.items()),
        f"{100 * results.plan.metrics.confidence:.0f} % intervals over {over} "
        f"{listed([span(row) for row in rows.values()])}; {count(results)}; "
        f"{listed([sampler_words(run.record['sampler']) for run in best])}",
        f"{first}The lowest FMD of each family by its runs' first samplers; {about['n']:,} held-out real "
        f"images have {number(about['floor'])}, a Gaussian fitted to the pixels {number(gaussian)}, "
        f"black images {number(about['ceiling'])}." + differ(best))


def differ(best: Sequence[Run]) -> str:
    """In what runs are not alike, besides their degradation."""
    asked = {"length of training": lambda run: run.record.get("updates"),
             "sampler": lambda run: sampler_words(run.record["sampler"])}
    ways = [name for name, value in asked.items() if len({value(run) for run in best}) > 1]
    return f" These runs differ in {listed(ways)}." if ways else ""


def later_steps(results: Results) -> Answer | None:
    """What the steps after the first restoration change; None where no run restores in both ways."""
    runs = [run for run in results.runs.values()
            if run.trained and iterated(run) and ONE in run.record["restoration"]]
    if not runs:
        return None
    ratio = {key: [run.restoration_mean(iterated(run), key) / run.restoration_mean(ONE, key)
                   for run in runs] for key in ("fmd", "rmse")}
    lower = sum(value < 1 for value in ratio["fmd"])
    ways = list(dict.fromkeys(sampler_words(iterated(run)) for run in runs))
    return Answer(
        "What do the steps after the first one buy?", f"FMD × {number(float(np.median(ratio['fmd'])))}",
        (f"{number(min(ratio['fmd']))} to {number(max(ratio['fmd']))} over {len(runs)} runs; "
         if len(runs) > 1 else "") + f"{count(results)}; {listed(ways)}",
        "Restored test images, all steps against one evaluation, median: all steps have the lower FMD in "
        f"{lower} of {len(runs)} run{'s' * (len(runs) > 1)}, and change the error to the very image "
        f"(RMSE) by a factor of {number(float(np.median(ratio['rmse'])))}.")


def count(results: Results) -> str:
    n = len(results.replicates)
    return f"{n} training seed{'s' * (n > 1)}"


def believe(results: Results) -> str:
    """The conditions under which the page's numbers hold."""
    shape, test = results.store.manifest["image_shape"], results.classifier
    sizes = sorted({run.record["parameters"] for run in results.every.values() if run.trained})
    size = " to ".join(f"{size:,}" for size in dict.fromkeys((*sizes[:1], *sizes[-1:])))
    networks = f", networks of {size} parameters" if sizes else ""
    return (f"Believe this only for {results.plan.dataset} at {shape[1]}×{shape[2]} pixels, n = "
            f"{results.calibration['n']:,} samples a run, {count(results)}{networks}, and distances by a "
            f"classifier that is right on {100 * test['accuracy']:.1f} % of {test['n']:,} test images.")


def made_by(costs: Mapping[str, Row], record: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """(title, text) of commit, date, hardware and precision; a record has its own commit and date."""
    commit, date = ((record.get("commit", ""), record.get("date", "")) if record else
                    (revision(), git("log", "-1", "--format=%cs")))
    machines = dict.fromkeys(machine(cost, "hardware") for cost in costs.values())
    facts = {"commit": commit, "date": date,
             "hardware": "; ".join(machines),
             "precision": ", ".join(dict.fromkeys(c["precision"] for c in costs.values()))}
    return [(key, value) for key, value in facts.items() if value]


def asked(families: Iterable[str], largest: str, is_record: bool) -> str:
    """The page's question; of its largest study in a record whose runs are all of one family."""
    return largest if is_record and len(set(families)) == 1 else QUESTION


def front(results: Results, metrics: Mapping[str, Row], costs: Mapping[str, Row], best: Sequence[Run],
          forest: Forest | None, record: Mapping[str, Any] | None, largest: str) -> dict[str, Any]:
    """The values of the template's first screen, without its figures. largest: question of the largest
    study."""
    answers = [forest and forest.answer, distance_to_real(best, results, metrics) if best else None,
               later_steps(results)]
    return {"question": asked((run.family for run in results.runs.values()), largest, bool(record)),
            "answers": [answer for answer in answers if answer],
            "believe": believe(results), "made": made_by(costs, record)}
