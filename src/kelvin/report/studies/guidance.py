"""Classifier-free guidance: what a heavier weight on the class gives, and what it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kelvin.artifacts.names import weight_of
from kelvin.metrics.comparisons import LEAST
from kelvin.report.kit.pictures import show
from kelvin.report.kit.pictures import table as pictures
from kelvin.report.kit.style import BAND, WIDTH, Figure, below, finish, look, new, ticks
from kelvin.report.kit.table import NOTHING, Column, Row, Table, fixed, number, span
from kelvin.report.kit.words import Score, between, named, seeds, verdicts
from kelvin.report.parts import calibrating
from kelvin.report.results import Results, Run, StudyResults

SHOWN = ("fmd", "fmd_normalised", "precision", "recall", "nearest_ratio", "asked_accuracy")


@dataclass(frozen=True)
class Point:
    """A run's samples with one weight: each seed's scores."""

    run: Run
    weight: float
    sampler: str
    scores: list[Mapping[str, Any]]

    def mean(self, key: str) -> float:
        return float(np.mean([s[key] for s in self.scores]))

    def interval(self, key: str) -> tuple[float, float]:
        """Over images with one seed, else the seeds' range."""
        if len(self.scores) == 1:
            return self.scores[0][f"{key}_low"], self.scores[0][f"{key}_high"]
        values = [s[key] for s in self.scores]
        return min(values), max(values)

    def score(self) -> Score:
        first = self.scores[0]
        return Score(f"w = {self.weight:g}", [s["fmd"] for s in self.scores], *self.interval("fmd"),
                     self.mean("fmd_normalised"), any(s["copier"] for s in self.scores),
                     any(s["below_floor"] for s in self.scores), first["copy_fraction"])


def points(run: Run) -> list[Point]:
    """The weights that a run was sampled with, rising; empty for a run without any."""
    found = [Point(run, weight, name, [r.record["samplers"][name] for r in run.replicates])
             for name in run.record["samplers"] if (weight := weight_of(name)) is not None]
    return sorted(found, key=lambda p: p.weight)


def swept(study: StudyResults) -> list[list[Point]]:
    return [found for run in study.trained if (found := points(run))]


def figures(study: StudyResults, results: Results) -> list[Figure]:
    """The sweep, and a grid of samples for each run."""
    sweeps = swept(study)
    if not sweeps:
        return []
    return [sweep_figure(study, results, sweeps),
            *(grid_figure(f"{study.name}-{found[0].run.name}", found, results) for found in sweeps)]


def sweep_figure(study: StudyResults, results: Results, sweeps: list[list[Point]]) -> Figure:
    """FMD and accuracy over the weight (two axes), and precision and recall over it."""
    canvas = new(WIDTH, 3.6)
    left, right = canvas.subplots(1, 2)
    beside = left.twinx()
    beside.spines["right"].set_visible(True)
    beside.grid(False)
    for i, found in enumerate(sweeps):
        title = f"{found[0].run.title}: " if len(sweeps) > 1 else ""
        for axes, key, word, style in ((left, "fmd", "FMD (left axis)", look(3 * i)),
                                       (beside, "asked_accuracy", "accuracy (right axis)",
                                        look(3 * i + 4))):
            y = np.array([p.mean(key) for p in found])
            low, high = np.array([p.interval(key) for p in found]).T
            axes.errorbar([p.weight for p in found], y, [np.maximum(y - low, 0), np.maximum(high - y, 0)],
                          capsize=2, label=title + word, **style)
        for key, k in (("precision", 5), ("recall", 1)):
            right.plot([p.weight for p in found], [p.mean(key) for p in found], label=title + key,
                       **look(3 * i + k))
    floor, sd = results.calibration["floor"], results.calibration["floor_sd"]
    left.axhspan(floor - sd, floor + sd, color=BAND, zorder=0, label="FMD of real images (mean ± sd)")
    beside.axhline(results.classifier["accuracy"], color="#555555", linewidth=0.8,
                   label="accuracy on real test images")
    left.set(xlabel="guidance weight w", ylabel="FMD", yscale="log")
    ticks(left.yaxis)
    beside.set(ylabel="accuracy of the asked class", ylim=(0, 1.02))
    right.set(xlabel="guidance weight w", ylabel="share", ylim=(0, 1.02))
    handles = [h for axes in (left, beside, right) for h in axes.get_legend_handles_labels()[0]]
    labels = [t for axes in (left, beside, right) for t in axes.get_legend_handles_labels()[1]]
    below(canvas, handles, labels, 3)
    return finish(canvas, f"{study.name}-sweep", "Left: FMD (logarithmic) and the share of samples that "
                  "the classifier takes for the class they were asked to be, against the guidance weight "
                  "(0: no class, 1: the class, above: steered by it). Right: precision (samples that lie "
                  "among the test images) and recall (test images that lie among the samples). Bars: "
                  + ("intervals over images (accuracy: Wilson's)." if len(results.replicates) == 1
                     else "range over training seeds."))


def grid_figure(name: str, found: list[Point], results: Results, most: int = 10) -> Figure:
    """Rows: classes; columns: weights. The first sample asked for each class, from the same noise."""
    first = found[0].run.first
    labels = first.samples.labels
    classes = [k for k in range(len(results.store.class_names)) if (labels == k).any()][:most]
    drawn = [first.samples.samples(p.sampler) for p in found]
    rows = [[images[int(np.argmax(labels == k))] for images in drawn] for k in classes]
    panel = pictures("", rows, [results.store.class_names[k] for k in classes],
                     [f"{p.weight:g}" for p in found])
    return show(name, f"The first sample asked for each class (rows) by each guidance weight (columns), "
                f"not chosen by hand; {found[0].run.title}. A row starts from one noise.", [panel], 1,
                width=WIDTH * 0.75, x_label="guidance weight w")


