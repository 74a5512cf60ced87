"""The sides of a contrast of degradations: which runs are one side, what was tuned, and its gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from kelvin.common.errors import KelvinError
from kelvin.config.vary import Variant
from kelvin.metrics.gates import (
    BUDGET,
    RESTORATION,
    Gate,
    budget_gate,
    restoration_gate,
    seeds_gate,
    severity_gate,
)
from kelvin.metrics.ranking import Tuned, declare
from kelvin.report.results import Results, Run
from kelvin.schedules import TIES

KINDS = ("naive", "improved", "ddim", "ancestral")  # of samplers that are contrasted
EVALUATIONS = (5, 20, 50, 100)  # of the network, an image
TARGET = "restorer.parameterisation"  # what a network predicts, as a record varies it
TIED = {"variance": "the variance left", "recoverability": "recoverability"}
Place = tuple[str, int]  # kind of sampler, network evaluations


@dataclass(frozen=True)
class Arm:
    """A degradation, tied in one way, after so many updates; of a record that varies what the networks
    predict, `target`, with one of them, which its name and title then carry. runs: those that
    differ in what is tuned alone. samplers: {(kind, evaluations): name}, that all of them were drawn by.
    tuner: the record that declared some of them, `declaration`, on seeds of its own."""

    degradation: str
    title: str
    tie: str
    updates: int
    runs: tuple[Run, ...]
    samplers: Mapping[Place, str]
    tuner: str | None = None
    declaration: tuple[Place, ...] = ()
    target: str = ""

    @property
    def base(self) -> str:
        """The degradation's run, whatever the target."""
        return self.degradation.removesuffix(f"/{self.target}")

    @property
    def plain_title(self) -> str:
        """Without the target."""
        return self.title.removesuffix(f", target {self.target}")

    @property
    def is_tuned(self) -> bool:
        """Whether something was chosen among its runs, on their own seeds."""
        return len(self.runs) > 1

    @cached_property
    def choice(self) -> tuple[Run, Place | None]:
        """The run and sampler of lowest mean log FMD against the validation images; the first run, and no
        sampler, where none was scored against them."""
        scored = [(value, i, place) for i, run in enumerate(self.runs) for place in self.samplers
                  if (value := self.validation(run, place)) is not None]
        if not scored:
            return self.runs[0], None
        _, i, place = min(scored)
        return self.runs[i], place

    @property
    def run(self) -> Run:
        return self.choice[0]

    @property
    def place(self) -> Place | None:
        return self.choice[1]

    @property
    def judged(self) -> Place | None:
        """The sampler that budgets are judged by: the one with the most evaluations that another record
        declared, else that of the choice."""
        return max(self.declaration, key=lambda place: place[1], default=self.place)

    def scores(self, run: Run, place: Place | None) -> list[Mapping[str, Any]]:
        """Of each training seed; of the run's first sampler for None."""
        name = run.record["sampler"] if place is None else self.samplers[place]
        return [record["samplers"][name] for record in run.records]

    def fmd(self, run: Run | None = None, place: Place | None = None) -> list[float]:
        """FMD of each training seed, the median over classifiers; of the choice if nothing is said."""
        return [verdict_fmd(s) for s in self.scores(run or self.run, place or self.place)]

    def validation(self, run: Run, place: Place) -> float | None:
        """Mean log FMD against the validation images over seeds; None where any is missing."""
        values = [s.get("fmd_validation") for s in self.scores(run, place)]
        if any(v is None or v <= 0 for v in values):
            return None
        return float(np.mean(np.log(values)))

    @cached_property
    def declared(self) -> dict[int, str]:
        """{evaluations: kind of sampler}: as another record declared them, else of the chosen run by FMD
        against the validation images."""
        if self.declaration:
            return {nfe: kind for kind, nfe in self.declaration}
        tuned = [Tuned(self.degradation, kind, nfe, replicate.index, score["fmd_validation"])
                 for (kind, nfe) in self.samplers
                 if self.validation(self.run, (kind, nfe)) is not None
                 for replicate, score in zip(self.run.replicates, self.scores(self.run, (kind, nfe)),
                                             strict=True)]
        return {nfe: kind for (_, nfe), kind in declare(tuned).samplers.items()} if tuned else {}


def verdict_fmd(scores: Mapping[str, Any]) -> float:
    """The FMD of a verdict: the median over classifiers; in records of one classifier, its own."""
    return float(scores.get("fmd_median", scores["fmd"]))


