"""D1: the same setting for every degradation. What the numbers say, and who generates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from kelvin.artifacts.samples import SampleFolder
from kelvin.report.kit.table import number
from kelvin.report.kit.words import listed, named, ranking, score, seeds
from kelvin.report.results import Results, Run, StudyResults

Metrics = Mapping[str, Mapping[str, Any]]
EVEN = 0.9  # evenness of the classes from which on samples are called varied
ALIKE = 0.2  # x_T whose spread is below this share of real images' are called nearly the same
FAMILIES = ("hot", "warm", "cold")
TARGET = "x0"  # what runs that are held against each other predict


@dataclass(frozen=True)
class Variety:
    """What decides whether a run generates varied images.

    left: share of the signal variance at T. spread: standard deviation of the prior's x_T over samples,
    as a share of that of real images.
    """

    title: str
    evenness: float
    copier: bool
    recall: float
    prior_recall: float
    left: float
    spread: float

    @property
    def lacking(self) -> list[str]:
        """What it fails, with the number; empty for a run that generates varied images."""
        out = []
        if self.evenness < EVEN:
            out.append(f"evenness {number(self.evenness)}")
        if self.copier:
            out.append("a copier")
        if self.recall <= self.prior_recall:
            out.append(f"recall {number(self.recall)}, not above the {number(self.prior_recall)} of its "
                       "x_T alone")
        return out


def spread(images: np.ndarray) -> float:
    """Root mean over pixels of the variance over images; images (n, C, H, W) uint8, 1 = full range."""
    return float(np.sqrt((images.astype(np.float64) / 255).var(0).mean()))


def variety(run: Run, real: float) -> Variety:
    return Variety(run.title, run.mean("class_evenness"), any(run.values("copier")), run.mean("recall"),
                   prior_mean(run, "recall"), float(run.signal_variance[-1]), prior_spread(run) / real)


@cache
def _spread(folder: SampleFolder, stamp: int) -> float:
    return spread(folder.samples().prior)


def prior_spread(run: Run) -> float:
    """The spread of x_T over samples, as the prior drew them; measured once a file."""
    folder = run.first.samples_folder
    return _spread(SampleFolder(folder.path.resolve()), folder.samples_file.stat().st_mtime_ns)


def prior_mean(run: Run, key: str) -> float:
    """A score of x_T itself, mean over replicates."""
    return float(np.mean([r.record["prior"][key] for r in run.replicates]))


def target(run: Run) -> str:
    return run.config.restorer.parameterisation


def findings(study: StudyResults, results: Results, metrics: Metrics) -> list[str]:
    """The ranking of those that were trained alike first, then each fact that bears on it."""
    runs, level = study.trained, results.plan.metrics.confidence
    alike = [run for run in runs if target(run) == TARGET]
    out = []
    if alike:
        scores = [score(run, metrics[run.name]) for run in alike]
        out.append(" ".join([f"Trained alike, predicting {TARGET}: {len(alike)} "
                             f"run{'s' * (len(alike) > 1)}.", *ranking(scores, level)]))
        out += families(alike)
    out += others([run for run in runs if target(run) != TARGET])
    out += clamped(runs)
    if runs:
        real = spread(results.store.split("test").images)
        out += who_generates([variety(run, real) for run in runs], len(results.replicates))
    return out


def families(runs: Sequence[Run]) -> list[str]:
    """Hot against warm against cold: the lowest FMD of each that does not copy."""
    best: dict[str, Run] = {}
    for family in FAMILIES:
        honest = [r for r in runs if r.family == family and not any(r.values("copier"))]
        if honest:
            best[family] = min(honest, key=lambda r: r.mean("fmd"))
    if len(best) < 2:
        return []
    said = listed([f"{family} {number(run.mean('fmd'))} ({named(run.title)})"
                   for family, run in best.items()])
    low, *rest = sorted(best, key=lambda family: best[family].mean("fmd"))
    times = listed([f"{family} {number(best[family].mean('fmd') / best[low].mean('fmd'))} times"
                    for family in rest])
    return [f"The lowest FMD of each temperature {seeds(len(runs[0].replicates))}: {said}. {low.title()} "
            f"is the lowest; the others have a multiple of its FMD: {times}."]


def others(runs: Sequence[Run]) -> list[str]:
    """Runs that predict something else are rows of the table, not a side of the comparison."""
    return [f"{named(run.title)} predicts {target(run)} and not {TARGET}: one more row of the table (FMD "
            f"{number(run.mean('fmd'))}), not the {run.family} side of the comparison." for run in runs]


def clamped(runs: Sequence[Run]) -> list[str]:
    """Which degradations cannot remove what the schedule asks for, and from which t on."""
    tied = [run for run in runs if run.first.process["wanted"] is not None]
    out = []
    for run in tied:
        start = run.first.process["clamped_from"]
        if start is not None:
            out.append(f"{named(run.title)} from t = {start} of {run.steps} (at T "
                       f"{number(float(run.signal_variance[-1]), 2)} is left where "
                       f"{number(float(run.first.process['wanted'][-1]), 2)} was wanted)")
    if out:
        return [f"Out of reach: {listed(out)}. From there on the degradation is as strong as it gets, "
                "and the setting is no longer the same for all."]
    if not tied:
        return []
    off = {run.title: farthest(run) for run in tied}
    title = max(off, key=lambda key: off[key][0])
    factor, t = off[title]
    return ["No degradation is marked as clamped. The farthest from the signal variance that the noise "
            f"schedule asks for is {named(title)}, by a factor of {number(factor)} at t = {t}."]


def farthest(run: Run) -> tuple[float, int]:
    """The largest factor between signal variance left and wanted (either way), and its t."""
    left, wanted = (np.maximum(np.array(v, float), 1e-12)
                    for v in (run.signal_variance, run.first.process["wanted"]))
    factor = np.maximum(left / wanted, wanted / left)
    return float(factor.max()), int(factor.argmax())


def who_generates(found: Sequence[Variety], count: int) -> list[str]:
    """Which runs draw varied images, and for each of the rest what it lacks and what explains it."""
    varied = [named(v.title) for v in found if not v.lacking]
    rule = (f"evenness of the classes at least {EVEN:g}, not a copier, and a recall above that of x_T "
            "itself")
    out = [f"Varied images ({rule}) {seeds(count)}: {listed(varied) if varied else 'no run'}"
           f"{f' ({len(varied)} of {len(found)})' if len(found) > 1 else ''}."]
    return out + [f"Not varied: {named(v.title)} ({'; '.join(v.lacking)}). "
                  f"{reason(v, [w for w in found if not w.lacking])}"
                  for v in found if v.lacking]


def reason(v: Variety, varied: Sequence[Variety] = ()) -> str:
    """Whether the start already is the same every time, from the spread of x_T; and whether a run that
    does generate varied images starts from as little, which would rule that out as the sole reason."""
    facts = (f"The x_T that its prior draws spread by {number(100 * v.spread, 2)} % of the standard "
             f"deviation of real images; {number(100 * v.left, 2)} % of the signal variance is left at T")
    if v.copier:
        return facts + ", and copies say nothing about variety."
    same = min((w for w in varied if w.spread <= ALIKE), key=lambda w: w.spread, default=None)
    if v.spread <= ALIKE and same:
        return facts + (f": the start is nearly the same every time, but {named(same.title)} starts from "
                        f"{number(100 * same.spread, 2)} % and generates varied images, so how "
                        "little is left is not the whole reason; what is left matters.")
    if v.spread <= ALIKE:
        return facts + (": the start is nearly the same every time, so hardly anything tells one sample "
                        "from another.")
    return facts + ": the starts do differ, so what is missing is lost on the way from x_T to the sample."
