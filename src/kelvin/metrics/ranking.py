"""Which runs may be ranked together, and which sampler a degradation is ranked by.

A clamped run was not degraded as asked; a run that is given classes, or guided towards them, is helped by
labels that the rest never saw; a copier repeats its training images. None of them wins in silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kelvin.common.errors import KelvinError

CLAMPED, CONDITIONAL, GUIDED, COPIER = "clamped", "class-conditional", "guided", "copier"


@dataclass(frozen=True)
class Entry:
    """A run as ranked: its FMD (lower is better) by one named sampler, and what sets it apart."""

    run: str
    sampler: str
    fmd: float
    clamped_from: int | None = None
    conditional: bool = False
    guided: bool = False
    copier: bool = False

    @property
    def apart(self) -> tuple[str, ...]:
        """Why it is not ranked with the others; empty for a run that is."""
        return tuple(word for word, holds in (
            (CLAMPED, self.clamped_from is not None), (CONDITIONAL, self.conditional),
            (GUIDED, self.guided), (COPIER, self.copier)) if holds)


@dataclass(frozen=True)
class Ranking:
    """ranked: by rising FMD. apart: those that are not ranked, by rising FMD as well."""

    ranked: tuple[Entry, ...]
    apart: tuple[Entry, ...]

    @property
    def best(self) -> Entry | None:
        return self.ranked[0] if self.ranked else None

    @property
    def passed_over(self) -> tuple[Entry, ...]:
        """Those apart whose FMD is below the best one's, which a reader must know of."""
        return tuple(e for e in self.apart if self.best is None or e.fmd < self.best.fmd)


def rank(entries: Iterable[Entry]) -> Ranking:
    """Entries by FMD; clamped, class-conditional, guided ones and copiers apart, with the reasons."""
    ordered = sorted(entries, key=lambda e: (e.fmd, e.run, e.sampler))
    infinite = [e.run for e in ordered if not np.isfinite(e.fmd)]
    if infinite:
        raise KelvinError(f"a ranking needs a finite FMD of every run; {', '.join(infinite)} has none")
    return Ranking(tuple(e for e in ordered if not e.apart), tuple(e for e in ordered if e.apart))


@dataclass(frozen=True)
class Tuned:
    """One score on a tuning seed."""

    degradation: str
    sampler: str
    nfe: int
    seed: int
    fmd: float


@dataclass(frozen=True)
class Declaration:
    """The sampler each degradation is judged by, {(degradation, nfe): sampler}, and the seeds that chose
    it, which judge nothing afterwards."""

    samplers: Mapping[tuple[str, int], str]
    seeds: frozenset[int]

    def sampler(self, degradation: str, nfe: int) -> str:
        if (degradation, nfe) not in self.samplers:
            raise KelvinError(f"no sampler of {degradation} was declared at {nfe} evaluations")
        return self.samplers[degradation, nfe]

    def of(self, degradation: str, nfe: int, scores: Mapping[str, Mapping[int, float]]
           ) -> dict[int, float]:
        """{seed: value} of the declared sampler, out of {sampler: {seed: value}}; fresh seeds alone."""
        sampler = self.sampler(degradation, nfe)
        if sampler not in scores:
            raise KelvinError(f"{degradation} has no samples by {sampler}, the declared sampler at {nfe} "
                              "evaluations")
        return {seed: value for seed, value in scores[sampler].items() if seed not in self.seeds}


def declare(records: Sequence[Tuned]) -> Declaration:
    """The sampler of lowest mean log FMD over the tuning seeds, for each degradation and number of
    evaluations; of equal ones the first by name. Every sampler of one choice needs the same seeds."""
    tables: dict[tuple[str, int], dict[str, dict[int, float]]] = {}
    for r in records:
        if not np.isfinite(r.fmd) or r.fmd <= 0:
            raise KelvinError(f"a sampler is chosen by positive FMD: {r.degradation} by {r.sampler} has "
                              f"{r.fmd}")
        scores = tables.setdefault((r.degradation, r.nfe), {}).setdefault(r.sampler, {})
        if r.seed in scores:
            raise KelvinError(f"{r.degradation} by {r.sampler} at {r.nfe} evaluations is given twice for "
                              f"seed {r.seed}")
        scores[r.seed] = r.fmd
    if not tables:
        raise KelvinError("a sampler is declared on tuning seeds, and no record of one is given")
    chosen = {}
    for (degradation, nfe), table in tables.items():
        if len({frozenset(scores) for scores in table.values()}) > 1:
            raise KelvinError(f"the samplers of {degradation} at {nfe} evaluations were tuned on "
                              "different seeds")
        means = {name: float(np.log(list(table[name].values())).mean()) for name in sorted(table)}
        chosen[degradation, nfe] = min(means, key=means.__getitem__)
    return Declaration(chosen, frozenset(r.seed for r in records))