def arms(runs: Sequence[Run], results: Results) -> list[Arm]:
    """The sides that these runs make, in their order, the fewest updates first."""
    grouped: dict[tuple[str, str, str, int], list[Run]] = {}
    for run in runs:
        point = results.plan.varied.get(run.name)
        tie = run.config.schedule.model_dump().get("tie", TIES[0])
        target = str(point.values.get(TARGET, "")) if point else ""
        grouped.setdefault((point.run if point else run.name, tie, target, run.record["updates"]),
                           []).append(run)
    order = list(dict.fromkeys(key[:3] for key in grouped))
    return [arm_of(*key, group, results) for key, group in sorted(
        grouped.items(), key=lambda item: (order.index(item[0][:3]), item[0][3]))]


def arm_of(name: str, tie: str, target: str, updates: int, group: Sequence[Run], results: Results
           ) -> Arm:
    samplers = common_samplers(group, results)
    point = results.plan.varied.get(group[0].name)
    declared = point.samplers if point else []
    title = base_title(group[0], results)
    if target:
        name, title = f"{name}/{target}", f"{title}, target {target}"
    return Arm(name, title, tie, updates, tuple(group), samplers,
               point.tuned_by if point and declared else None,
               tuple(place for place, sampler in samplers.items() if sampler in declared), target)


def base_title(run: Run, results: Results) -> str:
    """A run's title without what its record varies of it."""
    point = results.plan.varied.get(run.name)
    return run.title.removesuffix(f", {Variant(point.run, '', point.values).words}") if point \
        else run.title


def common_samplers(runs: Sequence[Run], results: Results) -> dict[Place, str]:
    """{(kind, evaluations): name} of the samplers that all of these runs were drawn by."""
    names = [samplers_of(run, results) for run in runs]
    return {place: name for place, name in names[0].items()
            if all(other.get(place) == name for other in names[1:])}


def samplers_of(run: Run, results: Results) -> dict[Place, str]:
    """Those that a contrast may be of: without noise of their own, started from the prior."""
    out: dict[Place, str] = {}
    for name, scores in run.record["samplers"].items():
        options = results.plan.sampler(name) if name in results.plan.samplers else {}
        if options.get("kind") in KINDS and scores["nfe"] in EVALUATIONS \
                and not options.get("eta") and options.get("z") != "estimated":
            out.setdefault((options["kind"], scores["nfe"]), name)
    return out


def gates_of(arm: Arm, smaller: Sequence[Arm], grey_levels: int) -> list[Gate]:
    """The four gates of an arm's chosen run. smaller: the same degradation after fewer updates.

    A miss of the first is conditional where several budgets were trained and the largest misses it: no
    budget in reach passes. Seeds that something was tuned on are not fresh.
    """
    run = arm.run
    process, steps = run.first.process, run.signal_variance
    tuned = [r.index for r in run.replicates] if arm.is_tuned else []
    targets = process["wanted"]
    return [restoration(run, grey_levels, in_reach=not smaller), budget(arm, smaller),
            severity_gate(process["clamped_from"], float(steps[-1]),
                          float(targets[-1]) if targets else None),
            seeds_gate([r.index for r in run.replicates], arm.updates, tuned)]


def restoration(run: Run, grey_levels: int, in_reach: bool) -> Gate:
    """Of the means over seeds at each t."""
    tables = [r.details.get("gates") or [] for r in run.replicates]
    if not all(tables):
        return Gate(RESTORATION, False, "It was not held against least squares over t.")
    times = [row["t"] for row in tables[0]]
    one_shot, linear = (np.mean([[row[key] for row in rows] for rows in tables], 0)
                        for key in ("one_shot_rmse", "linear_rmse"))
    return restoration_gate(times, list(one_shot), list(linear), grey_levels, in_reach)


def budget(arm: Arm, smaller: Sequence[Arm]) -> Gate:
    """Against the nearest budget of half the updates or fewer, by one sampler (see `Arm.judged`)."""
    place = arm.judged
    halves = [other for other in smaller if 2 * other.updates <= arm.updates
              and (place is None or place in other.samplers)]
    if not halves:
        return Gate(BUDGET, False, f"It was trained for {arm.updates:,} updates and for no budget of "
                    "half of them or less, so what more would change is not known.")
    half = halves[-1]
    try:
        return budget_gate((half.updates, arm.updates), half.fmd(place=place),
                           arm.fmd(place=place))
    except KelvinError as error:
        return Gate(BUDGET, False, f"It cannot be judged: {error}.")
