"""The verdict rule: is one degradation better than another? All of it is in this file.

Two degradations are contrasted within one sampler and one number of network evaluations, over training
seeds, in log FMD. Welch's t test, since a seed is a number and not a pair: another degradation trained
with the same seed draws other noise. Only where both sides are the same trainings (one network, two
samplers) the test is paired. All contrasts of a page are one family, corrected by Holm (1979).

- lower, higher: FMD differs after correction, and every other measure has the same sign;
- depends on the measure: FMD differs and another measure has the other sign, or FMD is equivalent and
  another measure differs after its own correction;
- no difference: two one-sided tests (Schuirmann 1987), corrected as well, put FMD within 10 %;
- inconclusive: neither; the effect that would be detected in 4 of 5 such experiments is given;
- no verdict: a side misses a gate (kelvin.metrics.gates).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import stdtr, stdtrit

from kelvin.common.errors import KelvinError
from kelvin.metrics.comparisons import LEAST, holm, noncentral_t_cdf
from kelvin.metrics.gates import GATES, Gate, missed

LEVEL = 0.05
POWER = 0.8  # of the detectable effect
MARGIN = float(np.log(1.1))  # log FMD within which there is no difference

LOWER, HIGHER, DEPENDS = "lower", "higher", "depends on the measure"
SAME, OPEN, NONE = "no difference", "inconclusive", "no verdict"

JUDGED = "fmd"
UNLOGGED = ("kid",)  # unbiased, and so at times below 0


@dataclass(frozen=True)
class Contrast:
    """Candidate against baseline, by one sampler with nfe evaluations an image.

    measures: {key: (baseline's values, candidate's values)}, one value a seed, lower is better; fmd (of
    each seed the median over five classifiers), fd_pixels, and fd_random or kid; fid
    too where images have colour. gates: {side: its gates}, all four of each.
    """

    baseline: str
    candidate: str
    sampler: str
    nfe: int
    measures: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    gates: Mapping[str, Sequence[Gate]]
    same_trainings: bool = False
    colour: bool = False


@dataclass(frozen=True)
class TTest:
    """A t test of the mean difference, candidate minus baseline. error: its standard error."""

    difference: float
    error: float
    freedom: float

    @property
    def p(self) -> float:
        """Two-sided, of no difference."""
        return float(2 * stdtr(self.freedom, -abs(self.difference) / self.error))

    def p_outside(self, margin: float) -> float:
        """Of a true difference of `margin` or more, either way: the larger of two one-sided tests."""
        return float(stdtr(self.freedom, (abs(self.difference) - margin) / self.error))

    def interval(self, level: float = 1 - LEVEL) -> tuple[float, float]:
        reach = float(stdtrit(self.freedom, (1 + level) / 2)) * self.error
        return self.difference - reach, self.difference + reach

    def ratios(self) -> tuple[float, float]:
        """The interval of the ratio, where the values are logarithms."""
        low, high = self.interval()
        return float(np.exp(low)), float(np.exp(high))

    def rise(self, family: int) -> float:
        """The smallest rise, as a share, detected with power 0.8 at the strictest level of a family; the
        values are logarithms."""
        return float(np.expm1(self.detectable(LEVEL / max(1, family))))

    def detectable(self, level: float = LEVEL, power: float = POWER) -> float:
        """The true difference that a two-sided test at this level finds with this power."""
        from scipy.optimize import brentq  # late: half a second to import

        return self.error * float(brentq(
            lambda shift: found_with(shift, self.freedom, level) - power, 0, 1e4))


@dataclass(frozen=True)
class Verdict:
    """outcome: one of the words above. test: of log FMD; None without a verdict. p, p_same: after Holm's
    correction over the family's size. signs: {measure: -1, 0 or 1}, the candidate's side. seeds: of
    baseline and candidate. reasons: why there is no verdict. conditions: gates missed by a run for which
    no budget in reach passes them, {side: sentence}."""

    contrast: Contrast
    outcome: str
    family: int
    seeds: tuple[int, ...]
    signs: Mapping[str, int]
    test: TTest | None = None
    p: float | None = None
    p_same: float | None = None
    reasons: tuple[str, ...] = ()
    conditions: Mapping[str, str] | None = None

    @property
    def ratio(self) -> float | None:
        """Candidate's FMD over the baseline's, of geometric means over seeds."""
        return None if self.test is None else float(np.exp(self.test.difference))

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the ratio, of this contrast alone."""
        return None if self.test is None else self.test.ratios()

    @cached_property
    def detectable(self) -> float | None:
        """The smallest rise of FMD, a share, detected with power 0.8 at the family's strictest level."""
        return None if self.test is None else self.test.rise(self.family)


