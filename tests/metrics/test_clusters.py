"""Rows in clusters, as the frames of one fruit: intervals by cluster cover, those by row do not."""

import numpy as np
import pytest
import scipy.stats

from kelvin.common.errors import KelvinError
from kelvin.metrics.frechet import frechet_distance, frechet_from_features
from kelvin.metrics.intervals import cluster_error, frechet_interval, mean_interval, standard_error
from kelvin.metrics.moments import Moments

ALIKE = 0.9  # share of the variance that rows of one cluster have in common


def drawn(rng, sizes, d=1):
    """Standard normal rows (sum of sizes, d), correlated within clusters, and the names."""
    names = np.repeat(np.arange(len(sizes)), sizes)
    common, own = rng.normal(size=(len(sizes), d)), rng.normal(size=(len(names), d))
    return ALIKE**0.5 * common[names] + (1 - ALIKE) ** 0.5 * own, names


def coverage_of_means(sizes, by_cluster, sims=2000):
    rng, inside = np.random.default_rng(0), 0
    for _ in range(sims):
        x, names = drawn(rng, sizes(rng))
        found = mean_interval(x, clusters=names if by_cluster else None)
        inside += found.low <= 0 <= found.high
    return inside / sims


def fives(count):
    return lambda rng: np.full(count, 5)


def unequal(count):
    return lambda rng: rng.integers(1, 10, count)


@pytest.mark.parametrize("sizes, least, most", [
    (fives(8), 0.935, 0.965), (fives(40), 0.935, 0.965), (unequal(8), 0.90, 0.96),
    (unequal(40), 0.93, 0.96)])
def test_means_of_clusters_are_covered(sizes, least, most):
    """2,000 simulations, standard error 0.5 %."""
    assert least <= coverage_of_means(sizes, True) <= most


def test_rows_taken_for_independent_cover_little_more_than_half():
    assert 0.5 < coverage_of_means(fives(40), False) < 0.68


def test_the_cluster_error_is_a_slow_sum_over_pairs():
    """Var(mean) = sum of residual products over all pairs of rows in one cluster; 1e-12."""
    rng = np.random.default_rng(1)
    x, names = drawn(rng, [1, 4, 2, 7, 3])
    x = x.ravel()
    total = sum((x[i] - x.mean()) * (x[j] - x.mean()) for i in range(len(x)) for j in range(len(x))
                if names[i] == names[j])
    assert cluster_error(x, names) == (pytest.approx((5 / 4 * total) ** 0.5 / len(x), rel=1e-12), 5)


def test_one_value_a_cluster_is_the_plain_error_and_equal_values_count_once():
    x = np.random.default_rng(2).normal(size=9)
    plain = pytest.approx(scipy.stats.sem(x), rel=1e-12)
    assert cluster_error(x) == cluster_error(x, list("abcdefghi")) == (plain, 9)
    assert cluster_error(np.repeat(x, 5), np.repeat(np.arange(9), 5)) == (plain, 9)
    assert cluster_error(x, np.zeros(9)) == (None, 1)


def test_the_error_is_by_cluster_from_five_clusters_on():
    x = np.repeat(np.random.default_rng(8).normal(size=8), 3)
    five, four = np.arange(24) % 5, np.arange(24) % 4
    assert standard_error(x, five) == cluster_error(x, five)[0] != cluster_error(x)[0]
    assert standard_error(x, four) == cluster_error(x)[0]


def frechet_coverage(by_cluster, count=40, d=8, sims=150):
    """Coverage of the mean estimate at n and of the true distance, and the error over the true one."""
    rng = np.random.default_rng(3)
    reference = Moments(10**6, np.zeros(d), np.eye(d))
    shift = np.linspace(0, 1, d)
    true = frechet_distance(Moments(10**6, shift, np.eye(d)), reference)
    found = []
    for k in range(sims):
        x, names = drawn(rng, np.full(count, 5), d)
        clusters = names if by_cluster else None
        found.append(frechet_interval(x + shift, reference, 15, k, clusters=clusters))
    mean = np.mean([f.estimate for f in found])
    sd = np.std([f.estimate for f in found], ddof=1)
    return (np.mean([f.low_at_n <= mean <= f.high_at_n for f in found]),
            np.mean([f.low <= true <= f.high for f in found]),
            np.mean([f.standard_error for f in found]) / sd)


def test_frechet_distances_of_clusters_are_covered():
    at_n, at_infinity, error = frechet_coverage(True)
    assert 0.92 <= at_n <= 0.99 and 0.91 <= at_infinity <= 0.99 and 0.85 < error < 1.25


def test_groups_of_rows_do_not_cover_them():
    at_n, at_infinity, error = frechet_coverage(False)
    assert at_n < 0.75 and at_infinity < 0.75 and error < 0.6


def test_leaving_out_clusters_equals_a_plain_jackknife():
    rng = np.random.default_rng(4)
    x, names = drawn(rng, [3, 1, 6, 2, 5, 4, 4, 8, 2, 7], 4)
    reference = Moments(10**6, np.zeros(4), np.eye(4))
    got = frechet_interval(x, reference, 5, seed=6, clusters=np.array(list("abcdefghij"))[names])
    parts = np.array_split(np.random.default_rng(6).permutation(10), 5)
    left = np.array([frechet_from_features(x[~np.isin(names, part)], reference) for part in parts])
    size = np.array([np.isin(names, part).sum() for part in parts])
    h, estimate = len(x) / size, frechet_from_features(x, reference)
    centre = 5 * estimate - np.sum((1 - size / len(x)) * left)
    error = np.sqrt(np.mean((h * estimate - (h - 1) * left - centre) ** 2 / (h - 1)))
    assert got.standard_error == pytest.approx(error, rel=1e-8)


def test_only_clusters_count_as_independent():
    x, names = drawn(np.random.default_rng(5), np.full(10, 5), 8)
    got = frechet_interval(x, Moments(10**6, np.zeros(8), np.eye(8)), clusters=names)
    assert got.debiased is None
    assert got.why == "10 clusters of rows for 8 dimensions: a debiased distance needs 16."


@pytest.mark.parametrize("call, message", [
    (lambda x: mean_interval(x, clusters=np.zeros(9)), "at least 2 clusters"),
    (lambda x: mean_interval(x, clusters=np.zeros(8)), "9 rows need 9 names"),
    (lambda x: frechet_interval(x[:, None], Moments(9, np.zeros(1), np.eye(1)), clusters=x > 0),
     "needs 5 groups")])
def test_refusals(call, message):
    with pytest.raises(KelvinError, match=message):
        call(np.random.default_rng(7).normal(size=9))
