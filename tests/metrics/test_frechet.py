"""The Frechet distance against two other implementations, closed forms and itself."""

import numpy as np
import pytest
import scipy.linalg

from kelvin.errors import KelvinError
from kelvin.metrics import Moments, frechet_distance, frechet_from_features, moments


def random_moments(d, seed):
    rng = np.random.default_rng(seed)
    q, _ = np.linalg.qr(rng.normal(size=(d, d)))
    return Moments(100, rng.normal(size=d), (q * np.exp(rng.normal(size=d))) @ q.T)


@pytest.fixture(scope="module")
def peer():
    """pytorch-fid's distance. scipy 1.18 drops sqrtm's `disp`, which it passes: given back here."""
    fid_score = pytest.importorskip("pytorch_fid.fid_score")

    class Linalg:
        @staticmethod
        def sqrtm(a, disp=True):
            return scipy.linalg.sqrtm(a) if disp else (scipy.linalg.sqrtm(a), 0.0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fid_score, "linalg", Linalg)
        yield fid_score.calculate_frechet_distance


@pytest.mark.parametrize("d", [2, 16, 64, 200])
def test_equals_pytorch_fid_on_covariances_that_do_not_commute(d, peer):
    """To 1e-6 relative; against scipy's matrix root directly, 1e-8."""
    a, b = random_moments(d, 1), random_moments(d, 2)
    commutator = a.cov @ b.cov - b.cov @ a.cov
    assert np.abs(commutator).max() > 0.1 * np.abs(a.cov @ b.cov).max()
    got = frechet_distance(a, b)
    np.testing.assert_allclose(got, peer(a.mean, a.cov, b.mean, b.cov), rtol=1e-6)
    root = scipy.linalg.sqrtm(a.cov @ b.cov).real
    expected = np.sum((a.mean - b.mean) ** 2) + np.trace(a.cov + b.cov - 2 * root)
    np.testing.assert_allclose(got, expected, rtol=1e-8)
    elementwise = np.trace(a.cov + b.cov - 2 * np.sqrt(np.abs(a.cov * b.cov)))
    assert abs(got - np.sum((a.mean - b.mean) ** 2) - elementwise) > 1e-2 * got


def test_closed_form_for_diagonal_covariances():
    """Sum of (m1 - m2)^2 + (s1 - s2)^2, to 1e-12."""
    rng = np.random.default_rng(3)
    m1, m2, s1, s2 = rng.normal(size=(4, 9))
    q, _ = np.linalg.qr(rng.normal(size=(9, 9)))
    a, b = Moments(9, q @ m1, (q * s1**2) @ q.T), Moments(9, q @ m2, (q * s2**2) @ q.T)
    expected = np.sum((m1 - m2) ** 2) + np.sum((np.abs(s1) - np.abs(s2)) ** 2)
    np.testing.assert_allclose(frechet_distance(a, b), expected, rtol=1e-12)


def test_closed_form_for_two_by_two():
    """tr (AB)^(1/2) = sqrt(tr AB + 2 sqrt(det AB)) in two dimensions, to 1e-12."""
    a, b = random_moments(2, 4), random_moments(2, 5)
    product = a.cov @ b.cov
    cross = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))
    expected = np.sum((a.mean - b.mean) ** 2) + np.trace(a.cov + b.cov) - 2 * cross
    np.testing.assert_allclose(frechet_distance(a, b), expected, rtol=1e-12)


def test_is_symmetric_zero_at_itself_and_never_negative():
    a, b = random_moments(40, 6), random_moments(40, 7)
    np.testing.assert_allclose(frechet_distance(a, b), frechet_distance(b, a), rtol=1e-10)
    assert 0 <= frechet_distance(a, a) < 1e-9 * np.trace(a.cov)
    flat = moments(np.random.default_rng(8).normal(size=(10, 60)))
    assert 0 <= frechet_distance(flat, flat) < 1e-9 * np.trace(flat.cov)


@pytest.mark.parametrize(("n", "m"), [(20, 30), (20, 500), (500, 20), (80, 500), (300, 500)])
def test_few_rows_give_the_value_of_the_eigenvalue_form(n, m):
    """Features (nuclear norm where n <= d = 80) against moments (eigenvalues), to 1e-9 relative."""
    rng = np.random.default_rng(9)
    mix = rng.normal(size=(80, 80))
    x, y = rng.normal(size=(n, 80)) + 0.3, rng.normal(size=(m, 80)) @ mix
    expected = frechet_distance(moments(x), moments(y))
    np.testing.assert_allclose(frechet_from_features(x, y), expected, rtol=1e-9)
    np.testing.assert_allclose(frechet_from_features(x, moments(y)), expected, rtol=1e-9)


def test_few_rows_by_the_formula_itself():
    rng = np.random.default_rng(10)
    x, y = rng.normal(size=(12, 50)), rng.normal(size=(15, 50)) + 1
    xc, yc = x - x.mean(0), y - y.mean(0)
    nuclear = np.linalg.norm(xc @ yc.T, "nuc") / np.sqrt(11 * 14)
    gap = x.mean(0) - y.mean(0)
    expected = gap @ gap + np.sum(xc**2) / 11 + np.sum(yc**2) / 14 - 2 * nuclear
    np.testing.assert_allclose(frechet_from_features(x, y), expected, rtol=1e-12)


def test_a_reference_without_spread_leaves_the_trace():
    x = np.random.default_rng(11).normal(size=(9, 6))
    point = Moments(9, np.zeros(6), np.zeros((6, 6)))
    expected = np.sum(x.mean(0) ** 2) + x.var(0, ddof=1).sum()
    np.testing.assert_allclose(frechet_distance(moments(x), point), expected, rtol=1e-12)
    np.testing.assert_allclose(
        frechet_from_features(x[:5], point), frechet_distance(moments(x[:5]), point), rtol=1e-12
    )


def test_refuses_what_cannot_be_compared():
    with pytest.raises(KelvinError, match="3 and of 4"):
        frechet_distance(random_moments(3, 0), random_moments(4, 0))
    with pytest.raises(KelvinError, match="reference has 4"):
        frechet_from_features(np.ones((5, 3)), random_moments(4, 0))
    with pytest.raises(KelvinError, match="at least 2"):
        frechet_from_features(np.ones((1, 4)), random_moments(4, 0))
