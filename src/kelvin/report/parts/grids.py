"""Grids of samples: final, over epochs, by sampler, and beside their nearest training images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kelvin.report.kit.pictures import Panel, coloured, draw, montage, show, table
from kelvin.report.kit.style import WIDTH, Figure, finish, new, plain, ticks
from kelvin.report.kit.table import number
from kelvin.report.kit.titles import sampler_words
from kelvin.report.kit.words import listed
from kelvin.report.parts.curves import overlay
from kelvin.report.results import Run


def samples(run: Run, count: int, sampler: str = "") -> np.ndarray:
    return run.first.samples.samples(sampler or run.record["sampler"])[:count]


def best_figure(run: Run) -> Figure:
    """The first samples of a run, large."""
    images = samples(run, 96)
    caption = (f"The first {len(images)} samples of the {run.family} run of lowest FMD ({run.title}, "
               f"{sampler_words(run.record['sampler'])}), not chosen by hand.")
    return show(f"best-{run.family}", caption, [montage("", images, 16)], 1)


def overview_figure(best: Sequence[Run], real: np.ndarray) -> Figure:
    """Real images beside the first samples of the best run of each family."""
    panels = [montage("real, held out", real[:24], 6)]
    panels += [montage(f"{run.family}: FMD {number(run.mean('fmd'))}", samples(run, 24), 6)
               for run in best]
    kinds = listed([f"{run.family}: {run.title} by {sampler_words(run.record['sampler'])}"
                    for run in best])
    return show("overview", "Real images, and the first samples of the run of lowest FMD of each family, "
                f"not chosen by hand ({kinds}).", panels, len(panels))


def final_figure(name: str, runs: Sequence[Run]) -> Figure:
    """The first samples of every run, with its FMD."""
    panels = [montage(f"{run.title}: FMD {number(run.record['fmd'])}", samples(run, 40), 10)
              for run in runs]
    return show(f"{name}-samples", "The first samples of each run, not chosen by hand.", panels, 2)


def epochs_figure(name: str, runs: Sequence[Run]) -> Figure:
    """Samples that training kept after three of its epochs, a row per run."""
    panels: list[Panel] = []
    across = 1
    for run in runs:
        epochs, images = run.first.snapshots.epochs, run.first.snapshots.samples
        last = len(epochs) - 1
        indices = sorted({0, last // 2, last})
        panels += [montage(f"{run.title}: epoch {epochs[i]}", images[i, :16], 4) for i in indices]
        across = max(across, len(indices))
    return show(f"{name}-epochs", "Samples after the first, the middle and the last epoch whose samples "
                "training kept.", panels, across)


def samplers_figure(name: str, runs: Sequence[Run], caption: str) -> Figure:
    """The same starting states by every sampler of a run."""
    panels = []
    for run in runs:
        for sampler in run.config.sampling.samplers:
            scores = run.record["samplers"][sampler]
            title = f"{run.title}, {sampler_words(sampler)}"
            panels.append(montage(f"{title}: FMD {number(scores['fmd'])}",
                                  samples(run, 20, sampler), 5))
    return show(name, caption, panels, 3)


def nearest_figure(runs: Sequence[Run], train: np.ndarray) -> Figure:
    """The samples nearest to a training image, each above that image, a panel a run."""
    panels = []
    for run in runs:
        nearest, images = run.first.details["nearest"], samples(run, None)
        rows = [[images[i] for i in nearest["nearest_sample"]],
                [train[i] for i in nearest["nearest_training"]]]
        panels.append(table(run.title, rows, ["sample", "nearest in training"]))
    return show("nearest", "The samples that lie nearest to a training image, and that image below each. "
                "Alike is fine, equal is a copy.", panels, 1, width=WIDTH * 0.75)


def mistakes_figure(name: str, runs: Sequence[Run]) -> Figure:
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
        panel = montage("", samples(run, 36), 12)
        draw(figure.add_subplot(grid[i, 1]), panel, f"FMD {number(run.record['fmd'])}")
    ticks(shared.yaxis)
    return finish(figure, f"{name}-mistakes", "What each run's loss looked like, and what it draws: "
                  "training and validation loss, both after the epoch at fixed t and z, beside the first "
                  "samples.", columns=4, photographs=coloured(panel.image))