def table(study: StudyResults, results: Results) -> Table | None:
    """One row a weight, below the calibrating rows; None without a sweep."""
    rows: list[Row] = []
    for p in (p for found in swept(study) for p in found):
        row = {"run": p.run.name, "title": p.run.title, "weight": p.weight, "sampler": p.sampler,
               "nfe": p.scores[0]["nfe"], "n": p.scores[0]["n"], **{key: p.mean(key) for key in SHOWN}}
        for key in ("fmd", "asked_accuracy"):
            row |= dict(zip((f"{key}_low", f"{key}_high"), p.interval(key), strict=True))
        rows.append(row)
    if not rows:
        return None
    columns = [Column("run", lambda r: r["title"]),
               Column("w", lambda r: NOTHING if r["weight"] is None else f"{r['weight']:g}"),
               Column("NFE", lambda r: NOTHING if r["nfe"] is None else number(r["nfe"])),
               Column("FMD", lambda r: span(r, "fmd"), "fmd", "min"),
               Column("normalised", lambda r: fixed(r["fmd_normalised"]), "fmd_normalised", "min"),
               Column("accuracy", lambda r: NOTHING if r["asked_accuracy"] is None else
                      span(r, "asked_accuracy", fixed), "asked_accuracy", "max"),
               Column("precision", lambda r: number(r["precision"]), "precision", "max"),
               Column("recall", lambda r: number(r["recall"]), "recall", "max"),
               Column("nearest", lambda r: number(r["nearest_ratio"]))]
    over = f"{100 * results.plan.metrics.confidence:.0f} % interval over images (accuracy: Wilson's)" \
        if len(results.replicates) == 1 else "range over training seeds"
    return Table(study.name, "Generation over the guidance weight w: 0 asks for no class, 1 for the "
                 "class, more steers by it. Accuracy: share of the samples that the classifier takes for "
                 f"the class asked, in equal numbers for every class; on {results.classifier['n']} real "
                 f"test images it is right on {fixed(results.classifier['accuracy'])}. Brackets: {over}"
                 f"{calibrating.note(results)}. "
                 "NFE: every step but at w = 0 and 1 evaluates the network twice. Bold: best of a run.",
                 columns, calibrating.with_scale(rows, results), lambda r: not calibrating.is_one(r),
                 "run")


def findings(study: StudyResults, results: Results, metrics: Mapping[str, Row]) -> list[str]:
    sweeps = swept(study)
    if not sweeps:
        return ["No active run of this study was sampled with guidance weights (sampling.guidance), so "
                "there is no sweep."]
    level = results.plan.metrics.confidence
    out = []
    for found in sweeps:
        out.append(paragraph(found, results.classifier["accuracy"], level))
        plain = [p for p in found if p.weight == 1]
        if plain and len(found) > 1 and len(results.replicates) >= LEAST:
            out += verdicts(plain[0].score(), [p.score() for p in found if p.weight != 1], level)
    return out


def paragraph(found: list[Point], real: float, level: float) -> str:
    """Lowest FMD, accuracy against that on real images, and what the heaviest weight changed."""
    count, last = len(found[0].scores), found[-1]
    head = f"{named(found[0].run.title)}: "
    scores = {p.weight: p.score() for p in found}
    best = min(found, key=lambda p: p.mean("fmd"))
    over = f"{100 * level:.0f} % interval over images" if count == 1 else "range over training seeds"
    said = [f"{head}{seeds(count)} FMD is lowest at w = {best.weight:g}, "
            f"{between(scores[best.weight])} ({over})"
            + (f", and highest at w = {max(found, key=lambda p: p.mean('fmd')).weight:g}, "
               f"{number(max(p.mean('fmd') for p in found))}." if len(found) > 1 else ".")]
    near = [f"{w:g}" for w, s in scores.items() if w != best.weight
            and s.low <= scores[best.weight].high and scores[best.weight].low <= s.high]
    if len(found) > 1:
        said.append(f"The interval of the lowest overlaps with that of w = {', '.join(near)}." if near
                    else "The interval of the lowest overlaps with no other weight's.")
    said.append("The classifier finds the class asked in "
                + ", ".join(f"{100 * p.mean('asked_accuracy'):.1f} % at w = {p.weight:g}" for p in found)
                + f"; on real test images it is right on {100 * real:.1f} %.")
    above = [f"{p.weight:g}" for p in found if p.interval("asked_accuracy")[0] > real]
    if above:
        said.append(f"At w = {', '.join(above)} the samples are easier to classify than real images.")
    plain = next((p for p in found if p.weight == 1), None)
    if plain and last is not plain:
        said.append(f"From w = 1 to {last.weight:g} "
                    + " and ".join(f"{key} {moved(plain.mean(key), last.mean(key))}"
                                   for key in ("precision", "recall")) + ".")
    return " ".join(said)


def moved(before: float, after: float) -> str:
    way = "rises" if after > before else "falls" if after < before else "stays"
    return f"{way} from {number(before)} to {number(after)}" if way != "stays" \
        else f"stays {number(before)}"
