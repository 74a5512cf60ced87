"""FMD of every run on one scale, and the best of each kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kelvin.metrics.ranking import Entry, Ranking
from kelvin.report.kit.style import (
    BAND,
    WIDTH,
    Figure,
    chart,
    finish,
    list_rows,
    mark_families,
    reference,
    spread_bar,
)
from kelvin.report.kit.table import Row, fixed, number
from kelvin.report.kit.titles import sampler_words
from kelvin.report.kit.words import between, flags, listed, named, score, seeds
from kelvin.report.results import Results


def ranking_figure(results: Results, metrics: Mapping[str, Row]) -> Figure:
    """FMD of every run with its interval, against the band of real images."""
    about = results.calibration
    rows = sorted((metrics[name] for name in results.runs), key=lambda r: r["fmd"], reverse=True)[::-1]
    figure, axes = chart(WIDTH, 0.27 * len(rows) + 1.2)
    lowest = min(about["floor"] - about["floor_sd"], *(row["fmd"] for row in rows))
    left = 0.6 * max(lowest, 0.1 * about["floor"])  # a logarithmic axis has no room for zero
    for y, row in enumerate(rows):
        spread_bar(axes, y, max(row["fmd_low"], left), row["fmd"], row["fmd_high"], row["family"],
                   width=1.6, size=6)
    mark_families(axes, (row["family"] for row in reversed(rows)))
    axes.axvspan(about["floor"] - about["floor_sd"], about["floor"] + about["floor_sd"], color=BAND,
                 zorder=0, label="held-out real images (mean ± sd)")
    reference(axes, about["rows"]["pixel-gaussian"]["fmd"], "Gaussian fitted to the pixels")
    axes.axvline(about["ceiling"], color="#000000", linewidth=1, linestyle=(0, (1, 1)),
                 label="black images")
    axes.set_xlim(left, 1.3 * max(about["ceiling"], rows[-1]["fmd"]))
    list_rows(axes, [row["title"] for row in rows],
              f"FMD at n = {about['n']} (lower is closer to real images)")
    level, over = f"{100 * results.plan.metrics.confidence:.0f} %", rows[0]["interval"]
    return finish(figure, "ranking", "FMD of every run's first sampler, lowest at the top. "
                  f"Bars: {level} interval {over}; one that reaches the left edge goes on to zero.")


def hot_against_cold(results: Results, metrics: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Sentences: the best run of each family against real images and a Gaussian."""
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
        top = score(best, metrics[best.name])
        over = "images" if len(top.values) == 1 else "training seeds"
        out.append(f"By its runs' first samplers, the lowest FMD of {words} "
                   f"{seeds(len(top.values))} is that of {named(top.title)}: {between(top)} by "
                   f"{sampler_words(best.record['sampler'])} ({100 * level:.0f} % "
                   f"interval over {over}), normalised {fixed(top.normalised)}; a Gaussian fitted to the "
                   f"pixels has {number(gaussian)}.")
        out += [*passed_over(order, results), *flags([top])]
    return out


def passed_over(order: Ranking, results: Results) -> list[str]:
    """A sentence on runs of lower FMD than the best that are not ranked, and why."""
    def why(e: Entry) -> str:
        start = "" if e.clamped_from is None else f" from t = {e.clamped_from}"
        return listed([word + start * (word == "clamped") for word in e.apart])

    each = [f"{named(results.runs[e.run].title)} ({number(e.fmd)}; {why(e)})" for e in order.passed_over]
    return [f"Not ranked, with a lower FMD: {listed(each)}." if order.best else
            f"Not ranked: {listed(each)}."] if each else []
