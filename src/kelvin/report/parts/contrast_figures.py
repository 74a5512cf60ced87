"""Figures of degradations held against each other: contrasts, what was tuned, and the processes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kelvin.artifacts.names import start_of, started
from kelvin.metrics.verdict import DEPENDS, HIGHER, LOWER, MARGIN, SAME
from kelvin.report.kit.style import (
    BAND,
    COLOURS,
    GREY,
    WIDTH,
    Figure,
    arrange,
    below,
    chart,
    error_bars,
    finish,
    list_rows,
    logarithmic,
    look,
    looks,
    mark,
    plain,
)
from kelvin.report.kit.verdict_words import SAMPLERS
from kelvin.report.parts.arms import EVALUATIONS, KINDS, TIED, Arm, samplers_of, verdict_fmd
from kelvin.report.parts.contrasts import DECLARED, Effect, Page, Step
from kelvin.report.parts.curves import variance_lines
from kelvin.report.results import Results, Run

# of a verdict: colour, marker, and whether the marker is full
OUTCOMES = {LOWER: (COLOURS[5], "o", True), HIGHER: (COLOURS[4], "s", True),
            SAME: (COLOURS[3], "D", True), DEPENDS: (COLOURS[6], "^", True)}
UNDECIDED = (GREY, "o", False)
# of a start: its words, marker and colour
STARTS = {"": ("the prior", "o", COLOURS[5]),
          "held-out": ("true x_T of held-out images", "s", COLOURS[3]),
          "constant": ("the mean image", "^", COLOURS[4])}


def label(arm: Arm, arms: Sequence[Arm]) -> str:
    """An arm's title, with its tying where the same degradation is there under two."""
    several = len({other.tie for other in arms if other.degradation == arm.degradation}) > 1
    return f"{arm.title}, tied by {TIED[arm.tie]}" if several else arm.title