def verdicts(contrasts: Sequence[Contrast]) -> list[Verdict]:
    """The verdicts of one page, in the order of its contrasts: one family.

    A contrast of which a side misses a gate, or has fewer than 5 seeds, gets no verdict and is not
    counted in the family. KelvinError: a measure or a gate is not given, or values are no measurements.
    """
    values = [_values(contrast) for contrast in contrasts]
    reasons = [_reasons(c, v) for c, v in zip(contrasts, values, strict=True)]
    tests = [{} if why else {key: _test(c, key, *pair) for key, pair in v.items()}
             for c, v, why in zip(contrasts, values, reasons, strict=True)]
    counted = [i for i, test in enumerate(tests) if test]
    differ = dict(zip(counted, holm([tests[i][JUDGED].p for i in counted]), strict=True))
    equal = dict(zip(counted, holm([tests[i][JUDGED].p_outside(MARGIN) for i in counted]), strict=True))
    others = [(i, key) for i in counted for key in tests[i] if key != JUDGED]
    apart = dict(zip(others, holm([tests[i][key].p for i, key in others]), strict=True))
    out = []
    for i, contrast in enumerate(contrasts):
        first, second = values[i][JUDGED]
        counts = len(first), len(second)
        if reasons[i]:
            out.append(Verdict(contrast, NONE, len(counted), counts, {}, reasons=reasons[i]))
            continue
        signs = {key: int(np.sign(test.difference)) for key, test in tests[i].items()}
        elsewhere = any(apart[i, key] < LEVEL for key in tests[i] if key != JUDGED)
        outcome = _outcome(differ[i], equal[i], signs, elsewhere)
        out.append(Verdict(contrast, outcome, len(counted), counts, signs, tests[i][JUDGED], differ[i],
                           equal[i], conditions=_conditions(contrast)))
    return out


def _outcome(p: float, p_same: float, signs: Mapping[str, int], elsewhere: bool) -> str:
    if p < LEVEL:
        if len(set(signs.values())) > 1:
            return DEPENDS
        return LOWER if signs[JUDGED] < 0 else HIGHER
    if p_same < LEVEL:
        return DEPENDS if elsewhere else SAME
    return OPEN


def found_with(shift: float, freedom: float, level: float = LEVEL) -> float:
    """Power: how often a two-sided t test at `level` finds a difference of `shift` standard errors."""
    bound = float(stdtrit(freedom, 1 - level / 2))
    return 1 - noncentral_t_cdf(bound, freedom, shift) + noncentral_t_cdf(-bound, freedom, shift)


def welch(baseline: Sequence[float] | np.ndarray, candidate: Sequence[float] | np.ndarray) -> TTest:
    """Of two independent samples with variances of their own (Welch 1947)."""
    a, b = (np.asarray(v, dtype=np.float64) for v in (baseline, candidate))
    parts = np.array([v.var(ddof=1) / len(v) for v in (a, b)])
    total = float(parts.sum())
    if total <= (1e-12 * max(abs(a.mean()), abs(b.mean()))) ** 2:
        raise KelvinError("all seeds give one value on both sides: they are not independent trainings")
    freedom = total ** 2 / float(parts[0] ** 2 / (len(a) - 1) + parts[1] ** 2 / (len(b) - 1))
    return TTest(float(b.mean() - a.mean()), total ** 0.5, freedom)


