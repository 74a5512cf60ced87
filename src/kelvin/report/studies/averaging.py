"""Averaged (EMA) against last weights: FMD over how far back the average reaches."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kelvin.artifacts.names import decay_of
from kelvin.metrics.comparisons import LEAST
from kelvin.report.kit.style import BAND, WIDTH, Figure, finish, legend_below, look, new, plain, ticks
from kelvin.report.kit.table import NOTHING, Column, Row, Table, fixed, number, span
from kelvin.report.kit.words import Score, between, listed, named, seeds, verdicts
from kelvin.report.parts import calibrating
from kelvin.report.results import Results, Run, StudyResults

RAW = "raw"
SHOWN = ("fmd", "fmd_normalised", "precision", "recall", "nearest_ratio")


def warmed_up(decay: float, updates: int) -> float:
    """The decay at the last update: a warm-up holds it to (1 + k) / (10 + k) (kelvin.training.ema)."""
    return min(decay, (1 + updates) / (10 + updates))


def half_life(decay: float) -> float:
    """Updates after which a weight counts half as much in the average: ln 2 / -ln decay; 0 at decay 0."""
    return math.log(2) / -math.log(decay) if decay else 0.0


@dataclass(frozen=True)
class Point:
    """A run's samples by one set of weights, each seed's scores; decay: None for the last weights."""

    run: Run
    sampler: str
    decay: float | None
    scores: list[Mapping[str, Any]]

    @property
    def name(self) -> str:
        return "last weights" if self.decay is None else f"EMA {self.decay:g}"

    @property
    def last_decay(self) -> float:
        return warmed_up(self.decay or 0.0, self.run.record["updates"])

    @property
    def reach(self) -> float:
        """Half-life in updates at the end of training."""
        return half_life(self.last_decay) if self.decay else 0.0

    def mean(self, key: str) -> float:
        return float(np.mean([s[key] for s in self.scores]))

    def interval(self, key: str) -> tuple[float, float]:
        """Over images with one seed, else the seeds' range."""
        if len(self.scores) == 1:
            return self.scores[0][f"{key}_low"], self.scores[0][f"{key}_high"]
        values = [s[key] for s in self.scores]
        return min(values), max(values)

    def score(self) -> Score:
        return Score(self.name, [s["fmd"] for s in self.scores], *self.interval("fmd"),
                     self.mean("fmd_normalised"), any(s["copier"] for s in self.scores),
                     any(s["below_floor"] for s in self.scores), self.scores[0]["copy_fraction"])


def points(run: Run) -> list[Point]:
    """The last weights, then the averages by their decay; all by the run's first sampler.

    One of training.ema_more that has the decay of training.ema is the same average: it stands once.
    """
    first, drawn, own = run.record["sampler"], run.record["samplers"], run.config.training.ema
    more = {name: decay for name in drawn if (decay := decay_of(name)) is not None}
    decays = {RAW: None, first: own} | {n: d for n, d in more.items() if f"{d:g}" != f"{own:g}"}
    found = [Point(run, name, decay, [r.record["samplers"][name] for r in run.replicates])
             for name, decay in decays.items() if name in drawn]
    return sorted(found, key=lambda p: -1.0 if p.decay is None else p.decay)


def compared(study: StudyResults) -> list[list[Point]]:
    """The points of every run that was drawn from by its last weights too."""
    return [found for run in study.trained if (found := points(run))[0].decay is None]


def over(results: Results) -> str:
    return f"{100 * results.plan.metrics.confidence:.0f} % interval over images" \
        if len(results.replicates) == 1 else "range over training seeds"


def figures(study: StudyResults, results: Results) -> list[Figure]:
    """FMD over the half-life of the average, a line a run."""
    runs = compared(study)
    if not runs:
        return []
    canvas = new(WIDTH, 3.6)
    axes = canvas.subplots()
    for i, found in enumerate(runs):
        y = np.array([p.mean("fmd") for p in found])
        low, high = np.array([p.interval("fmd") for p in found]).T
        axes.errorbar([p.reach for p in found], y, [np.maximum(y - low, 0), np.maximum(high - y, 0)],
                      capsize=2, label=plain(found[0].run.title), **look(i))
    floor, sd = results.calibration["floor"], results.calibration["floor_sd"]
    axes.axhspan(floor - sd, floor + sd, color=BAND, zorder=0, label="real images (mean ± sd)")
    axes.set_xscale("symlog", linthresh=1, linscale=0.5)
    farthest = max(p.reach for found in runs for p in found)
    marks = [m for k in range(8) for m in (10**k, 2 * 10**k, 5 * 10**k) if m <= 1.3 * farthest]
    marks = marks if len(marks) < 9 else [m for m in marks if str(m)[0] == "1"]
    axes.set_xticks([0, *marks], ["last\nweights", *(f"{m:,}" for m in marks)])
    axes.minorticks_off()
    axes.set(xlabel="half-life of the average, in updates", ylabel="FMD", yscale="log",
             xlim=(-0.15, 1.4 * farthest + 0.5))
    ticks(axes.yaxis)
    legend_below(canvas, axes, 3)
    return [finish(canvas, f"{study.name}-half-life", "FMD (logarithmic) of samples from the same "
                   "starting states, by the last weights (left) and by averages of them, over the "
                   "updates after which a weight counts half as much (ln 2 / −ln of the decay at the "
                   f"end of training). Bars: {over(results)}.")]


