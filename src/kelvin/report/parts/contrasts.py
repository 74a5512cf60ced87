"""Contrasts of degradations within one sampler and one number of evaluations, and what they conclude."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kelvin.common.errors import KelvinError
from kelvin.metrics.gates import Gate
from kelvin.metrics.verdict import HIGHER, LOWER, SAME, Contrast, TTest, Verdict, verdicts, welch
from kelvin.report.parts.arms import EVALUATIONS, KINDS, TIED, Arm, Place, gates_of, verdict_fmd

DECLARED = "declared"  # in place of a sampler: of each side the one that tuning declared for it
DISAGREE = "the tyings disagree"
DECIDED = (LOWER, HIGHER, SAME)


@dataclass(frozen=True)
class Effect:
    """A verdict with its numbers, which stand where there is no verdict too. kinds: the samplers of
    baseline and candidate. family: of the page, those without a verdict counted."""

    verdict: Verdict
    tie: str
    candidate: str  # the degradation
    kinds: tuple[str, str]
    ratio: float  # candidate's FMD over the baseline's, of geometric means over seeds
    test: TTest | None  # None with one seed
    family: int
    by_classifier: tuple[float, float] | None = None  # the lowest and highest ratio of one

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the ratio, of this contrast alone."""
        return None if self.test is None else self.test.ratios()

    @property
    def detectable(self) -> float | None:
        """The rise of FMD, as a share, that is found with power 0.8 at the strictest level of the
        judged contrasts; of all, where none is judged."""
        return None if self.test is None else self.test.rise(self.verdict.family or self.family)

    @property
    def place(self) -> Place:
        return self.verdict.contrast.sampler, self.verdict.contrast.nfe


@dataclass(frozen=True)
class Page:
    """All that a page contrasts: one family. sides: the arms that are contrasted, by key, and their
    gates; titles: of the keys."""

    effects: list[Effect]
    sides: Mapping[str, Arm]
    gates: Mapping[str, Sequence[Gate]]
    titles: Mapping[str, str]

    @property
    def ties(self) -> list[str]:
        return list(dict.fromkeys(e.tie for e in self.effects))

    def by_contrast(self) -> dict[tuple[str, str, int], list[Effect]]:
        """{(degradation, sampler, evaluations): one a tying}."""
        out: dict[tuple[str, str, int], list[Effect]] = {}
        for e in self.effects:
            out.setdefault((e.candidate, *e.place), []).append(e)
        return out

    def conclusions(self) -> dict[tuple[str, str, int], str]:
        """The outcome of each contrast; where the tyings do not agree on a decided one, that."""
        out = {}
        for key, group in self.by_contrast().items():
            words = {e.verdict.outcome for e in group}
            both = len(group) == len(self.ties)
            out[key] = words.pop() if len(words) == 1 and both else DISAGREE
        return out


def contrasted(arms: Sequence[Arm], baseline: str, grey_levels: int, colour: bool) -> Page:
    """Every other degradation against `baseline`, each tying by itself, after the most updates that both
    had, predicting the same: within each sampler and number of evaluations that both took, and each by
    its declared sampler."""
    others = [arm for arm in arms if arm.base != baseline]
    ties = list(dict.fromkeys(arm.tie for arm in others))
    pairs = [pair for tie in ties
             for name, target in dict.fromkeys((arm.degradation, arm.target) for arm in others)
             for pair in pairs_of(of_target(arms, target), baseline, name, tie)[-1:]]
    sides, gates = {}, {}
    for arm in (arm for pair in pairs for arm in pair):
        smaller = [other for other in arms if (other.degradation, other.tie) ==
                   (arm.degradation, arm.tie) and other.updates < arm.updates]
        sides[key_of(arm)], gates[key_of(arm)] = arm, gates_of(arm, smaller, grey_levels)
    prepared = [entry for pair in pairs for entry in contrasts_of(*pair, gates, colour)]
    outcomes = verdicts([contrast for contrast, _, _ in prepared])
    several = {name for name in (arm.degradation for arm in sides.values())
               if len({arm.tie for arm in sides.values() if arm.degradation == name}) > 1}
    titles = {key: f"{arm.title}, tied by {TIED[arm.tie]}" if arm.degradation in several else arm.title
              for key, arm in sides.items()}
    return Page([effect_of(v, tie, kinds, sides, len(prepared)) for v, (_, kinds, tie) in
                 zip(outcomes, prepared, strict=True)], sides, gates, titles)


@dataclass(frozen=True)
class Step:
    """Two sides after so many updates, each by its declared sampler with nfe evaluations. ratio: the
    candidate's FMD over the baseline's; interval: 95 %, None with one seed."""

    baseline: Arm
    candidate: Arm
    nfe: int
    ratio: float
    interval: tuple[float, float] | None


