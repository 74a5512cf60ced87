"""Points of a sweep: a run's scores by several of its samplers, with their intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from kelvin.report.kit.style import error_bars
from kelvin.report.kit.table import Row
from kelvin.report.kit.words import Score
from kelvin.report.results import Results, Run


@dataclass(frozen=True)
class Point:
    """A run by one sampler. at: the value of what is varied; None for the point without it."""

    run: Run
    sampler: str
    at: float | None
    name: str = ""

    @cached_property
    def scores(self) -> list[Mapping[str, Any]]:
        """One mapping a training seed."""
        return [replicate.record["samplers"][self.sampler] for replicate in self.run.replicates]

    def mean(self, key: str) -> float:
        return float(np.mean([scores[key] for scores in self.scores]))

    def interval(self, key: str) -> tuple[float, float]:
        """(low, high): the interval over images with one seed, else the range over seeds."""
        if len(self.scores) == 1:
            return self.scores[0][f"{key}_low"], self.scores[0][f"{key}_high"]
        values = [scores[key] for scores in self.scores]
        return min(values), max(values)

    def score(self) -> Score:
        return Score(self.name, [s["fmd"] for s in self.scores], *self.interval("fmd"),
                     self.mean("fmd_normalised"), any(s["copier"] for s in self.scores),
                     self.mean("fmd_normalised") < 0, self.scores[0]["copy_fraction"])

    def overlaps(self, other: Point) -> bool:
        (low, high), (other_low, other_high) = self.interval("fmd"), other.interval("fmd")
        return low <= other_high and other_low <= high

    def row(self, own: Row, means: Sequence[str], intervals: Sequence[str] = ("fmd",)) -> Row:
        """A row of a table: its own keys, then the means and the intervals of the scores."""
        return {"run": self.run.name, "title": self.run.title, **own, "nfe": self.scores[0]["nfe"],
                "n": self.scores[0]["n"], **{key: self.mean(key) for key in means},
                **{f"{key}_{end}": value for key in intervals
                   for end, value in zip(("low", "high"), self.interval(key), strict=True)}}


def interval_words(results: Results, images: str = "") -> str:
    """`Point.interval` in words; `images` is added where it is over images."""
    return f"{100 * results.plan.metrics.confidence:.0f} % interval over images{images}" \
        if len(results.replicates) == 1 else "range over training seeds"


def bars(axes: Any, points: Sequence[Point], key: str, label: str, look: Mapping[str, Any],
         x: Callable[[Point], float | None] = lambda point: point.at) -> None:
    """A line through the means of a sweep, with a bar for each interval."""
    low, high = zip(*(point.interval(key) for point in points), strict=True)
    error_bars(axes, [x(point) for point in points], [point.mean(key) for point in points], low, high,
               label, look)
