"""Maximum mean discrepancy with a p-value: could both sets of features be draws of one distribution?

Gretton et al. (2012), eq. 3: the unbiased U-statistic; its null distribution by permutations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kelvin.common.errors import KelvinError
from kelvin.metrics.checks import check_features

TILE = 1024  # rows and columns of the kernel matrix that exist at one time
MEDIAN_ROWS = 2000  # as many rows give the median distance


NO_SCALE = "MMD's median distance is 0: most of the rows are equal, so there is no scale for its kernel"


class NoScale(KelvinError):
    """Most rows are equal: their median distance is 0, and a kernel has no bandwidth."""


@dataclass(frozen=True)
class MMD:
    """value: unbiased squared MMD, -1 to 2, around 0 for equal distributions. p: share of permutations
    at least as large, itself counted, so never below 1 / (1 + permutations). bandwidths: sigma of each
    kernel, in feature units."""

    value: float
    p: float
    bandwidths: tuple[float, ...]
    n: int
    m: int
    permutations: int


def mmd(x: np.ndarray, y: np.ndarray, multiples: Sequence[float] = (0.25, 0.5, 1.0, 2.0, 4.0),
        permutations: int = 500, seed: int = 0) -> MMD:
    """Squared MMD of features x (n, d) and y (m, d), and its permutation p-value.

    The kernel is the mean of Gaussians exp(-|a - b|^2 / (2 sigma^2)), sigma being multiples of the
    median distance within the pooled rows (of 2000 seeded ones if there are more); labels play no part
    in it, so the test is exact. p = (1 + #{permuted >= observed}) / (1 + permutations) (Phipson and
    Smyth 2010). Rows must be independent: copies of one image count as many images.
    Cost: each tile of the (n + m)^2 kernel matrix is made once, used for all permutations, and
    dropped. KelvinError: fewer than 2 rows a side, or an improper parameter; NoScale: most rows equal.
    """
    x = check_features(x, "features", 2)
    y = check_features(y, "reference features", 2, x.shape[1])
    if permutations < 1 or not len(multiples) or min(multiples) <= 0:
        raise KelvinError(f"MMD needs at least 1 permutation and positive multiples of the median "
                          f"distance: given {permutations} and {list(multiples)}")
    pooled, rng = np.concatenate([x, y]), np.random.default_rng(seed)
    pooled -= pooled.mean(0)  # distances are the same, and cancel less
    median = _median_distance(pooled, rng)
    bandwidths = tuple(float(c * median) for c in multiples)
    is_x = np.arange(len(pooled)) < len(x)
    labels = np.empty((len(pooled), 1 + permutations), dtype=bool)
    labels[:, 0] = is_x
    for column in range(1, 1 + permutations):
        labels[:, column] = rng.permutation(is_x)
    values = _statistics(pooled, labels, bandwidths)
    # kernels are at most 1: a relabelling that changes nothing differs by rounding only
    larger = int(np.count_nonzero(values[1:] >= values[0] - 1e-12))
    return MMD(float(values[0]), (1 + larger) / (1 + permutations), bandwidths, len(x), len(y),
               permutations)


def _statistics(pooled: np.ndarray, labels: np.ndarray, bandwidths: Sequence[float]) -> np.ndarray:
    """MMD^2 of each labelling, a column of labels (N, B): True for x, as many in every column."""
    within, rows = np.zeros(labels.shape[1]), np.zeros(len(pooled))
    starts = range(0, len(pooled), TILE)
    for i in starts:
        one = slice(i, i + TILE)
        for j in starts[i // TILE:]:
            other = slice(j, j + TILE)
            kernel = np.zeros((len(pooled[one]), len(pooled[other])))
            squared = _squared_distances(pooled[one], pooled[other])
            for sigma in bandwidths:
                kernel += np.exp(squared / (-2 * sigma**2))
            kernel /= len(bandwidths)
            rows[other] += kernel.sum(0)
            if i == j:
                rows[one] -= kernel.diagonal()
                np.fill_diagonal(kernel, 0)
            else:
                rows[one] += kernel.sum(1)
            pairs = np.einsum("ib,ib->b", labels[one].astype(np.float64), kernel @ labels[other])
            within += pairs if i == j else 2 * pairs
    n = np.count_nonzero(labels[:, 0])
    m = len(labels) - n
    across = rows @ labels - within
    rest = rows.sum() - within - 2 * across
    return within / (n * (n - 1)) + rest / (m * (m - 1)) - 2 * across / (n * m)


def _median_distance(pooled: np.ndarray, rng: np.random.Generator) -> float:
    some = pooled
    if len(pooled) > MEDIAN_ROWS:
        some = pooled[rng.choice(len(pooled), MEDIAN_ROWS, replace=False)]
    above = np.triu_indices(len(some), 1)
    median = float(np.sqrt(np.median(_squared_distances(some, some)[above])))
    # what equal rows leave is rounding, a hundred-millionth of the size of the rows
    if median <= 1e-7 * float(np.sqrt((some**2).sum(1).max())):
        raise NoScale(NO_SCALE)
    return median


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T, 0)
