"""B's networks of two widths: one panel of losses, samples over epochs, and what the width buys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kelvin.report.kit.style import WIDTH, Figure, finish, legend_below, look, new, ticks, whole
from kelvin.report.kit.table import number
from kelvin.report.kit.words import listed, named, seeds
from kelvin.report.parts import grids
from kelvin.report.parts.curves import history, line, note
from kelvin.report.results import Run
from kelvin.report.studies.base import Study, studies


@dataclass(frozen=True)
class Fit:
    """A model's last losses (both of the raw weights, at fixed t, each at its own z), FMD and size."""

    title: str
    train: float
    validation: float
    fmd: float
    parameters: int

    @property
    def gap(self) -> float:
        """Validation over training loss, less 1: above 0 the training images are fitted closer."""
        return self.validation / self.train - 1


def fit(run: Run) -> Fit:
    return Fit(run.title, run.mean("train_loss"), run.mean("val_loss"), run.mean("fmd"),
               run.record["parameters"])


@studies.register("widths")
class Widths(Study):
    shared = ("generation", "restoration")
    ranked = True

    def figures(self) -> list[Figure]:
        kept = grids.epochs_figure(self.name, self.trained, "The same 16 samples after five kept epochs "
                                   "of training, from the first to the last.", moments=5, columns=4)
        return [self.loss_figure(), kept, self.reconstructions(), self.samples(), *self.restorations()]

    def loss_figure(self) -> Figure:
        """All models in one panel: colour = model, solid = training, dashed = validation."""
        figure = new(WIDTH * 0.75, 3.7)
        axes = figure.subplots()
        for i, run in enumerate(self.trained):
            for key, words, dashes in (("train_loss", "training", "-"),
                                       ("val_loss", "validation", (0, (5, 2)))):
                line(axes, history(run, key), look(i + 4) | {"linestyle": dashes},
                     f"{run.title} ({run.record['parameters']:,} parameters): {words}")
        axes.set(xlabel="epoch", ylabel="loss after the epoch", yscale="log")
        ticks(axes.yaxis)
        whole(axes.xaxis)
        legend_below(figure, axes, 1)
        return finish(figure, f"{self.name}-loss", "Training and validation loss of all networks in one "
                      "panel, both after the epoch at fixed t, each with its own z. Colour: network; "
                      f"solid: training, dashed: validation.{note(self.trained)}")

    def findings(self) -> list[str]:
        fits = [fit(run) for run in self.trained]
        return [*compared(fits, self.count), *map(fitted, fits)]


def compared(fits: Sequence[Fit], count: int) -> list[str]:
    """Which has the lower final validation loss, and which the lower FMD."""
    if len(fits) < 2:
        return []
    loss, fmd = min(fits, key=lambda f: f.validation), min(fits, key=lambda f: f.fmd)
    largest = loss is max(fits, key=lambda f: f.parameters)
    losses = listed([number(f.validation) for f in fits if f is not loss])
    distances = listed([number(f.fmd) for f in fits if f is not fmd])
    return [f"{named(loss.title)}, {'' if largest else 'not '}the largest network ({loss.parameters:,} "
            f"parameters), has the lowest validation loss at the end {seeds(count)}: "
            f"{number(loss.validation)} against {losses}. The lowest FMD is that of "
            f"{'the same run' if fmd is loss else named(fmd.title)}: {number(fmd.fmd)} against "
            f"{distances}."]


def fitted(f: Fit) -> str:
    """The gap between training and validation loss, in words and numbers."""
    way = "above" if f.gap > 0 else "below"
    return (f"{named(f.title)} ({f.parameters:,} parameters) ends at a training loss of "
            f"{number(f.train)} and a validation loss of {number(f.validation)}, {100 * abs(f.gap):.1f} "
            f"% {way} it.")