def forest(name: str, page: Page, declared: bool) -> Figure | None:
    """Ratios of FMD with intervals: by each one's declared sampler, or a panel a sampler."""
    kinds = [DECLARED] if declared else [kind for kind in KINDS
                                         if any(e.place[0] == kind for e in page.effects)]
    panels = [[e for e in page.effects if e.place[0] == kind] for kind in kinds]
    if not any(panels):
        return None
    across = min(2, len(panels))
    down = -(-len(panels) // across)
    labels = list(dict.fromkeys(row_label(e, page) for group in panels for e in group))
    order = list(page.sides)
    labels.sort(key=lambda row: (order.index(row[0]), row[1]))
    figure, lattice = chart(WIDTH, down * (0.19 * len(labels) + 0.75) + 0.4, down, across,
                            squeeze=False, sharex=True, sharey=True)
    grid = list(lattice.flat)
    for axes, kind, group in zip(grid, kinds, panels, strict=False):
        axes.axvspan(np.exp(-MARGIN), np.exp(MARGIN), color=BAND, alpha=0.6, linewidth=0, zorder=0)
        axes.axvline(1, color=GREY, linewidth=1, zorder=1)
        for e in group:
            colour, marker, full = OUTCOMES.get(e.verdict.outcome, UNDECIDED)
            y = labels.index(row_label(e, page))
            if e.interval:
                axes.plot(e.interval, [y, y], color=colour, linewidth=1.5)
            axes.plot(e.ratio, y, marker, color=colour, markersize=5.5,
                      markerfacecolor=colour if full else "white", zorder=3)
        if not declared:
            axes.set_title(plain(SAMPLERS[kind]), fontsize=9)
    for axes in grid[len(panels):]:
        axes.set_visible(False)
    for i, axes in enumerate(grid[:len(panels)]):
        last = i >= len(panels) - across
        list_rows(axes, [f"{page.titles[key]}, {nfe}" for key, nfe in labels],
                  "FMD over that of the baseline" if last else "")
        axes.xaxis.set_tick_params(labelbottom=last)
    present = {e.verdict.outcome for group in panels for e in group}
    for word, (colour, marker, _) in OUTCOMES.items():
        if word in present:
            mark(grid[0], marker, word, colour)
    if present - set(OUTCOMES):
        mark(grid[0], UNDECIDED[1], "not decided", UNDECIDED[0], markerfacecolor="white")
    grid[0].fill_between([], [], [], color=BAND, alpha=0.6, label="within 10 %")
    what = "each by its declared sampler" if declared else "within one sampler"
    base = page.sides[page.effects[0].verdict.contrast.baseline]
    held = f"{base.plain_title}{', under the same target' * bool(base.target)}"
    bars = "Bars: 95 % interval over training seeds of each contrast alone; the verdict is corrected " \
        "for all of them." if any(e.interval for e in page.effects) else "One seed has no interval."
    return finish(figure, name, f"FMD of every degradation over that of {held}, {what}, by network "
                  f"evaluations an image (the number after the title). {bars} Left of 1 the "
                  "degradation has the lower FMD; full markers are verdicts.", columns=5)


def row_label(e: Effect, page: Page) -> tuple[str, int]:
    return e.verdict.contrast.candidate, e.place[1]


def over_updates(name: str, lines: Sequence[Sequence[Step]]) -> Figure | None:
    """Ratios of FMD over the number of updates, a line a degradation; None without any."""
    if not lines:
        return None
    figure, axes = chart(WIDTH * 0.8, 4.0)
    last = [steps[-1].candidate for steps in lines]
    for steps, style in zip(lines, looks([arm.run for arm in last]), strict=True):
        ends = [step.interval or (step.ratio, step.ratio) for step in steps]
        error_bars(axes, [step.candidate.updates for step in steps], [step.ratio for step in steps],
                   [low for low, _ in ends], [high for _, high in ends], label(steps[-1].candidate, last),
                   style)
    axes.axhline(1, color=GREY, linewidth=1, zorder=1)
    axes.set(xlabel="updates", ylabel=f"FMD over that of {plain(lines[0][-1].baseline.plain_title)}")
    logarithmic(axes)
    counts = sorted({step.candidate.updates for steps in lines for step in steps})
    bars = " Bars: 95 % interval over training seeds, of each point alone." \
        if any(step.interval for steps in lines for step in steps) else ""
    axes.set_xticks(counts, [f"{count:,}" for count in counts])
    return finish(figure, name, "The ratio of FMD over the length of training, each by its declared "
                  f"sampler with the most evaluations. Below 1 the degradation has the lower FMD.{bars}")


def over_flops(name: str, arms: Sequence[Arm]) -> Figure | None:
    """FMD over training FLOPs, a line a degradation; None where nobody was trained on two budgets."""
    lines = {key: own for key in dict.fromkeys((a.degradation, a.tie) for a in arms)
             if len(own := [a for a in arms if (a.degradation, a.tie) == key
                            and "training_flops" in a.run.record]) > 1}
    if not lines:
        return None
    figure, axes = chart(WIDTH * 0.8, 4.2)
    styles = looks([own[0].run for own in lines.values()])
    for own, style in zip(lines.values(), styles, strict=True):
        fmds = [arm.fmd(place=arm.judged) for arm in own]
        error_bars(axes, [arm.run.record["training_flops"] / 1e12 for arm in own],
                   [np.mean(values) for values in fmds], list(map(min, fmds)), list(map(max, fmds)),
                   label(own[0], arms), style)
    axes.set(xlabel="training, TFLOPs (forward and backward, all updates)", ylabel="FMD")
    logarithmic(axes)
    return finish(figure, name, "FMD over the cost of training: each degradation by the sampler of most "
                  "evaluations that tuning declared for it; without one, by that of its lowest FMD "
                  "against the validation images. Bars: range over training seeds.")


def over_rates(name: str, arms: Sequence[Arm]) -> Figure | None:
    """FMD against the validation images over the learning rate, a panel a budget, the choice ringed."""
    grids = [a for a in arms if a.place and len({run.config.training.lr for run in a.runs}) > 1]
    budgets = sorted({arm.updates for arm in grids})
    if not grids:
        return None
    figure, (panels,) = chart(WIDTH if len(budgets) > 1 else WIDTH * 0.7, 4.0, across=len(budgets),
                              squeeze=False, sharey=True)
    first = {(a.degradation, a.tie): a.run for a in grids}
    styles = dict(zip(first, looks(list(first.values())), strict=True))
    for axes, updates in zip(panels, budgets, strict=True):
        for arm in (arm for arm in grids if arm.updates == updates):
            style = styles[arm.degradation, arm.tie]
            points = sorted((run.config.training.lr, own) for run in arm.runs
                            if (own := lowest(arm, run)) is not None)
            axes.plot(*zip(*points, strict=True), label=plain(label(arm, grids)), **style)
            x, y = arm.run.config.training.lr, lowest(arm, arm.run)
            axes.plot(x, y, "o", markersize=12, markerfacecolor="none", markeredgewidth=1.5,
                      color=style["color"])
        axes.set_title(f"{updates:,} updates", fontsize=9)
        logarithmic(axes)
        values = sorted({run.config.training.lr for arm in grids for run in arm.runs})
        axes.set_xticks(values, [f"{value:g}" for value in values])
        axes.set_xlabel("learning rate")
    panels[0].set_ylabel("FMD, validation images")
    mark(panels[0], "o", "chosen", markersize=12, markerfacecolor="none")
    return finish(figure, name, "FMD against the validation images over the learning rate, each run by "
                  "the sampler of its lowest (geometric means over training seeds). The test images "
                  "choose nothing.", columns=4)


def lowest(arm: Arm, run: Run) -> float | None:
    """FMD against the validation images of a run by its best sampler."""
    values = [v for place in arm.samplers if (v := arm.validation(run, place)) is not None]
    return float(np.exp(min(values))) if values else None


def processes(name: str, arms: Sequence[Arm]) -> Figure | None:
    """Variance left and recoverability over t / T, a line a degradation."""
    figure, (left, right) = chart(WIDTH, 4.0, across=2, sharey=True)
    if variance_lines(left, [arm.run for arm in arms], [label(arm, arms) for arm in arms]):
        mark(left, "X", "clamped from here", markersize=8)
    for i, (arm, style) in enumerate(zip(arms, looks([arm.run for arm in arms]), strict=True)):
        process = arm.run.first.process
        times = np.array(process["recoverability_times"], float)
        every = max(1, len(times) // 8)
        right.plot(times / arm.run.steps, process["recoverability"], **style,
                   markevery=(i % every, every))
    left.set(xlabel="t / T", ylabel="share of the images' variance", ylim=(0, 1.03))
    left.set_title("left in x_t", fontsize=9)
    right.set(xlabel="t / T")
    right.set_title("that least squares gets back from 8 bits", fontsize=9)
    return finish(figure, name, "Two ways to tie severity. Left: the share of the images' variance that "
                  "is left in x_t. Right: the share that linear least squares restores from x_t rounded "
                  "to 8 bits. Degradations that lie on one another in one panel need not in the other.")


def consistency(name: str, arms: Sequence[Arm], results: Results) -> Figure | None:
    """RMSE of D(x0_hat, t, z) from x_t over t / T, a panel a degradation, a line a sampler."""
    shown = [(arm, lines) for arm in arms if (lines := gaps(arm.run, results))]
    if not shown:
        return None
    figure, panels = arrange([label(arm, arms) for arm, _ in shown], 0.9, sharey=True)
    for axes, (arm, lines) in zip(panels, shown, strict=True):
        for kind, rows in lines.items():
            x, y = zip(*rows, strict=True)
            axes.plot(np.array(x) / arm.run.steps, y, label=SAMPLERS[kind],
                      markevery=max(1, len(x) // 8), **look(KINDS.index(kind)))
        axes.set(xlabel="t / T", xlim=(-0.03, 1.03))
    panels[0].set_ylabel("RMSE, 1 = full range")
    every = {text: handle for axes in panels
             for handle, text in zip(*axes.get_legend_handles_labels(), strict=True)}
    below(figure, list(every.values()), list(every), 4)
    return finish(figure, name, "Consistency: how far the restored image, degraded again to the same t, "
                  "is from the state it was restored from, while samples are drawn (from right to left) "
                  "with as many network evaluations as this page has of each sampler. Algorithm 2 "
                  "carries this gap along, Algorithm 1 drops it. Noise has none: its z is estimated.")


def gaps(run: Run, results: Results) -> dict[str, list[tuple[int, float]]]:
    """{kind: (t, mean RMSE over seeds) rising in t}, of each kind with the most evaluations."""
    out: dict[str, list[tuple[int, float]]] = {}
    tables = [replicate.details.get("consistency") or [] for replicate in run.replicates]
    samplers = samplers_of(run, results)
    for kind in KINDS:
        for nfe in sorted(EVALUATIONS, reverse=True):
            own = [{row["t"]: row["rmse"] for row in rows if row["sampler"] == samplers.get((kind, nfe))}
                   for rows in tables]
            if own and all(own):
                out[kind] = [(t, float(np.mean([rows[t] for rows in own]))) for t in sorted(own[0])]
                break
    return out


def starts(name: str, arms: Sequence[Arm]) -> Figure | None:
    """FMD by one sampler from the prior, from true x_T and from a constant: a row a degradation."""
    rows = [(arm, *scores) for arm in arms if (scores := by_start(arm))]
    if not rows:
        return None
    figure, axes = chart(WIDTH, 0.42 * len(rows) + 1.3)
    for y, (_, _, values) in enumerate(rows):
        means = [float(np.mean(v)) for v in values.values()]
        axes.plot([min(means), max(means)], [y, y], color="#BBBBBB", linewidth=1, zorder=1)
        for start, fmds in values.items():
            _, marker, colour = STARTS[start]
            axes.plot(fmds, [y] * len(fmds), marker, color=colour, markersize=6,
                      markerfacecolor="none" if len(fmds) > 1 else None, zorder=2)
    for text, marker, colour in STARTS.values():
        mark(axes, marker, text, colour)
    list_rows(axes, [f"{label(arm, arms)}\n{words_of(arm, sampler)}" for arm, sampler, _ in rows], "FMD")
    return finish(figure, name, "What the prior costs, and what a start from one image costs: FMD of "
                  "samples by one sampler from x_T that the fitted prior draws, from x_T of held-out "
                  "images (none is learnt from), and from the degraded mean image every time. A marker "
                  "a training seed.")


def by_start(arm: Arm) -> tuple[str, dict[str, list[float]]] | None:
    """An arm's sampler, and {start: FMD of each seed by it}; None where only its prior started it."""
    if (sampler := ablated(arm)) is None:
        return None
    keys = {start: started(sampler, start) if start else sampler for start in STARTS}
    return sampler, {start: [verdict_fmd(r["samplers"][key]) for r in arm.run.records]
                     for start, key in keys.items() if key in arm.run.record["samplers"]}


def ablated(arm: Arm) -> str | None:
    """The sampler that also started from something else than the prior: the one that contrasts are by, if
    it did, else the first that did."""
    names = arm.run.record["samplers"]
    judged = [arm.samplers[arm.judged]] if arm.judged else []
    return next((key for key in (*judged, *names) if start_of(key) is None
                 and any(started(key, start) in names for start in STARTS if start)), None)


def words_of(arm: Arm, sampler: str) -> str:
    """A sampler's name in words, where it is one that is contrasted."""
    place = next((place for place, name in arm.samplers.items() if name == sampler), None)
    return sampler if place is None else f"{SAMPLERS[place[0]]} with {place[1]} evaluations"
