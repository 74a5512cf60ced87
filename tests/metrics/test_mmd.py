"""MMD against a double loop; its p-value is uniform where nothing differs and small where it does."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from kelvin.common.errors import KelvinError
from kelvin.metrics import mmd as module
from kelvin.metrics.mmd import NoScale, mmd


def slow(x, y, bandwidths):
    """Gretton et al. 2012, eq. 3, pair by pair."""
    def kernel(p, q):
        return sum(np.exp(-((p - q) ** 2).sum() / (2 * s**2)) for s in bandwidths) / len(bandwidths)
    n, m = len(x), len(y)
    xx = sum(kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    yy = sum(kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return xx + yy - 2 * sum(kernel(p, q) for p in x for q in y) / (n * m)


def test_equal_to_the_double_loop_with_bandwidths_of_the_median_distance():
    """To 1e-10 relative, sides of different sizes."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(7, 1, size=(15, 4)), rng.normal(7.5, 1.3, size=(11, 4))
    got = mmd(x, y, (0.5, 1, 3), permutations=5)
    median = np.median([np.linalg.norm(p - q) for p, q in combinations(np.concatenate([x, y]), 2)])
    assert got.bandwidths == pytest.approx((0.5 * median, median, 3 * median), rel=1e-10)
    assert got.value == pytest.approx(slow(x, y, got.bandwidths), rel=1e-10)
    assert (got.n, got.m, got.permutations) == (15, 11, 5)


def test_tiles_change_nothing(monkeypatch):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(30, 3)), rng.normal(0.4, 1, size=(25, 3))
    whole = mmd(x, y, permutations=99)
    monkeypatch.setattr(module, "TILE", 8)
    tiled = mmd(x, y, permutations=99)
    assert tiled.value == pytest.approx(whole.value, rel=1e-10) and tiled.p == whole.p


def test_p_is_that_of_all_relabellings():
    """Seven rows of 4 and 3: 35 relabellings by the double loop, 4000 random ones within 4 sd."""
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(4, 2)), rng.normal(1.2, 1, size=(3, 2))
    got, pooled = mmd(x, y, permutations=4000), np.concatenate([x, y])
    every = [slow(pooled[list(rows)], np.delete(pooled, rows, 0), got.bandwidths)
             for rows in combinations(range(7), 4)]
    exact = np.mean(np.array(every) >= got.value - 1e-12)
    assert 0.05 < exact < 0.95
    assert abs(got.p - exact) < 4 * (exact * (1 - exact) / 4000) ** 0.5


@pytest.mark.parametrize("draw", ["normal", "standard_cauchy"])
def test_p_is_uniform_when_nothing_differs(draw):
    """400 pairs of draws of one distribution: Kolmogorov-Smirnov, and 5 % of p <= 0.05 within 3 sd."""
    rng = np.random.default_rng(3)
    p = np.array([mmd(getattr(rng, draw)(size=(25, 3)), getattr(rng, draw)(size=(15, 3)),
                      permutations=99, seed=k).p for k in range(400)])
    assert abs(np.mean(p <= 0.05) - 0.05) < 0.033
    assert stats.kstest(p - rng.random(400) / 100, "uniform").pvalue > 0.01  # p lies on a grid of 1/100


@pytest.mark.parametrize("other", [
    lambda rng: rng.normal(0.8, 1, size=(60, 3)),
    lambda rng: rng.choice([-1.0, 1.0], size=(60, 3))], ids=["a shift", "a shape of equal moments"])
def test_power(other):
    """A t test of the means is blind to the second: mean and covariance are equal."""
    rng = np.random.default_rng(4)
    p = [mmd(rng.normal(size=(60, 3)), other(rng), permutations=99, seed=k).p for k in range(40)]
    assert np.mean(np.array(p) <= 0.05) > 0.9


def test_p_is_never_zero_and_scale_does_not_matter():
    x = np.random.default_rng(5).normal(size=(20, 2))
    far = mmd(x, x + 50, permutations=49)
    assert far.p == 1 / 50
    near, scaled = (mmd(s * x[:10], s * (x[10:] + 0.3), permutations=49) for s in (1, 1000))
    assert scaled.value == pytest.approx(near.value, rel=1e-9) and scaled.p == near.p


def test_many_rows_take_their_median_from_seeded_ones(monkeypatch):
    rng = np.random.default_rng(6)
    x, y = rng.normal(size=(400, 3)), rng.normal(size=(300, 3))
    every = mmd(x, y, (1,), permutations=1).bandwidths[0]
    monkeypatch.setattr(module, "MEDIAN_ROWS", 200)
    some = [mmd(x, y, (1,), permutations=1, seed=s).bandwidths[0] for s in (0, 0, 1)]
    assert some[0] == some[1] != some[2] and some[0] == pytest.approx(every, rel=0.05)


@pytest.mark.parametrize(("x", "y", "keywords", "match"), [
    (np.ones((1, 2)), np.eye(2), {}, "at least 2 are needed"),
    (np.eye(3), np.eye(2), {}, "the reference has 3"),
    (np.full((20, 2), 3.3), np.eye(2), {}, "most of the rows are equal"),
    (np.eye(4), np.eye(4) + 1, {"permutations": 0}, "at least 1 permutation"),
    (np.eye(4), np.eye(4) + 1, {"multiples": (1.0, 0.0)}, "positive multiples"),
    (np.eye(4), np.eye(4) + 1, {"multiples": ()}, "positive multiples")])
def test_bad_input_is_refused(x, y, keywords, match):
    with pytest.raises(KelvinError, match=match):
        mmd(x, y, **keywords)


def test_equal_rows_are_told_apart_from_other_faults():
    """71 % of equal rows leave most pairs equal: 0.71^2 > 1/2. Then there is no scale, and no number."""
    x, rest = np.zeros((71, 3)), np.random.default_rng(0).normal(size=(29, 3))
    with pytest.raises(NoScale):
        mmd(x, rest)
    assert mmd(x[:69], np.concatenate([rest, rest + 1])).value > 0
