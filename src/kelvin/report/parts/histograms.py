"""The classes that the classifier predicts for the samples: a heat map and a table of shares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kelvin.report.kit.style import WIDTH, Figure, chart, finish, heat_map, plain
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
    """Held-out real images, then every run's first sampler (means over training seeds); [] without a run.
    Left out: runs on some classes only, and records without a histogram."""
    real = results.calibration["rows"].get(REAL, {})
    real_lines = [Line(REAL, real["title"], None, np.array(real["histogram"]))] \
        if real.get("histogram") else []
    runs = [Line(run.name, run.title, run, shares) for run in results.runs.values()
            if (shares := of_run(run)) is not None]
    return [*real_lines, *runs] if runs else []


def of_run(run: Run) -> np.ndarray | None:
    each = [replicate.details["histograms"].get(replicate.record["sampler"])
            for replicate in run.replicates]
    return np.mean(each, axis=0) if all(each) else None


def figure(results: Results) -> Figure | None:
    """The heat map; None where no run has a histogram."""
    from matplotlib import colormaps
    from matplotlib.colors import PowerNorm

    rows = lines(results)
    if not rows:
        return None
    percents = 100 * np.array([line.shares for line in rows])
    names = results.store.class_names
    every = range(0, len(names), -(-len(names) // NAMED))  # of many classes, only some
    longest = max(len(names[k]) for k in every)
    upright = longest <= 4 and len(names) <= FEW
    canvas, axes = chart(WIDTH, max(0.24 * len(rows), 1.4) + (0.6 if upright else 0.6 + 0.07 * longest))
    texts = np.array([[f"{value:.0f}" for value in line] for line in percents])
    # square roots keep runs apart where one is collapsed; 64 colours, since the PNG has 256 in all
    heat_map(canvas, axes, percents, texts if len(names) <= FEW else np.empty((0, 0)),
             PowerNorm(0.5, 0, percents.max()), colormaps[COLOURS].resampled(64), "share of images, %", 7)
    axes.set_xticks(every, [plain(names[k]) for k in every], rotation=0 if upright else 90)
    axes.set_yticks(range(len(rows)), [plain(line.title) for line in rows])
    axes.set(xlabel="class that the classifier predicts")
    if rows[0].run is None:
        axes.axhline(0.5, color="white", linewidth=3)
    return finish(canvas, NAME, caption(results) + " Colours: by the square root of the share.")


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
    shares, names = lines(results), results.store.class_names
    if not shares:
        return None
    rows: list[Row] = [
        {"run": line.name, "title": line.title, "family": line.run.family if line.run else FAMILY,
         "sampler": line.run.record["sampler"] if line.run else None, "n": results.calibration["n"],
         **{f"share of {name}": float(share) for name, share in zip(names, line.shares, strict=True)}}
        for line in shares]
    columns = [Column("run", lambda r: r["title"]), Column("sampler", lambda r: r["sampler"] or NOTHING),
               *(Column(name, lambda r, key=f"share of {name}": f"{100 * r[key]:.1f} %")
                 for name in names)]
    return Table(NAME, caption(results), columns, rows)
