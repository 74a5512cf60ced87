"""FMD of every run on one scale, and the best of each kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kelvin.metrics.ranking import Entry, Ranking
from kelvin.report.kit.style import BAND, FAMILIES, WIDTH, Figure, finish, legend_below, new, plain, ticks
from kelvin.report.kit.table import Row, fixed, number
from kelvin.report.kit.titles import FAMILIES as TITLES
from kelvin.report.kit.titles import sampler_words
from kelvin.report.kit.words import between, flags, listed, named, score, seeds
from kelvin.report.results import Results

MARKERS = {"hot": "o", "warm": "^", "cold": "s", "folder": "D"}


def ranking_figure(results: Results, metrics: Mapping[str, Row]) -> Figure:
    """FMD of every run with its interval, against the band of real images."""
    about = results.calibration
    rows = sorted((metrics[name] for name in results.runs), key=lambda r: r["fmd"], reverse=True)
    figure = new(WIDTH, 0.27 * len(rows) + 1.2)
    axes = figure.subplots()
    lowest = min(about["floor"] - about["floor_sd"], *(row["fmd"] for row in rows))
    left = 0.6 * max(lowest, 0.1 * about["floor"])  # a logarithmic axis has no room for zero
    for y, row in enumerate(rows):
        colour, marker = FAMILIES[row["family"]][0], MARKERS[row["family"]]
        low = max(row["fmd_low"], left)
        axes.plot([low, row["fmd_high"]], [y, y], color=colour, linewidth=1.6)
        axes.plot(row["fmd"], y, marker, color=colour, markersize=6)
    for family in dict.fromkeys(r["family"] for r in rows):
        axes.plot([], [], MARKERS[family], color=FAMILIES[family][0], label=TITLES[family])
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


def hot_against_cold(results: Results, metrics: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The summary's paragraph: the best run of each kind against real images and a plain Gaussian."""
    out, level = [], results.plan.metrics.confidence
    gaussian = results.calibration["rows"]["pixel-gaussian"]["fmd"]
    for family, words in (("hot", "hot diffusion (noise)"), ("warm", "warm diffusion (both)"),
                          ("cold", "cold diffusion (no noise)")):
        best, order = results.best(family), results.ranking(family)
        if family == "warm" and not results.family(family):
            continue
        if best is None:
            why = "none may be ranked" if results.family(family) else "no such run is active"
            out += [f"There is no best run of {words}: {why}.", *passed_over(order, results)]
            continue
        found = score(best, metrics[best.name])
        over = "images" if len(found.values) == 1 else "training seeds"
        out.append(f"The lowest FMD of {words} {seeds(len(found.values))} is that of "
                   f"{named(found.title)}: {between(found)} by "
                   f"{sampler_words(best.record['sampler'])} "
                   f"({100 * level:.0f} % interval over {over}), normalised "
                   f"{fixed(found.normalised)}; a Gaussian fitted to the pixels has {number(gaussian)}.")
        out += [*passed_over(order, results), *flags([found])]
    return out


def passed_over(order: Ranking, results: Results) -> list[str]:
    """Runs of lower FMD than the best one's that stand apart, and why."""
    def why(e: Entry) -> str:
        start = "" if e.clamped_from is None else f" from t = {e.clamped_from}"
        return listed([word + start * (word == "clamped") for word in e.apart])

    each = [f"{named(results.runs[e.run].title)} ({number(e.fmd)}; {why(e)})" for e in order.passed_over]
    return [f"Not ranked, with a lower FMD: {listed(each)}." if order.best else
            f"Not ranked: {listed(each)}."] if each else []
