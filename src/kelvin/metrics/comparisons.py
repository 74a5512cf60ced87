"""Is one run better than another? Paired tests over training seeds, corrected for their number.

Replicates of two runs share their seeds, so the differences are taken seed by seed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from scipy.special import gammaincinv, ndtr, stdtr, stdtrit

from kelvin.common.errors import KelvinError

LEAST = 5  # replicates that a test needs


@dataclass(frozen=True)
class Comparison:
    """A paired comparison of a measure where lower is better, candidate minus baseline.

    difference, low, high: mean of the paired differences with its t interval. effect, effect_low,
    effect_high: Cohen's d_z, the mean difference in standard deviations of the differences, with
    the noncentral t interval; None where all differences are equal. p: two-sided, after Holm's
    correction; None where all differences are one number other than 0, which independent trainings do
    not give. verdict: better, worse, no significant difference, or not tested.
    """

    difference: float
    low: float
    high: float
    effect: float | None
    effect_low: float | None
    effect_high: float | None
    p: float | None
    verdict: str


def compare(baseline: Sequence[float] | np.ndarray,
            candidates: Mapping[str, Sequence[float] | np.ndarray],
            level: float = 0.95) -> dict[str, Comparison]:
    """{name: Comparison} of candidates {name: values} with baseline values, one value a seed.

    The p-values are corrected together (Holm 1979); a verdict other than no significant difference
    needs p < 1 - level. KelvinError with fewer than 5 seeds or with unequal numbers of them.
    """
    base = _values(baseline, "the baseline")
    raw = {name: _paired(_differences(base, values, name), level)
           for name, values in candidates.items()}
    tested = [name for name, row in raw.items() if row[-1] is not None]
    corrected = dict(zip(tested, holm([raw[name][-1] for name in tested]), strict=True))
    out = {}
    for name, (*numbers, _) in raw.items():
        p, verdict = corrected.get(name), "no significant difference"
        if p is None:
            verdict = "not tested, since it is one number on every seed"
        elif p < 1 - level:
            verdict = "better" if numbers[0] < 0 else "worse"
        out[name] = Comparison(*numbers, p, verdict)
    return out


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979): the largest of (m - j) p_(j) so far, at most 1."""
    p = np.asarray(p_values, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise KelvinError(f"p-values should be in [0, 1]: given {p.tolist()}.")
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    out = np.empty(len(p))
    out[order] = np.minimum(stepped, 1.0)
    return out.tolist()


def _values(values: Sequence[float] | np.ndarray, name: str) -> np.ndarray:
    x = np.asarray(values, dtype=np.float64).ravel()
    if len(x) < LEAST or not np.isfinite(x).all():
        raise KelvinError(f"a comparison needs at least {LEAST} finite values of {name}, one a seed: "
                          f"given {x.tolist()}.")
    return x


def _differences(base: np.ndarray, values: Sequence[float] | np.ndarray, name: str) -> np.ndarray:
    x = _values(values, name)
    if len(x) != len(base):
        raise KelvinError(f"{name} has {len(x)} seeds and the baseline {len(base)}: pairs need equal "
                          "numbers.")
    return x - base


def _paired(d: np.ndarray, level: float) -> tuple[Any, ...]:
    """Mean difference, interval, d_z, interval, and p of Student's t test."""
    n, mean, sd = len(d), float(d.mean()), float(d.std(ddof=1))
    if sd <= 1e-12 * abs(mean) or sd == 0:
        return mean, mean, mean, None, None, None, 1.0 if mean == 0 else None
    t = mean / (sd / n**0.5)
    reach = float(stdtrit(n - 1, (1 + level) / 2)) * sd / n**0.5
    p = float(2 * stdtr(n - 1, -abs(t)))
    ends = (_noncentrality(t, n - 1, (1 + level) / 2), _noncentrality(t, n - 1, (1 - level) / 2))
    return mean, mean - reach, mean + reach, mean / sd, ends[0] / n**0.5, ends[1] / n**0.5, p


def _noncentrality(t: float, freedom: float, share: float) -> float:
    """The noncentrality under which `share` of the t statistics lie below t."""
    from scipy.optimize import brentq  # late: half a second to import

    far = 10 + 3 * abs(t)
    return float(brentq(lambda shift: noncentral_t_cdf(t, freedom, shift) - share, t - far, t + far))


def noncentral_t_cdf(t: float, freedom: float, shift: float) -> float:
    """P(T < t) of the noncentral t distribution, within 1e-5: the mean of Phi(t s - shift) over s,
    the square root of chi-square over its degrees of freedom (scipy's own is NaN far from zero)."""
    s, weights = _chi_nodes(freedom)
    return float(weights @ ndtr(t * s - shift))


@cache
def _chi_nodes(freedom: float) -> tuple[np.ndarray, np.ndarray]:
    """Values and weights for a mean over s, by Gauss-Legendre quadrature of its quantiles."""
    nodes, weights = np.polynomial.legendre.leggauss(400)
    return np.sqrt(gammaincinv(freedom / 2, (nodes + 1) / 2) * 2 / freedom), weights / 2
