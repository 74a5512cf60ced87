"""KID against a double loop, torchmetrics and a closed form; its interval on Gaussians."""

from math import comb

import numpy as np
import pytest
import torch
from torchmetrics.image.kid import poly_mmd

from kelvin.common.errors import KelvinError
from kelvin.metrics import kid as module
from kelvin.metrics.kid import kid


def slow(x, y, degree, gamma, coef0):
    """Binkowski et al. 2018, eq. 4, pair by pair."""
    def mean(a, b, same):
        values = [(gamma * (p @ q) + coef0) ** degree for i, p in enumerate(a)
                  for j, q in enumerate(b) if not (same and i == j)]
        return sum(values) / len(values)
    return mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False)


def true_kid(mean, root, other_mean, other_root):
    """Cubic KID, gamma 1/d, coef0 1, of two Gaussians: E<x, y>^k is the product of moment tensors."""
    def tensors(m, r):
        s = r @ r.T
        third = np.einsum("i,j,k->ijk", m, m, m) + np.einsum("ij,k->ijk", s, m)
        third += np.einsum("ik,j->ijk", s, m) + np.einsum("jk,i->ijk", s, m)
        return m, s + np.outer(m, m), third
    pairs = zip(tensors(mean, root), tensors(other_mean, other_root), strict=True)
    return sum(comb(3, k) / len(mean)**k * ((a - b) ** 2).sum() for k, (a, b) in enumerate(pairs, 1))


@pytest.mark.parametrize(("degree", "gamma", "coef0"), [(3, None, 1.0), (1, 0.3, 0.0), (2, 2.0, 0.5)])
def test_all_pairs_equal_the_double_loop(degree, gamma, coef0):
    """To 1e-10 relative, sides of different sizes."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(13, 5)), rng.normal(0.3, 1.2, size=(9, 5))
    got = kid(x, y, degree, gamma, coef0, subset_size=None)
    assert got.value == pytest.approx(slow(x, y, degree, gamma or 1 / 5, coef0), rel=1e-10)
    assert (got.n, got.m, got.subset_size, got.subsets) == (13, 9, None, 1)


def test_one_draw_of_all_rows_is_torchmetrics_own():
    """To 1e-10 relative, in float64; the order of the rows is of no account."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(60, 16)), rng.normal(0.2, 1, size=(60, 16))
    expected = poly_mmd(torch.from_numpy(x), torch.from_numpy(y)).item()
    assert kid(x, y, subset_size=60, subsets=3).value == pytest.approx(expected, rel=1e-10)
    assert kid(x, y, subset_size=None).value == pytest.approx(expected, rel=1e-10)


def test_tiles_change_nothing(monkeypatch):
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(50, 4)), rng.normal(0.5, 1, size=(31, 4))
    whole = kid(x, y, subset_size=None)
    monkeypatch.setattr(module, "TILE", 7)
    tiled = kid(x, y, subset_size=None)
    assert tiled.value == pytest.approx(whole.value, rel=1e-11)
    assert tiled.standard_error == pytest.approx(whole.standard_error, rel=1e-11)


def test_standard_error_of_all_pairs_is_the_delete_one_jackknife():
    """By leaving each row out in turn, to 1e-10 relative."""
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(12, 3)), rng.normal(0.5, 1, size=(8, 3))
    def spread(values):
        return (len(values) - 1) / len(values) * ((values - values.mean()) ** 2).sum()
    variance = spread(np.array([slow(np.delete(x, i, 0), y, 3, 1 / 3, 1) for i in range(12)]))
    variance += spread(np.array([slow(x, np.delete(y, i, 0), 3, 1 / 3, 1) for i in range(8)]))
    assert kid(x, y, subset_size=None).standard_error == pytest.approx(variance**0.5, rel=1e-10)


@pytest.mark.parametrize(("d", "shift", "subset_size", "subsets", "accepted"), [
    (16, 0.3, None, 1, (0.91, 0.98)), (16, 0.3, 40, 20, (0.90, 0.985)), (16, 0.3, 40, 2, (0.91, 0.98)),
    (16, 0.0, None, 1, (0.94, 1.0)), (16, 0.0, 40, 20, (0.94, 1.0)), (4, 0.5, None, 1, (0.85, 0.96))])
def test_interval_covers_and_the_value_is_unbiased(d, shift, subset_size, subsets, accepted):
    """400 samples (with many subsets 150) of 120 and 90 rows. In 4 dimensions a cubic kernel has
    long tails: less is accepted. The standard error is held against the true spread, so that no
    interval can pass by being wide: to 10 % below and 20 % above where the distance is large, a factor
    of 2 above at zero."""
    rng, sims = np.random.default_rng(4), 400 if subsets < 10 else 150
    root = np.eye(d) + rng.normal(size=(d, d)) / d
    mean, other, other_root = np.full(d, 0.3), np.full(d, 0.3 + shift), root * (1 + 0.4 * shift)
    true = true_kid(mean, root, other, other_root)
    found = [kid(mean + rng.normal(size=(120, d)) @ root.T,
                 other + rng.normal(size=(90, d)) @ other_root.T,
                 subset_size=subset_size, subsets=subsets, seed=k) for k in range(sims)]
    values, error = np.array([f.value for f in found]), np.array([f.standard_error for f in found])
    inside = np.mean([f.low <= true <= f.high for f in found])
    ratio = (error**2).mean() ** 0.5 / values.std()
    assert abs(values.mean() - true) < 3.5 * values.std() / sims**0.5
    assert accepted[0] <= inside <= accepted[1]
    assert 0.9 < ratio < (1.2 if shift else 2.0)


def test_the_seed_decides_the_subsets_and_nothing_else():
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(40, 3)), rng.normal(size=(40, 3))
    one, same, other = (kid(x, y, subset_size=10, subsets=5, seed=s) for s in (0, 0, 1))
    assert one == same and one.value != other.value


@pytest.mark.parametrize(("change", "match"), [
    ({"subset_size": 11}, "subset_size = 11 must be at least 3 and at most the 10 rows"),
    ({"subset_size": 2}, "subset_size = 2"), ({"subsets": 0}, "at least 1 subset"),
    ({"level": 1.0}, "level in"), ({"degree": 0}, "whole degree"), ({"degree": 1.5}, "whole degree"),
    ({"gamma": 0.0}, "gamma > 0"), ({"coef0": -1.0}, "coef0 >= 0")])
def test_bad_input_is_refused(change, match):
    x = np.random.default_rng(6).normal(size=(12, 4))
    with pytest.raises(KelvinError, match=match):
        kid(x, x[:10], **{"subset_size": 5, **change})


def test_unlike_features_and_too_few_are_refused():
    x = np.random.default_rng(6).normal(size=(12, 4))
    with pytest.raises(KelvinError, match="2 rows of features, at least 3"):
        kid(x, x[:2], subset_size=None)
    with pytest.raises(KelvinError, match="3 features per image, the reference has 4"):
        kid(x, x[:, :3], subset_size=None)