def table(study: StudyResults, results: Results) -> Table | None:
    """One row a run and set of weights, below the calibrating rows; None without a run."""
    rows: list[Row] = []
    for p in (p for found in compared(study) for p in found):
        row = {"run": p.run.name, "title": p.run.title, "weights": p.name, "decay": p.decay,
               "decay_at_end": p.last_decay if p.decay is not None else None,
               "half_life_updates": p.reach, "updates": p.run.record["updates"],
               "sampler": p.run.record["sampler"], "nfe": p.scores[0]["nfe"], "n": p.scores[0]["n"],
               **{key: p.mean(key) for key in SHOWN}}
        rows.append(row | dict(zip(("fmd_low", "fmd_high"), p.interval("fmd"), strict=True)))
    if not rows:
        return None
    columns = [Column("run", lambda r: r["title"]), Column("weights", lambda r: r["weights"] or NOTHING),
               Column("half-life, updates", lambda r: NOTHING if r["decay"] is None
                      else number(r["half_life_updates"])),
               Column("decay at the end", lambda r: NOTHING if r["decay"] is None
                      else number(r["decay_at_end"])),
               Column("FMD", lambda r: span(r, "fmd"), "fmd", "min"),
               Column("normalised", lambda r: fixed(r["fmd_normalised"]), "fmd_normalised", "min"),
               Column("precision", lambda r: number(r["precision"]), "precision", "max"),
               Column("recall", lambda r: number(r["recall"]), "recall", "max"),
               Column("nearest", lambda r: number(r["nearest_ratio"]))]
    return Table(study.name, "Generation by the last weights and by exponential moving averages of them, "
                 "each run's first sampler from the same starting states. Half-life: updates after which "
                 "a weight counts half as much, by the decay at the end of training, which an average's "
                 f"warm-up holds to (1 + k) / (10 + k) after k updates. Brackets: {over(results)}"
                 f"{calibrating.note(results)}. Bold: best of a run.", columns,
                 calibrating.with_scale(rows, results), lambda r: not calibrating.is_one(r), "run")


def findings(study: StudyResults, results: Results, metrics: Mapping[str, Row]) -> list[str]:
    """How many runs an average helps, then each run with several averages, then tests."""
    runs = compared(study)
    if not runs:
        return ["No active run of this study was drawn from by its last weights."]
    out, level = [summary(runs, over(results))], results.plan.metrics.confidence
    for found in runs:
        if len(found) > 2:
            out.append(sweep(found))
        if same := alike(found):
            out.append(f"{named(found[0].run.title)}: {listed(same)} are one average, since the warm-up "
                       f"holds every decay below {number(warmed_up(1.0, found[0].run.record['updates']))}"
                       f" in {number(found[0].run.record['updates'])} updates.")
        if len(results.replicates) >= LEAST:
            said = verdicts(found[0].score(), [p.score() for p in found[1:]], level)
            out += [f"{named(found[0].run.title)}: {words}" for words in said]
    return out


def primary(found: list[Point]) -> Point:
    return next(p for p in found if p.sampler == p.run.record["sampler"])


def summary(runs: list[list[Point]], about: str) -> str:
    """In how many runs `training.ema` has a lower FMD than the last weights, and the largest change."""
    pairs = [(found[0], primary(found)) for found in runs]
    lower = sum(ema.mean("fmd") < last.mean("fmd") for last, ema in pairs)
    last, ema = max(pairs, key=lambda pair: abs(math.log(pair[1].mean("fmd") / pair[0].mean("fmd"))))
    apart = [named(a.run.title) for a, b in pairs if not overlapping(a, b)]
    kind = "intervals" if len(last.scores) == 1 else "ranges"
    return (f"The averaged weights (training.ema) have a lower FMD than the last ones in {lower} of "
            f"{len(runs)} run{'s' * (len(runs) > 1)} {seeds(len(last.scores))}. The change is largest "
            f"for {named(last.run.title)}: {between(ema.score())} against {between(last.score())} "
            f"({about}). " + (f"The two {kind} do not overlap for {listed(apart)}." if apart
                              else f"The two {kind} overlap in every run."))


def overlapping(a: Point, b: Point) -> bool:
    (low, high), (other_low, other_high) = a.interval("fmd"), b.interval("fmd")
    return low <= other_high and other_low <= high


def sweep(found: list[Point]) -> str:
    """Which of several averages has the lowest FMD, and with which its interval overlaps."""
    best = min(found, key=lambda p: p.mean("fmd"))
    near = [p.name for p in found if p is not best and overlapping(p, best)]
    reach = f" (half-life {number(best.reach)} updates)" if best.decay is not None else ""
    count, kind = len(best.scores), "interval" if len(best.scores) == 1 else "range"
    return (f"{named(found[0].run.title)}: {seeds(count)} FMD is lowest by {best.name}{reach}, "
            f"{between(best.score())}; its {kind} overlaps with "
            + (f"that of {listed(near)}." if near else "no other's."))


def alike(found: list[Point]) -> list[str]:
    """Averages that the warm-up has made the same: decays that it held to one value."""
    cap = warmed_up(1.0, found[0].run.record["updates"])
    held = [p.name for p in found if p.decay is not None and p.decay >= cap]
    return held if len(held) > 1 else []
