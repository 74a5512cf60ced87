"""Averaged (EMA) against last weights: FMD over the half-life of the average."""

from __future__ import annotations

import math

from kelvin.artifacts.names import decay_of
from kelvin.report.kit.style import WIDTH, Figure, band, chart, finish, looks, ticks
from kelvin.report.kit.table import NOTHING, Column, Table, number
from kelvin.report.kit.words import between, listed, named, seeds, verdicts
from kelvin.report.parts import columns
from kelvin.report.parts.points import Point, bars, interval_words
from kelvin.report.results import Run
from kelvin.report.studies.base import Study, studies

RAW = "raw"
SHOWN = ("fmd", "fmd_normalised", "precision", "recall", "nearest_ratio")


def warmed_up(decay: float, updates: int) -> float:
    """The decay at the last update: a warm-up holds it to (1 + k) / (10 + k) (kelvin.training.ema)."""
    return min(decay, (1 + updates) / (10 + updates))


def half_life(decay: float) -> float:
    """Updates after which a weight counts half as much in the average: ln 2 / -ln decay; 0 at decay 0."""
    return math.log(2) / -math.log(decay) if decay else 0.0


def last_decay(point: Point) -> float:
    return warmed_up(point.at or 0.0, point.run.record["updates"])


def reach(point: Point) -> float:
    """Half-life of an average in updates, at the end of training; 0 for the last weights."""
    return half_life(last_decay(point)) if point.at else 0.0


def points(run: Run) -> list[Point]:
    """The last weights, then the averages by their decay; all by the run's first sampler.

    An average of training.ema_more with the decay of training.ema is the same one and stands once.
    """
    first, names, own = run.record["sampler"], run.record["samplers"], run.config.training.ema
    more = {name: decay for name in names if (decay := decay_of(name)) is not None}
    decays = {RAW: None, first: own} | {n: d for n, d in more.items() if f"{d:g}" != f"{own:g}"}
    return sorted((Point(run, name, decay, "last weights" if decay is None else f"EMA {decay:g}")
                   for name, decay in decays.items() if name in names),
                  key=lambda p: -1.0 if p.at is None else p.at)


@studies.register("averaging")
class Averaging(Study):
    def compared(self) -> list[list[Point]]:
        """The points of every run that has samples by its last weights."""
        return [sweep for run in self.trained if (sweep := points(run))[0].at is None]

    def figures(self) -> list[Figure]:
        """FMD over the half-life of the average, a line a run."""
        runs = self.compared()
        if not runs:
            return []
        canvas, axes = chart(WIDTH, 3.6)
        for sweep, look in zip(runs, looks([sweep[0].run for sweep in runs]), strict=True):
            bars(axes, sweep, "fmd", sweep[0].run.title, look, reach)
        band(axes, self.results.calibration["floor"], self.results.calibration["floor_sd"])
        axes.set_xscale("symlog", linthresh=1, linscale=0.5)
        farthest = max(reach(p) for sweep in runs for p in sweep)
        marks = [m for k in range(8) for m in (10**k, 2 * 10**k, 5 * 10**k) if m <= 1.3 * farthest]
        marks = marks if len(marks) < 9 else [m for m in marks if str(m)[0] == "1"]
        axes.set_xticks([0, *marks], ["last\nweights", *(f"{m:,}" for m in marks)])
        axes.minorticks_off()
        axes.set(xlabel="half-life of the average, in updates", ylabel="FMD", yscale="log",
                 xlim=(-0.15, 1.4 * farthest + 0.5))
        ticks(axes.yaxis)
        return [finish(canvas, f"{self.name}-half-life", "FMD (logarithmic) of samples from the same "
                       "starting states, by the last weights (left) and by averages of them, over the "
                       "updates after which a weight counts half as much (ln 2 / −ln of the decay at the "
                       f"end of training). Bars: {interval_words(self.results)}.")]

    def tables(self) -> list[Table | None]:
        """One row a run and set of weights."""
        rows = [p.row({"weights": p.name, "decay": p.at,
                       "decay_at_end": None if p.at is None else last_decay(p),
                       "half_life_updates": reach(p), "updates": p.run.record["updates"],
                       "sampler": p.run.record["sampler"]}, SHOWN)
                for sweep in self.compared() for p in sweep]
        heads = [columns.RUN, columns.text("weights"),
                 Column("half-life, updates", lambda r: NOTHING if r["decay"] is None
                        else number(r["half_life_updates"])),
                 Column("decay at the end", columns.cell("decay_at_end")),
                 columns.FMD, columns.NORMALISED, columns.PRECISION, columns.RECALL, columns.NEAREST]
        return [Table(
            self.name, "Generation by the last weights and by exponential moving averages of them, each "
            "run's first sampler from the same starting states. Half-life: updates after which a weight "
            "counts half as much, by the decay at the end of training, which an average's warm-up holds "
            "to (1 + k) / (10 + k) after k updates. Brackets: "
            f"{interval_words(self.results)}. Bold: best of a run.", heads, rows, bold_within="run",
            page=("weights", "half-life, updates", "normalised", "precision", "recall",
                  "nearest"))] if rows else []

    def findings(self) -> list[str]:
        """How many runs an average helps, then each run with several averages, then tests."""
        runs = self.compared()
        if not runs:
            return ["No active run of this study was drawn from by its last weights."]
        out = [summary(runs, interval_words(self.results))]
        for sweep in runs:
            title, updates = named(sweep[0].run.title), sweep[0].run.record["updates"]
            if len(sweep) > 2:
                out.append(lowest(sweep))
            if same := alike(sweep):
                out.append(f"{title}: {listed(same)} are one average, since the warm-up holds every "
                           f"decay below {number(warmed_up(1.0, updates))} in {number(updates)} updates.")
            out += [f"{title}: {words}" for words in verdicts(
                sweep[0].score(), [p.score() for p in sweep[1:]], self.level)]
        return out


