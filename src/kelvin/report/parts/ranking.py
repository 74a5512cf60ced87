"""Dot figures of FMD: every run on one scale, and EMA against raw weights."""

from __future__ import annotations

from collections.abc import Mapping

from kelvin.report.kit.style import BAND, COLOURS, WIDTH, Figure, finish, legend_below, new, plain, ticks
from kelvin.report.kit.table import Row
from kelvin.report.results import Results

FAMILIES = {"hot": (COLOURS[4], "o"), "warm": (COLOURS[1], "^"), "cold": (COLOURS[5], "s"),
            "folder": (COLOURS[3], "D")}


def ranking_figure(results: Results, metrics: Mapping[str, Row]) -> Figure:
    """FMD of every run with its interval, against the band of real images."""
    about = results.calibration
    rows = sorted((metrics[name] for name in results.runs), key=lambda r: r["fmd"], reverse=True)
    figure = new(WIDTH, 0.27 * len(rows) + 1.2)
    axes = figure.subplots()
    lowest = min(about["floor"] - about["floor_sd"], *(row["fmd"] for row in rows))
    left = 0.6 * max(lowest, 0.1 * about["floor"])  # a logarithmic axis has no room for zero
    for y, row in enumerate(rows):
        colour, marker = FAMILIES[row["family"]]
        low = max(row["fmd_low"], left)
        axes.plot([low, row["fmd_high"]], [y, y], color=colour, linewidth=1.6)
        axes.plot(row["fmd"], y, marker, color=colour, markersize=6)
    for family in dict.fromkeys(r["family"] for r in rows):
        axes.plot([], [], FAMILIES[family][1], color=FAMILIES[family][0], label=family)
    axes.axvspan(about["floor"] - about["floor_sd"], about["floor"] + about["floor_sd"], color=BAND,
                 zorder=0, label="held-out real images (mean ± sd)")
    axes.axvline(about["rows"]["pixel-gaussian"]["fmd"], color="#555555", linestyle=(0, (5, 2)),
                 linewidth=1, label="Gaussian fitted to the pixels")
    axes.axvline(about["ceiling"], color="#000000", linewidth=1, linestyle=(0, (1, 1)),
                 label="black images")
    axes.set_yticks(range(len(rows)), [plain(r["title"]) for r in rows])
    axes.set(xscale="log", xlim=(left, 1.3 * max(about["ceiling"], rows[0]["fmd"])),
             ylim=(-0.6, len(rows) - 0.4),
             xlabel=f"FMD at n = {about['n']} (lower is closer to real images)")
    axes.grid(axis="y", visible=False)
    ticks(axes.xaxis)
    legend_below(figure, axes, 3)
    level, over = f"{100 * results.plan.metrics.confidence:.0f} %", rows[0]["interval"]
    return finish(figure, "ranking", "FMD of every run's first sampler, lowest at the top. "
                  f"Bars: {level} interval {over}; one that reaches the left edge goes on to zero.")


def ema_figure(results: Results) -> Figure | None:
    """FMD of EMA and of raw weights by the same sampler, run by run; None without trained runs."""
    runs = [run for run in results.runs.values() if "raw" in run.record["samplers"]]
    if not runs:
        return None
    runs = sorted(runs, key=lambda run: run.mean("fmd"), reverse=True)
    figure = new(WIDTH, 0.27 * len(runs) + 1.1)
    axes = figure.subplots()
    for y, run in enumerate(runs):
        ema, raw = run.mean("fmd"), run.sampler_mean("raw", "fmd")
        axes.plot([ema, raw], [y, y], color="#999999", linewidth=1, zorder=1)
        axes.plot(ema, y, "o", color=COLOURS[5], markersize=6, label="EMA weights" if y == 0 else "")
        axes.plot(raw, y, "D", color=COLOURS[4], markersize=8, markerfacecolor="none",
                  label="raw weights" if y == 0 else "")
    axes.set_yticks(range(len(runs)), [plain(run.title) for run in runs])
    axes.set(xscale="log", ylim=(-0.6, len(runs) - 0.4), xlabel="FMD (lower is closer to real images)")
    axes.grid(axis="y", visible=False)
    ticks(axes.xaxis)
    legend_below(figure, axes)
    return finish(figure, "ema", "Samples by the averaged (EMA) against the last (raw) weights, by the "
                  "run's first sampler and from the same starting states.")
