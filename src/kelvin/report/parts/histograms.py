"""Which classes the classifier sees in the samples: a heat map and a table of shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kelvin.report.kit.style import WIDTH, Figure, finish, new, plain
from kelvin.report.kit.table import NOTHING, Column, Row, Table
from kelvin.report.parts.calibrating import FAMILY
from kelvin.report.results import Results, Run

COLOURS = "cividis"  # even in lightness, and alike to the colour-blind (Nunez et al. 2018)
NAME = "class-histograms"
REAL = "held-out"  # the calibrating row of real images
FEW = 12  # classes up to which a cell is wide enough for its percents
NAMED = 40  # classes up to which every column has its name


@dataclass(frozen=True)
class Line:
    """The shares of the classes (K,) among one set of images; run: None for real ones."""

    name: str
    title: str
    run: Run | None
    shares: np.ndarray


def lines(results: Results) -> list[Line]:
    """Held-out real images, then every run's first sampler (means over training seeds); [] without a
    run. Records made earlier, which lack a histogram, are left out, as are runs on some classes only."""
    real = results.calibration["rows"].get(REAL, {})
    found = [Line(REAL, real["title"], None, np.array(real["histogram"]))] \
        if real.get("histogram") else []
    runs = [Line(run.name, run.title, run, shares) for run in results.runs.values()
            if (shares := of_run(run)) is not None]
    return [*found, *runs] if runs else []


def of_run(run: Run) -> np.ndarray | None:
    each = [replicate.details["histograms"].get(replicate.record["sampler"])
            for replicate in run.replicates]
    return np.mean(each, axis=0) if all(each) else None


def figure(results: Results) -> Figure | None:
    """The heat map; None where no run has a histogram."""
    from matplotlib import colormaps
    from matplotlib.colors import PowerNorm

    found = lines(results)
    if not found:
        return None
    percents = 100 * np.array([line.shares for line in found])
    names = results.store.class_names
    every = range(0, len(names), -(-len(names) // NAMED))  # of many classes, only some
    longest = max(len(names[k]) for k in every)
    upright = longest <= 4 and len(names) <= FEW
    canvas = new(WIDTH, max(0.24 * len(found), 1.4) + (0.6 if upright else 0.6 + 0.07 * longest))
    axes = canvas.subplots()
    # by roots one collapsed run leaves the others their differences; a PNG of 256 colours has room for 64
    scale = PowerNorm(0.5, 0, percents.max())
    shown = axes.imshow(percents, cmap=colormaps[COLOURS].resampled(64), norm=scale, aspect="auto")
    if len(names) <= FEW:
        annotate(axes, percents, scale(percents) < 0.5)
    axes.set_xticks(every, [plain(names[k]) for k in every], rotation=0 if upright else 90)
    axes.set_yticks(range(len(found)), [plain(line.title) for line in found])
    axes.set(xlabel="class that the classifier predicts")
    if found[0].run is None:
        axes.axhline(0.5, color="white", linewidth=3)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = canvas.colorbar(shown, ax=axes, label="share of images, %")
    bar.outline.set_visible(False)
    return finish(canvas, NAME, caption(results) + " Colours: by the square root of the share.")


def annotate(axes: Any, percents: np.ndarray, dark: np.ndarray) -> None:
    for y, x in np.ndindex(*percents.shape):
        axes.text(x, y, f"{percents[y, x]:.0f}", ha="center", va="center", fontsize=7,
                  color="white" if dark[y, x] else "black")


def caption(results: Results) -> str:
    count = len(results.replicates)
    seeds = f", mean over {count} training seeds" if count > 1 else ""
    return (f"Which classes the classifier predicts for n = {results.calibration['n']} held-out real "
            f"images and for as many samples of every run's first sampler{seeds}: shares in percent, a "
            "row sums to 100. Read each row against that of the real images: a class that is missing or "
            "too frequent is a fault, but equal shares are no proof of quality, since the classifier "
            "must name a class for every image, whatever it shows.")


def table(results: Results) -> Table | None:
    """The same shares as numbers; None where no run has a histogram."""
    found, names = lines(results), results.store.class_names
    if not found:
        return None
    rows: list[Row] = [
        {"run": line.name, "title": line.title, "family": line.run.family if line.run else FAMILY,
         "sampler": line.run.record["sampler"] if line.run else None, "n": results.calibration["n"],
         **{f"share of {name}": float(share) for name, share in zip(names, line.shares, strict=True)}}
        for line in found]
    columns = [Column("run", lambda r: r["title"]), Column("sampler", lambda r: r["sampler"] or NOTHING),
               *(Column(name, lambda r, key=f"share of {name}": f"{100 * r[key]:.1f} %")
                 for name in names)]
    return Table(NAME, caption(results), columns, rows)
