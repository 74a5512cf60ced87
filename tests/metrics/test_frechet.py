"""The Frechet distance against two other implementations, closed forms and itself."""

import subprocess
import sys

import numpy as np
import pytest
import scipy.linalg

from kelvin.common.errors import KelvinError
from kelvin.metrics.frechet import frechet_distance, frechet_from_features
from kelvin.metrics.moments import Moments, moments


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
    """To 1e-8 relative, and so against scipy's matrix root directly; at 2048, `make bench` asserts it."""
    a, b = random_moments(d, 1), random_moments(d, 2)
    commutator = a.cov @ b.cov - b.cov @ a.cov
    assert np.abs(commutator).max() > 0.1 * np.abs(a.cov @ b.cov).max()
    got = frechet_distance(a, b)
    np.testing.assert_allclose(got, peer(a.mean, a.cov, b.mean, b.cov), rtol=1e-8)
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


def test_few_rows_of_2048_features_have_their_closed_form():
    """n < d on shared axes: |m1 - m2|^2 + sum (s1 - s2)^2; nuclear form to 1e-10, moments to 1e-6.

    Moments of few rows are worse for the roots of the rounding errors in their singular covariance.
    """
    rng = np.random.default_rng(12)
    axes, _ = np.linalg.qr(rng.normal(size=(2048, 20)))
    rows, spreads = [], np.exp(rng.normal(size=(2, 20)))
    for n, spread in zip((30, 45), spreads, strict=True):
        centred, _ = np.linalg.qr(np.eye(n, 20) - np.eye(n, 20).mean(0))
        rows.append(centred * spread * np.sqrt(n - 1) @ axes.T + rng.normal(size=2048))
    x, y = rows
    expected = np.sum((x.mean(0) - y.mean(0)) ** 2) + np.sum((spreads[0] - spreads[1]) ** 2)
    np.testing.assert_allclose(frechet_from_features(x, y), expected, rtol=1e-10)
    small = x @ axes, y @ axes  # the same, without the 2028 empty directions
    gap = np.sum((x.mean(0) - y.mean(0)) ** 2) - np.sum((small[0].mean(0) - small[1].mean(0)) ** 2)
    padded = [np.concatenate([z, np.zeros((len(z), 80))], 1) for z in small]
    got = frechet_distance(*map(moments, padded)) + gap
    np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.parametrize("n", [30, 63])
def test_few_rows_equal_pytorch_fid_as_far_as_its_singular_root_goes(n, peer):
    """n < d = 64, to 1e-5 relative: a root of a singular product is worth no more."""
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(n, 64)), rng.normal(size=(n, 64)) @ rng.normal(size=(64, 64)) + 1
    a, b = moments(x), moments(y)
    expected = peer(a.mean, a.cov, b.mean, b.cov)
    np.testing.assert_allclose(frechet_from_features(x, y), expected, rtol=1e-5)


STREAM = """
from pathlib import Path
import numpy as np
from kelvin.metrics.frechet import frechet_distance
from kelvin.metrics.moments import MomentAccumulator, Moments

def mebibytes(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024

rng, accumulator = np.random.default_rng(0), MomentAccumulator()
start = mebibytes("VmRSS")
for batch in range(12):
    accumulator.update(rng.random((256, 2048), dtype=np.float32))
    if batch == 3:
        early = mebibytes("VmHWM")
late = mebibytes("VmHWM")
a = accumulator.result()
found = frechet_distance(a, Moments(a.n, a.mean + 1, 2 * a.cov))
exact = 2048 + (2 ** 0.5 - 1) ** 2 * np.trace(a.cov)
print(late - early, mebibytes("VmHWM") - start, abs(found / exact - 1))
"""


def test_moments_and_distance_at_2048_features_take_memory_that_does_not_grow_with_n():
    """Own process, peak resident size: under 16 MiB more at 3 times the rows, in all under 1 GiB.

    50,000 rows are streamed by `python benchmarks/metrics.py`. The distance has its closed form to 1e-8.
    """
    ran = subprocess.run([sys.executable, "-c", STREAM], capture_output=True, text=True, check=True)
    growth, peak, error = map(float, ran.stdout.split())
    assert growth < 16 and peak < 1024 and error < 1e-8


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
