"""Grids of samples: final, over epochs, by sampler, and beside their nearest training images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kelvin.report.kit.pictures import Panel, coloured, draw, montage, show, table
from kelvin.report.kit.style import WIDTH, Figure, finish, legend_below, new, plain, ticks
from kelvin.report.kit.table import number
from kelvin.report.kit.titles import sampler_words
from kelvin.report.kit.words import listed
from kelvin.report.parts.curves import overlay
from kelvin.report.results import Run


def samples(run: Run, count: int, sampler: str = "") -> np.ndarray:
    return run.first.samples.samples(sampler or run.record["sampler"])[:count]


def best_figure(run: Run, count: int = 96, columns: int = 16) -> Figure:
    """The first samples of a run, large."""
    drawn = samples(run, count)
    caption = (f"The first {len(drawn)} samples of the {run.family} run of lowest FMD ({run.title}, "
               f"{sampler_words(run.record['sampler'])}), not chosen by hand.")
    return show(f"best-{run.family}", caption, [montage("", drawn, columns)], 1)


def overview_figure(best: Sequence[Run], real: np.ndarray, count: int = 24) -> Figure:
    """Real images beside the first samples of the best run of each family: the front door."""
    panels = [montage("real, held out", real[:count], 6)]
    panels += [montage(f"{run.family}: FMD {number(run.mean('fmd'))}", samples(run, count), 6)
               for run in best]
    kinds = listed([f"{run.family}: {run.title} by {sampler_words(run.record['sampler'])}"
                    for run in best])
    return show("overview", "Real images, and the first samples of the run of lowest FMD of each family, "
                f"not chosen by hand ({kinds}).", panels, len(panels))


def final_figure(name: str, runs: Sequence[Run], count: int = 40) -> Figure:
    """The first samples of every run, with its FMD."""
    panels = [montage(f"{run.title}: FMD {number(run.record['fmd'])}", samples(run, count), 10)
              for run in runs]
    return show(f"{name}-samples", "The first samples of each run, not chosen by hand.", panels, 2)


def chosen(epochs: Sequence[int] | np.ndarray, count: int = 3) -> list[int]:
    """Indices of `count` of them, evenly spread: the first, ..., the last."""
    return sorted({i * (len(epochs) - 1) // (count - 1) for i in range(count)})


def epochs_figure(name: str, runs: Sequence[Run], caption: str = "Samples after the first, the middle "
                  "and the last epoch whose samples training kept.", moments: int = 3, columns: int = 4
                  ) -> Figure:
    """Samples that training kept, a row per run: `moments` of the kept epochs."""
    panels: list[Panel] = []
    across = max(len(chosen(run.first.kept.epochs, moments)) for run in runs)
    for run in runs:
        epochs, kept = run.first.kept.epochs, run.first.kept.samples
        for i in chosen(epochs, moments):
            panels.append(montage(f"{run.title}: epoch {epochs[i]}", kept[i, :16], columns))
    return show(f"{name}-epochs", caption, panels, across)


def samplers_figure(name: str, runs: Sequence[Run], caption: str, count: int = 20) -> Figure:
    """The same starting states by every sampler of a run."""
    panels = []
    for run in runs:
        for sampler in run.config.sampling.samplers:
            scores = run.record["samplers"][sampler]
            title = f"{run.title}, {sampler_words(sampler)}"
            panels.append(montage(f"{title}: FMD {number(scores['fmd'])}",
                                  samples(run, count, sampler), 5))
    return show(name, caption, panels, 3)


def nearest_figure(runs: Sequence[Run], train: np.ndarray) -> Figure:
    """The samples nearest to a training image, above that image: a panel a run."""
    panels = []
    for run in runs:
        nearest, drawn = run.first.details["nearest"], samples(run, None)
        rows = [[drawn[i] for i in nearest["nearest_sample"]],
                [train[i] for i in nearest["nearest_training"]]]
        panels.append(table(run.title, rows, ["sample", "nearest in training"]))
    return show("nearest", "The samples that lie nearest to a training image, and that image below each. "
                "Alike is fine, equal is a copy.", panels, 1, width=WIDTH * 0.75)


def mistakes_figure(name: str, runs: Sequence[Run], count: int = 36) -> Figure:
    """A row per run: its losses, and its first samples beside them."""
    figure = new(WIDTH, 1.75 * len(runs) + 0.4)
    grid = figure.add_gridspec(len(runs), 2, width_ratios=(1, 1.75))
    shared = None
    for i, run in enumerate(runs):
        shared = axes = figure.add_subplot(grid[i, 0], sharey=shared)
        overlay(axes, run)
        axes.set_title(plain(run.title), loc="left")
        if i < len(runs) - 1:
            axes.set_xlabel("")
        panel = montage("", samples(run, count), 12)
        draw(figure.add_subplot(grid[i, 1]), panel, f"FMD {number(run.record['fmd'])}")
    ticks(shared.yaxis)
    legend_below(figure, shared)
    return finish(figure, f"{name}-mistakes", "What each run's loss looked like, and what it draws: "
                  "training and validation loss, both after the epoch at fixed t and z, beside the first "
                  "samples.", coloured(panel.image))