def paired(baseline: Sequence[float] | np.ndarray, candidate: Sequence[float] | np.ndarray) -> TTest:
    """Of differences training by training."""
    a, b = (np.asarray(v, dtype=np.float64) for v in (baseline, candidate))
    if len(a) != len(b):
        raise KelvinError(f"pairs need equal numbers of seeds: {len(a)} and {len(b)}")
    d = b - a
    error = float(d.std(ddof=1)) / len(d) ** 0.5
    if error <= 1e-12 * max(abs(a).max(), abs(b).max()):
        raise KelvinError("all pairs of seeds differ by one value: they are not independent trainings")
    return TTest(float(d.mean()), error, len(d) - 1)


def _test(contrast: Contrast, key: str, baseline: np.ndarray, candidate: np.ndarray) -> TTest:
    if key not in UNLOGGED:
        baseline, candidate = np.log(baseline), np.log(candidate)
    try:
        return (paired if contrast.same_trainings else welch)(baseline, candidate)
    except KelvinError as error:
        raise KelvinError(f"{key} of {contrast.baseline} and {contrast.candidate}: {error}") from error


def _values(contrast: Contrast) -> dict[str, tuple[np.ndarray, ...]]:
    """The contrast's measures, checked."""
    about = f"{contrast.candidate} against {contrast.baseline}"
    measures = set(contrast.measures)
    lacking = [key for key in (JUDGED, "fd_pixels", *(["fid"] if contrast.colour else []))
               if key not in measures] + ["fd_random or kid"] * (not measures & {"fd_random", "kid"})
    if lacking:
        raise KelvinError(f"a verdict on {about} needs {' and '.join(lacking)} too")
    out: dict[str, tuple[np.ndarray, ...]] = {}
    for key, (baseline, candidate) in contrast.measures.items():
        pair = (np.asarray(baseline, dtype=np.float64).ravel(),
                np.asarray(candidate, dtype=np.float64).ravel())
        for side in pair:
            if not len(side) or not np.isfinite(side).all() or (key not in UNLOGGED and side.min() <= 0):
                raise KelvinError(f"a verdict on {about} needs finite {key}"
                                  f"{' above 0' * (key not in UNLOGGED)} of every seed: {side.tolist()}")
        out[key] = pair
    counts = {key: tuple(len(side) for side in pair) for key, pair in out.items()}
    uneven = [key for key, count in counts.items() if count != counts[JUDGED]]
    if uneven:
        raise KelvinError(f"a verdict on {about} needs {' and '.join(uneven)} of the seeds that have an "
                          "FMD")
    return out


def _reasons(contrast: Contrast, values: Mapping[str, tuple[np.ndarray, ...]]) -> tuple[str, ...]:
    """Why there is no verdict: gates missed, or too few seeds for any test."""
    out = []
    for side, seeds in zip((contrast.baseline, contrast.candidate), values[JUDGED], strict=True):
        gates = contrast.gates.get(side, ())
        lacking = [name for name in GATES if name not in [gate.name for gate in gates]]
        if lacking:
            raise KelvinError(f"a verdict on {side} needs its gates first: {', '.join(lacking)}")
        out += [f"“{side}” misses the {gate.name} gate: {gate.sentence}" for gate in missed(gates)]
        if not out and len(seeds) < LEAST:
            out.append(f"“{side}” has {len(seeds)} training seeds; {LEAST} are needed.")
    return tuple(out)


def _conditions(contrast: Contrast) -> dict[str, str]:
    return {side: gate.sentence for side, gates in contrast.gates.items()
            if side in (contrast.baseline, contrast.candidate)
            for gate in gates if not gate.passed and gate.conditional}
