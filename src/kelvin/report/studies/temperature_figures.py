"""D1's figures: signal variance over t/T, and distortion against perception."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kelvin.report.kit.style import MARKERS, WIDTH, Figure, finish, legend_below, look, new, plain, ticks
from kelvin.report.results import Run
from kelvin.report.studies.temperature_tables import iterated

METHODS = (("one-shot", "o"), ("linear", "^"), ("iterated", "s"))
FLOOR = 1e-3  # of the logarithmic axis of signal variance


def variance_figure(name: str, runs: Sequence[Run], caption: str) -> Figure:
    """Signal variance left over t/T; what a schedule wanted dashed; a cross where it is out of reach."""
    figure = new(WIDTH, 3.9 + 0.14 * len(runs) / 3)
    axes = figure.subplots()
    wanted = {}
    for i, run in enumerate(runs):
        left, style = run.signal_variance, look(i)
        x = np.arange(len(left)) / (len(left) - 1)
        every = max(1, len(x) // 8)
        style |= {"markevery": (i * every // max(1, len(runs)), every)}  # lines lie on one another
        axes.plot(x, np.where(left > 0, left, np.nan), label=plain(run.title), **style)
        process = run.first.process
        if process["wanted"] is not None:
            wanted[tuple(process["wanted"])] = x
        if process["clamped_from"] is not None:
            t = process["clamped_from"]
            axes.plot(x[t], left[t], "X", color=style["color"], markersize=10, markeredgecolor="white",
                      zorder=5)
    for k, (values, x) in enumerate(wanted.items()):
        axes.plot(x, values, color="#555555", linewidth=2.6, alpha=0.6, linestyle=(0, (2, 1.2)), zorder=0,
                  label="" if k else "wanted by the noise schedule")
    if any(run.first.process["clamped_from"] is not None for run in runs):
        axes.plot([], [], "X", color="#555555", markersize=8, linestyle="none", label="out of reach from "
                  "here on")
    lowest = min(float(run.signal_variance[-1]) for run in runs)
    axes.set(xlabel="t / T", ylabel="share of the images' variance left", yscale="log",
             ylim=(max(FLOOR, 0.5 * lowest), 1.4))
    ticks(axes.yaxis)
    legend_below(figure, axes, 3)
    return finish(figure, name, caption)


def points(run: Run) -> dict[str, tuple[float, float]]:
    """{one-shot, linear, iterated: (SSIM, FMD of the restored images)}, means over t."""
    names = {"one-shot": "one-shot", "linear": "linear", "iterated": iterated(run)}
    return {method: (run.restoration_mean(key, "ssim"), run.restoration_mean(key, "fmd"))
            for method, key in names.items() if key in run.record["restoration"]}


def plane_figure(name: str, runs: Sequence[Run], caption: str) -> Figure:
    """SSIM against FMD (restoration): a number and colour per degradation, a marker per method."""
    figure = new(WIDTH, 4.6 + 0.14 * len(runs) / 3)
    axes = figure.subplots()
    for i, run in enumerate(runs):
        colour, at = look(i)["color"], points(run)
        if "one-shot" in at and "iterated" in at:
            axes.plot(*zip(at["one-shot"], at["iterated"], strict=True), color=colour, linewidth=1,
                      alpha=0.7, zorder=1)
        for method, marker in METHODS:
            if method in at:
                axes.plot(*at[method], marker, color=colour, markersize=6, linestyle="none",
                          markerfacecolor=colour if method == "iterated" else "white", zorder=2)
                axes.annotate(str(i + 1), at[method], xytext=(4, 3), textcoords="offset points",
                              fontsize=6.5, color=colour)
        axes.plot([], [], MARKERS[1], color=colour, linestyle="none",
                  label=plain(f"{i + 1} {run.title}"))
    for method, marker in METHODS:
        axes.plot([], [], marker, color="#555555", linestyle="none", label=method,
                  markerfacecolor="#555555" if method == "iterated" else "white")
    axes.set(xlabel="SSIM of restored images: nearer to the image itself to the right",
             ylabel="FMD (restoration): nearer to\nreal images' distribution below", yscale="log")
    ticks(axes.yaxis)
    legend_below(figure, axes, 3)
    return finish(figure, name, caption)
