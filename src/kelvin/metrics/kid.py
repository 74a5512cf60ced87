"""Kernel distance of features: squared MMD under a polynomial kernel (Binkowski et al. 2018, eq. 4).

Unbiased at every n, so that values at different n estimate one number; a fair draw of the reference
has a mean of 0 and is negative half of the time. Binkowski's inputs are Inception features; here any.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from kelvin.common.errors import KelvinError
from kelvin.metrics.checks import check_features

TILE = 2048  # rows and columns of the kernel matrix that exist at one time


@dataclass(frozen=True)
class KID:
    """value: squared MMD, in units of the kernel, not clipped at 0. low, high: interval for the true
    one. n, m: rows of each side. subset_size, subsets: what was drawn; None and 1 for all pairs."""

    value: float
    low: float
    high: float
    standard_error: float
    n: int
    m: int
    subset_size: int | None
    subsets: int


def kid(x: np.ndarray, y: np.ndarray, degree: int = 3, gamma: float | None = None, coef0: float = 1.0,
        subset_size: int | None = 1000, subsets: int = 100, seed: int = 0, level: float = 0.95) -> KID:
    """KID of features x (n, d) and y (m, d) with kernel (gamma <a, b> + coef0)^degree.

    gamma: None for 1/d. subset_size, subsets: the mean over so many seeded draws of so many rows of
    each side without replacement (the paper: 100 of 1000). subset_size None: one "draw" of all rows,
    the complete U-statistic, which has the least variance; `subsets` is then of no account.

    The interval is normal, its standard error from the influence of each row, the mean of its
    jackknife pseudo-values over the subsets that hold it. The scatter of the subsets themselves, often
    printed beside KID, is no such thing: they share rows, and it shrinks with their size alone. The
    jackknife is too wide near zero (Efron and Stein 1981). Coverage at a nominal 95 %, tested on
    Gaussians whose distance is known: 91-98 %, at zero distance up to 100 %; in 4 dimensions, where a
    cubic kernel has long tails, 88 %.
    KelvinError: fewer than 3 rows a side or than subset_size, or a kernel that is no kernel.
    """
    x = check_features(x, "features", 3)
    y = check_features(y, "reference features", 3, x.shape[1])
    gamma = 1 / x.shape[1] if gamma is None else gamma
    if degree < 1 or degree != int(degree) or gamma <= 0 or coef0 < 0:
        raise KelvinError(f"KID's kernel needs a whole degree >= 1, gamma > 0 and coef0 >= 0: given "
                          f"{degree}, {gamma} and {coef0}")
    if subset_size is not None and not 3 <= subset_size <= min(len(x), len(y)):
        raise KelvinError(f"KID's subset_size = {subset_size} must be at least 3 and at most the "
                          f"{min(len(x), len(y))} rows of the smaller side")
    if subsets < 1 or not 0 < level < 1:
        raise KelvinError(f"KID needs at least 1 subset and a level in (0, 1): {subsets}, {level}")
    draws = [(np.arange(len(x)), np.arange(len(y)))] if subset_size is None else [
        tuple(rng.choice(len(side), subset_size, replace=False) for side in (x, y))
        for rng in map(np.random.default_rng, np.random.SeedSequence(seed).spawn(subsets))]
    values, influence = [], (np.zeros(len(x)), np.zeros(len(y)))
    for rows in draws:
        value, *parts = _subset(x[rows[0]], y[rows[1]], degree, gamma, coef0)
        values.append(value)
        for total, index, part in zip(influence, rows, parts, strict=True):
            total[index] += part / len(index)
    variance = sum((total @ total) / len(draws)**2 * len(total) / (len(total) - 1)
                   for total in influence)
    value, error = float(np.mean(values)), float(np.sqrt(variance))
    reach = error * float(ndtri((1 + level) / 2))
    return KID(value, value - reach, value + reach, error, len(x), len(y), subset_size, len(draws))


def _subset(x: np.ndarray, y: np.ndarray, degree: int, gamma: float, coef0: float
            ) -> tuple[float, np.ndarray, np.ndarray]:
    """MMD^2 of one subset, and the centred influence of each row of x and of y on it."""
    def sums(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        along, down = np.zeros(len(a)), np.zeros(len(b))
        for i in _spans(len(a)):
            for j in _spans(len(b)):
                kernel = (gamma * (a[i] @ b[j].T) + coef0) ** degree
                along[i] += kernel.sum(1)
                down[j] += kernel.sum(0)
        return along, down

    def others(a: np.ndarray) -> np.ndarray:
        return sums(a, a)[0] - (gamma * (a**2).sum(1) + coef0) ** degree

    s, t = len(x), len(y)
    xx, yy, (xy, yx) = others(x), others(y), sums(x, y)
    value = xx.sum() / (s * (s - 1)) + yy.sum() / (t * (t - 1)) - 2 * xy.sum() / (s * t)
    of_x, of_y = 2 * xx / (s - 2) - 2 * xy / t, 2 * yy / (t - 2) - 2 * yx / s
    return float(value), of_x - of_x.mean(), of_y - of_y.mean()


def _spans(n: int) -> Iterator[slice]:
    return (slice(start, start + TILE) for start in range(0, n, TILE))
