"""Manifold measures: double loops over points, and the cases whose answer is known."""

import tracemalloc

import numpy as np
import pytest

from kelvin.common.errors import KelvinError
from kelvin.metrics import manifold
from kelvin.metrics.manifold import balls, density_coverage, expected_coverage, precision_recall


def slow(points, centres, k):
    """Kynkaanniemi et al. 2019, eq. 1 and 2, word for word."""
    inside = 0
    for p in points:
        hit = False
        for c in centres:
            others = sorted(np.linalg.norm(c - o) for o in centres)  # the first is c itself
            hit = hit or np.linalg.norm(p - c) <= others[k]
        inside += hit
    return inside / len(points)


@pytest.mark.parametrize("k", [1, 3, 7])
@pytest.mark.parametrize(("dimensions", "shift"), [(2, 0.5), (5, 1.0)])
def test_equal_to_the_double_loop(k, dimensions, shift):
    """Exactly, on two clouds that overlap in part and differ in size."""
    rng = np.random.default_rng(k)
    real, generated = rng.normal(size=(40, dimensions)), rng.normal(shift, 1.0, size=(30, dimensions))
    got = precision_recall(real, generated, k)
    assert got.precision == slow(generated, real, k) and got.recall == slow(real, generated, k)
    if k == 3:  # neither answer is a trivial one
        assert 0 < got.precision < 1 and 0 < got.recall < 1


def test_the_same_set_and_sets_far_apart():
    x = np.random.default_rng(0).normal(size=(50, 4))
    same, far = precision_recall(x, x.copy(), 3), precision_recall(x, x + 100, 3)
    assert (same.precision, same.recall) == (1, 1) and (far.precision, far.recall) == (0, 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_same_set_of_repeated_points(dtype):
    """Four copies of each point: the third neighbour is at distance 0, up to rounding."""
    x = np.random.default_rng(1).normal(5, 3, size=(30, 64)).astype(dtype).repeat(4, 0)
    same = precision_recall(x, x[::-1].copy(), 3)
    assert (same.precision, same.recall) == (1, 1)


@pytest.mark.parametrize("far", [0.0, 1e3])
def test_a_point_repeated_is_covered_by_its_copies(far):
    """Whatever rounding leaves of |a|^2 + |b|^2 - 2ab between equal points."""
    x = np.repeat(np.random.default_rng(0).normal(far, 1, (3, 64)), 5, axis=0)
    both, spread = balls(x, x.copy(), 3)
    assert (both.precision, both.recall, spread.coverage) == (1, 1, 1)
    assert density_coverage(x, x.copy(), 3) == spread and spread.density == pytest.approx(5 / 3)


def test_recall_falls_when_a_cluster_is_missing():
    """Two equal clusters, one of them generated: precision stays 1, half of the real ones are missed."""
    rng = np.random.default_rng(2)
    one, two = rng.normal(size=(60, 3)), rng.normal(size=(60, 3)) + 50
    got = precision_recall(np.concatenate([one, two]), one, 3)
    assert got.precision == 1 and got.recall == 0.5


def test_the_two_names_are_not_swapped():
    """Outliers among the samples cost precision, and only that."""
    rng = np.random.default_rng(3)
    real = rng.normal(size=(60, 3))
    stray = rng.normal(size=(20, 3)) * 0.01 + 100 * np.eye(3)[rng.integers(0, 3, 20)]
    got = precision_recall(real, np.concatenate([real, stray]), 3)
    assert got.precision == 0.75 and got.recall == 1


@pytest.mark.parametrize("k", [0, -1, 10, 11])
def test_bad_neighbours_are_refused(k):
    x = np.random.default_rng(4).normal(size=(12, 3))
    with pytest.raises(KelvinError, match=rf"metrics.neighbours = {k} must be at least 1 and less than "
                                          "the 10 features"):
        precision_recall(x, x[:10], k)


def slow_density_coverage(real, generated, k):
    """Naeem et al. 2020, eq. 5 and 6, word for word."""
    held, covered = 0, 0
    for c in real:
        radius = sorted(np.linalg.norm(c - o) for o in real)[k]  # the first is c itself
        inside = [np.linalg.norm(p - c) <= radius for p in generated]
        held, covered = held + sum(inside), covered + any(inside)
    return held / (k * len(generated)), covered / len(real)


@pytest.mark.parametrize("k", [1, 3, 7])
@pytest.mark.parametrize(("dimensions", "shift"), [(2, 0.5), (5, 1.0)])
def test_density_and_coverage_equal_the_double_loop(k, dimensions, shift):
    rng = np.random.default_rng(k)
    real, generated = rng.normal(size=(40, dimensions)), rng.normal(shift, 1.0, size=(30, dimensions))
    got = density_coverage(real, generated, k)
    expected = slow_density_coverage(real, generated, k)
    assert (got.density, got.coverage) == pytest.approx(expected, rel=1e-12)
    assert 0 < got.coverage < 1


@pytest.mark.parametrize(("n", "m", "k"), [(60, 60, 3), (40, 90, 5)])
def test_equal_distributions_have_density_1_and_the_expected_coverage(n, m, k):
    """Means of 200 draws, within 4 standard errors."""
    rng = np.random.default_rng(5)
    found = [density_coverage(rng.normal(size=(n, 3)), rng.normal(size=(m, 3)), k) for _ in range(200)]
    for values, expected in (([f.density for f in found], 1),
                             ([f.coverage for f in found], expected_coverage(n, m, k))):
        assert abs(np.mean(values) - expected) < 4 * np.std(values) / 200**0.5


def test_an_outlier_among_the_real_ones_widens_recall_and_precision_but_not_density():
    """Naeem et al.'s reason for both: a real outlier's ball holds every sample, far from all others."""
    rng = np.random.default_rng(6)
    real = np.concatenate([rng.normal(size=(60, 3)), np.full((1, 3), 100.0)])
    stray = rng.normal(60, 1, size=(60, 3))
    assert precision_recall(real, stray, 3).precision == 1
    got = density_coverage(real, stray, 3)
    assert got.density == pytest.approx(1 / 3) and got.coverage == 1 / 61


def test_crowding_and_a_missing_cluster():
    rng = np.random.default_rng(7)
    one, two = rng.normal(size=(60, 3)), rng.normal(size=(60, 3)) + 50
    half = density_coverage(np.concatenate([one, two]), one, 3)
    assert half.coverage == 0.5 and half.density > 1  # each sample lies at a real point
    many = rng.normal(size=(100, 10))
    averages = many[rng.integers(0, 100, (50, 4))].mean(1)
    assert density_coverage(many, averages, 3).density > 1.5
    assert density_coverage(one, one[:1], 3).density > 0  # one sample will do


@pytest.mark.parametrize("k", [0, 12])
def test_bad_neighbours_of_density_are_refused(k):
    x = np.random.default_rng(4).normal(size=(12, 3))
    with pytest.raises(KelvinError, match=rf"metrics.neighbours = {k} must be at least 1 and less than "
                                          "the 12 real features"):
        density_coverage(x, x[:3], k)


@pytest.mark.parametrize("measure", [precision_recall, density_coverage])
def test_memory_is_that_of_a_block(measure, monkeypatch):
    """3000 x 3000 distances take 72 MB; in blocks of 4 MiB the whole measure takes less than 25."""
    monkeypatch.setattr(manifold, "MEMORY", 4)
    x = np.random.default_rng(8).normal(size=(3000, 2))
    measure(x[:50], x[50:100], 3)  # the import is not counted
    tracemalloc.start()
    measure(x, x + 0.1, 3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 25e6
