"""Classifier-free guidance: what a larger weight on the class gains, and what it costs."""

from __future__ import annotations

import numpy as np

from kelvin.artifacts.names import weight_of
from kelvin.report.kit import pictures
from kelvin.report.kit.measured import column
from kelvin.report.kit.style import GREY, WIDTH, Figure, band, below, chart, finish, look, ticks
from kelvin.report.kit.table import NOTHING, Column, Table, fixed, number, span
from kelvin.report.kit.words import between, named, seeds, verdicts
from kelvin.report.parts import columns
from kelvin.report.parts.points import Point, bars, interval_words
from kelvin.report.results import Run
from kelvin.report.studies.base import Study, studies

SHOWN = ("fmd", "fmd_normalised", "fd_pixels", "precision", "recall", "nearest_ratio", "asked_accuracy")
WILSON = " (accuracy: Wilson's)"
CLASSES = 10  # classes in a grid of samples, at most


def points(run: Run) -> list[Point]:
    """A run's guidance weights in rising order; empty for a run without any."""
    return sorted((Point(run, name, w, f"w = {w:g}") for name in run.record["samplers"]
                   if (w := weight_of(name)) is not None), key=lambda p: p.at)


@studies.register("guidance")
class Guidance(Study):
    least = 1  # a sweep of one network

    def sweeps(self) -> list[list[Point]]:
        return [sweep for run in self.trained if (sweep := points(run))]

    def figures(self) -> list[Figure]:
        """The sweep, and a grid of samples for each run."""
        sweeps = self.sweeps()
        return [self.sweep_figure(sweeps), *map(self.grid_figure, sweeps)] if sweeps else []

    def sweep_figure(self, sweeps: list[list[Point]]) -> Figure:
        """FMD and accuracy over the weight (two axes), and precision and recall over it."""
        canvas, (left, right) = chart(WIDTH, 3.6, across=2)
        beside = left.twinx()
        beside.spines["right"].set_visible(True)
        beside.grid(False)
        for i, sweep in enumerate(sweeps):
            title = f"{sweep[0].run.title}: " if len(sweeps) > 1 else ""
            bars(left, sweep, "fmd", f"{title}FMD (left axis)", look(3 * i))
            bars(beside, sweep, "asked_accuracy", f"{title}accuracy (right axis)", look(3 * i + 4))
            for key, k in (("precision", 5), ("recall", 1)):
                right.plot([p.at for p in sweep], [p.mean(key) for p in sweep], label=title + key,
                           **look(3 * i + k))
        about, results = self.results.calibration, self.results
        band(left, about["floor"], about["floor_sd"], "FMD of real images (mean ± sd)")
        beside.axhline(results.classifier["accuracy"], color=GREY, linewidth=0.8,
                       label="accuracy on real test images")
        left.set(xlabel="guidance weight w", ylabel="FMD", yscale="log")
        ticks(left.yaxis)
        beside.set(ylabel="accuracy of the asked class", ylim=(0, 1.02))
        right.set(xlabel="guidance weight w", ylabel="share", ylim=(0, 1.02))
        handles, names = (sum(part, []) for part in zip(
            *(axes.get_legend_handles_labels() for axes in (left, beside, right)), strict=True))
        below(canvas, handles, names, 3)
        return finish(canvas, f"{self.name}-sweep", "Left: FMD (logarithmic) and the share of samples "
                      "that the classifier takes for the class they were asked to be, against the "
                      "guidance weight (0: no class, 1: the class, above: steered by it). Right: "
                      "precision (samples that lie among the test images) and recall (test images that "
                      "lie among the samples). Bars: "
                      + ("intervals over images (accuracy: Wilson's)." if self.count == 1
                         else "range over training seeds."))

    def grid_figure(self, sweep: list[Point]) -> Figure:
        """Rows: classes; columns: weights. The first sample asked for each class, from the same noise."""
        run, names = sweep[0].run, self.results.store.class_names
        labels = run.first.samples.labels
        classes = [k for k in range(len(names)) if (labels == k).any()][:CLASSES]
        images_by_weight = [run.first.samples.samples(p.sampler) for p in sweep]
        rows = [[images[int(np.argmax(labels == k))] for images in images_by_weight] for k in classes]
        panel = pictures.table("", rows, [names[k] for k in classes], [f"{p.at:g}" for p in sweep])
        return pictures.show(f"{self.name}-{run.name}", "The first sample asked for each class (rows) by "
                             f"each guidance weight (columns), not chosen by hand; {run.title}. A row "
                             "starts from one noise.", [panel], 1, width=WIDTH * 0.75,
                             x_label="guidance weight w")

    def tables(self) -> list[Table | None]:
        """One row a weight."""
        results, test = self.results, self.results.classifier
        sweeps = self.sweeps()
        every = all(in_pixels(sweep) for sweep in sweeps)
        keys = [key for key in SHOWN if every or key != "fd_pixels"]
        rows = [p.row({"weight": p.at, "sampler": p.sampler}, keys, ("fmd", "asked_accuracy"))
                for sweep in sweeps for p in sweep]
        heads = [columns.RUN, Column("w", columns.cell("weight", "{:g}".format)), columns.NFE,
                 columns.FMD, columns.NORMALISED, *([column("fd_pixels", bold=True)] if every else []),
                 Column("accuracy", lambda r: NOTHING if r["asked_accuracy"] is None else
                        span(r, "asked_accuracy", fixed), "asked_accuracy", "max"),
                 columns.PRECISION, columns.RECALL, columns.NEAREST]
        return [Table(
            self.name, "Generation over the guidance weight w: 0 asks for no class, 1 for the class, "
            "more steers by it. Accuracy: share of the samples that the classifier takes for the class "
            f"asked, in equal numbers for every class; on {test['n']} real test images it is right on "
            f"{fixed(test['accuracy'])}. Brackets: "
            f"{interval_words(results, WILSON)}. NFE: every step but at w = 0 and 1 evaluates the "
            "network twice. Bold: best of a run.", heads, rows, bold_within="run",
            page=("w", "NFE", "accuracy", "precision", "recall", "nearest"))] if rows else []

    def findings(self) -> list[str]:
        sweeps, out = self.sweeps(), []
        if not sweeps:
            return ["No active run of this study was sampled with guidance weights (sampling.guidance), "
                    "so there is no sweep."]
        real, over = self.results.classifier["accuracy"], interval_words(self.results)
        for sweep in sweeps:
            out += [paragraph(sweep, real, over), *rewarded(sweep)]
            unguided = [p.score() for p in sweep if p.at == 1]
            if unguided:
                out += verdicts(unguided[0], [p.score() for p in sweep if p.at != 1], self.level)
        return out