def primary(sweep: list[Point]) -> Point:
    return next(p for p in sweep if p.sampler == p.run.record["sampler"])


def summary(runs: list[list[Point]], about: str) -> str:
    """In how many runs `training.ema` has a lower FMD than the last weights, and the largest change."""
    pairs = [(sweep[0], primary(sweep)) for sweep in runs]
    lower = sum(ema.mean("fmd") < last.mean("fmd") for last, ema in pairs)
    last, ema = max(pairs, key=lambda pair: abs(math.log(pair[1].mean("fmd") / pair[0].mean("fmd"))))
    apart = [named(a.run.title) for a, b in pairs if not a.overlaps(b)]
    kind = "intervals" if len(last.scores) == 1 else "ranges"
    return (f"The averaged weights (training.ema) have a lower FMD than the last ones in {lower} of "
            f"{len(runs)} run{'s' * (len(runs) > 1)} {seeds(len(last.scores))}. The change is largest "
            f"for {named(last.run.title)}: {between(ema.score())} against {between(last.score())} "
            f"({about}). "
            + (f"The two {kind} do not overlap for {listed(apart)}." if apart
               else f"The two {kind} overlap in every run."))


def lowest(sweep: list[Point]) -> str:
    """Which average has the lowest FMD, and which intervals overlap with its own."""
    best = min(sweep, key=lambda p: p.mean("fmd"))
    near = [p.name for p in sweep if p is not best and p.overlaps(best)]
    half = f" (half-life {number(reach(best))} updates)" if best.at is not None else ""
    count, kind = len(best.scores), "interval" if len(best.scores) == 1 else "range"
    return (f"{named(best.run.title)}: {seeds(count)} FMD is lowest by {best.name}{half}, "
            f"{between(best.score())}; its {kind} overlaps with "
            + (f"that of {listed(near)}." if near else "no other's."))


def alike(sweep: list[Point]) -> list[str]:
    """Averages that are the same because the warm-up held their decays to one value."""
    cap = warmed_up(1.0, sweep[0].run.record["updates"])
    names = [p.name for p in sweep if p.at is not None and p.at >= cap]
    return names if len(names) > 1 else []