def over_updates(arms: Sequence[Arm], baseline: str) -> list[list[Step]]:
    """Of each degradation, tying and target its steps, the fewest updates first; of those alone that were
    trained for several numbers of updates, as the baseline was."""
    out = []
    for name, target, tie in dict.fromkeys((arm.degradation, arm.target, arm.tie) for arm in arms
                                           if arm.base != baseline):
        steps = []
        for pair in pairs_of(of_target(arms, target), baseline, name, tie):
            if both := set(pair[0].declared) & set(pair[1].declared):
                nfe = max(both)
                ratio, test = ratio_of(*(arm.fmd(place=(arm.declared[nfe], nfe)) for arm in pair))
                steps.append(Step(*pair, nfe, ratio, None if test is None else test.ratios()))
        out += [steps] if len(steps) > 1 else []
    return out


def key_of(arm: Arm) -> str:
    return f"{arm.degradation}@{arm.tie}-{arm.updates}"


def of_target(arms: Sequence[Arm], target: str) -> list[Arm]:
    return [arm for arm in arms if arm.target == target]


def pairs_of(arms: Sequence[Arm], baseline: str, name: str, tie: str) -> list[tuple[Arm, Arm]]:
    """The baseline, of that tying where it was trained under it, and the candidate, after each number of
    updates that both had, the fewest first."""
    candidates = {arm.updates: arm for arm in arms if (arm.degradation, arm.tie) == (name, tie)}
    first = [arm for arm in arms if arm.base == baseline]
    first = [arm for arm in first if arm.tie == tie] or first
    bases = {arm.updates: arm for arm in first}
    return [(bases[updates], candidates[updates]) for updates in sorted(set(bases) & set(candidates))]


def contrasts_of(base: Arm, candidate: Arm, gates: Mapping[str, Sequence[Gate]], colour: bool
                 ) -> list[tuple[Contrast, tuple[str, str], str]]:
    """(contrast, the kinds of both samplers, tying) of two arms."""
    places = [(kind, nfe, (kind, kind)) for kind in KINDS for nfe in EVALUATIONS
              if (kind, nfe) in base.samplers and (kind, nfe) in candidate.samplers]
    places += [(DECLARED, nfe, (base.declared[nfe], candidate.declared[nfe])) for nfe in EVALUATIONS
               if nfe in base.declared and nfe in candidate.declared]
    out = []
    for sampler, nfe, kinds in places:
        values = [measures(arm, (kind, nfe)) for arm, kind in zip((base, candidate), kinds, strict=True)]
        keys = [key for key in values[0] if key in values[1]]
        if "fd_pixels" not in keys or "fd_random" not in keys:
            continue
        names = key_of(base), key_of(candidate)
        out.append((Contrast(*names, sampler, nfe, {key: (values[0][key], values[1][key])
                                                    for key in keys},
                             {name: gates[name] for name in names},
                             colour=colour and "fid" in keys), kinds, candidate.tie))
    return out


def measures(arm: Arm, place: Place) -> dict[str, list[float]]:
    """{measure of a verdict: a value a seed}; what a record has not is left out."""
    scores = arm.scores(arm.run, place)
    out = {"fmd": [verdict_fmd(s) for s in scores]}
    return out | {key: [s[key] for s in scores] for key in ("fd_pixels", "fd_random", "fid")
                  if all(s.get(key) is not None for s in scores)}


def effect_of(verdict: Verdict, tie: str, kinds: tuple[str, str], sides: Mapping[str, Arm], family: int
              ) -> Effect:
    ratio, test = ratio_of(*verdict.contrast.measures["fmd"])
    return Effect(verdict, tie, sides[verdict.contrast.candidate].degradation, kinds, ratio,
                  verdict.test or test, family, over_classifiers(verdict.contrast, kinds, sides))


def ratio_of(baseline: Sequence[float], candidate: Sequence[float]) -> tuple[float, TTest | None]:
    """Candidate's FMD over the baseline's, of geometric means over seeds, and the test of its logarithm;
    None with one seed, or one value of all seeds."""
    first, second = np.log(baseline), np.log(candidate)
    ratio = float(np.exp(second.mean() - first.mean()))
    if min(len(first), len(second)) < 2:
        return ratio, None
    try:
        return ratio, welch(first, second)
    except KelvinError:
        return ratio, None


def over_classifiers(contrast: Contrast, kinds: tuple[str, str], sides: Mapping[str, Arm]
                     ) -> tuple[float, float] | None:
    """The lowest and highest ratio of FMD over the judging classifiers; None of records of one."""
    means = []
    for key, kind in zip((contrast.baseline, contrast.candidate), kinds, strict=True):
        arm = sides[key]
        values = [s.get("fmd_by_classifier") or [] for s in arm.scores(arm.run, (kind, contrast.nfe))]
        if min(map(len, values)) < 2:
            return None
        means.append(np.log(values).mean(0))
    ratios = np.exp(means[1] - means[0])
    return float(ratios.min()), float(ratios.max())