def paragraph(sweep: list[Point], real: float, over: str) -> str:
    """Lowest FMD, accuracy beside that on real images, and what the largest weight changes."""
    last = sweep[-1]
    best, worst = (end(sweep, key=lambda p: p.mean("fmd")) for end in (min, max))
    parts = [f"{named(last.run.title)}: {seeds(len(last.scores))} FMD is lowest at {best.name}, "
             f"{between(best.score())} ({over})"
             + (f", and highest at {worst.name}, {number(worst.mean('fmd'))}" * (len(sweep) > 1)) + "."]
    near = [f"{p.at:g}" for p in sweep if p is not best and p.overlaps(best)]
    if len(sweep) > 1:
        parts.append(f"The interval of the lowest overlaps with that of w = {', '.join(near)}." if near
                     else "The interval of the lowest overlaps with no other weight's.")
    parts.append("The classifier finds the class asked in "
                 + ", ".join(f"{100 * p.mean('asked_accuracy'):.1f} % at {p.name}" for p in sweep)
                 + f"; on real test images it is right on {100 * real:.1f} %.")
    if above := [f"{p.at:g}" for p in sweep if p.interval("asked_accuracy")[0] > real]:
        parts.append(f"At w = {', '.join(above)} the samples are easier to classify than real images.")
    unguided = next((p for p in sweep if p.at == 1), None)
    if unguided and last is not unguided:
        parts.append(f"At w = {', '.join(f'{p.at:g}' for p in sweep)} "
                     + " and ".join(f"{key} is {', '.join(number(p.mean(key)) for p in sweep)}"
                                    for key in ("precision", "recall")) + ".")
    return " ".join(parts)


def in_pixels(sweep: list[Point]) -> bool:
    """Whether every weight was scored in pixels too."""
    return all(s.get("fd_pixels") is not None for p in sweep for s in p.scores)


def rewarded(sweep: list[Point]) -> list[str]:
    """Whether FMD (a classifier's features) and FD pixels (no classes) move alike from w = 1 on."""
    at_one = next((p for p in sweep if p.at == 1), None)
    others = [p for p in sweep if p is not at_one]
    if at_one is None or not others or not in_pixels(sweep):
        return []
    apart = [f"{p.at:g}" for p in others if (p.mean("fmd") < at_one.mean("fmd"))
             != (p.mean("fd_pixels") < at_one.mean("fd_pixels"))]
    each = [f"{number(p.mean('fmd'))} and {number(p.mean('fd_pixels'))} at {p.at:g}" for p in sweep]
    end = (f"At w = {', '.join(apart)} one of them is lower than at w = 1 and the other is not: a "
           "classifier's features may favour samples that it can classify." if apart else
           "At no weight is one of them lower than at w = 1 and the other not.")
    return [f"FMD and FD pixels over w: {'; '.join(each)}. {end}"]
