"""Coverage of the intervals on Gaussians whose distance is known in closed form.

Nominal 95 %. Accepted: 89-99.5 % where the distance is large against its noise, 93-100 % near zero
distance, where the jackknife's standard error is known to be too large. So that no interval can
pass by being wide, its standard error is held against the true standard deviation as well.
"""

import numpy as np
import pytest
import scipy.stats

from kelvin.common.errors import KelvinError
from kelvin.metrics.frechet import frechet_distance, frechet_from_features
from kelvin.metrics.intervals import frechet_interval, mean_interval, rows_needed
from kelvin.metrics.moments import Moments, moments


def gaussians(d, shift, spread, seed=0):
    """A reference and a distribution beside it: mean, axes and spectrum differ."""
    rng = np.random.default_rng(seed)
    q, _ = np.linalg.qr(rng.normal(size=(d, d)))
    turned, _ = np.linalg.qr(np.eye(d) + spread * rng.normal(size=(d, d)) / np.sqrt(d))
    turned *= np.sign(np.diag(turned))
    spectrum = 1 / np.sqrt(1 + np.arange(d))
    reference = Moments(10**6, rng.normal(size=d), (q * spectrum) @ q.T)
    axes, scale = turned @ q, np.sqrt(spectrum * np.exp(spread * rng.normal(size=d)))
    mean = reference.mean + shift * q @ (np.sqrt(spectrum) * rng.normal(size=d))
    root = axes * scale
    return reference, mean, root


def simulate(d, n, shift, spread, sims, groups=15):
    """Reference, true distance, and intervals of `sims` samples of n rows."""
    reference, mean, root = gaussians(d, shift, spread)
    true = frechet_distance(Moments(10**6, mean, root @ root.T), reference)
    rng = np.random.default_rng(1)
    found = [
        frechet_interval(mean + rng.normal(size=(n, d)) @ root.T, reference, groups, seed=k)
        for k in range(sims)
    ]
    return true, {
        name: np.array([getattr(f, name) for f in found]) for name in found[0].__dataclass_fields__
    }


def covered(low, high, value):
    return np.mean((low <= value) & (value <= high))


@pytest.mark.parametrize(
    ("d", "n", "shift", "spread", "sims", "null"),
    [
        (16, 270, 0.5, 0.0, 200, False),
        (16, 270, 0.3, 0.6, 200, False),
        (16, 270, 0.0, 0.03, 200, True),
        (64, 270, 0.3, 0.5, 150, False),
        (64, 270, 0.0, 0.03, 150, True),
        (64, 143, 0.2, 0.3, 150, False),
    ],
)
def test_intervals_cover_the_true_distance_and_the_mean_estimate(d, n, shift, spread, sims, null):
    true, f = simulate(d, n, shift, spread, sims, groups=15 if d == 16 else 10)
    accepted = (0.93, 1.0) if null else (0.89, 0.995)
    sd = f["estimate"].std(ddof=1)
    at_n = covered(f["low_at_n"], f["high_at_n"], f["estimate"].mean())
    at_infinity = covered(f["low"], f["high"], true)
    assert accepted[0] <= at_n <= accepted[1], at_n
    assert accepted[0] <= at_infinity <= accepted[1], at_infinity
    assert 0.85 < f["standard_error"].mean() / sd < (1.7 if null else 1.25)
    # The plain estimate is biased by many standard deviations, the debiased one by less than one.
    assert abs(f["debiased"].mean() - true) < 0.4 * sd
    if d == 64:
        assert f["estimate"].mean() - true > 1.5 * sd


def test_with_fewer_rows_than_dimensions_only_the_interval_at_n_is_given_and_it_covers():
    _, f = simulate(64, 32, 0.3, 0.5, 200)
    at_n = covered(f["low_at_n"], f["high_at_n"], f["estimate"].mean())
    assert 0.89 <= at_n <= 0.995, at_n
    assert all(v is None for k in ("debiased", "low", "high") for v in f[k])
    assert f["why"][0] == "32 rows for 64 dimensions: a debiased distance needs 128."


def test_rows_needed_leave_less_bias_than_a_standard_error():
    """At zero distance and a flat spectrum, the worst case; one row fewer gets no such estimate."""
    d, n = 128, rows_needed(128)
    assert (rows_needed(16), rows_needed(64), n) == (32, 128, 363)
    reference, rng = Moments(10**6, np.zeros(d), np.eye(d)), np.random.default_rng(9)
    found = [frechet_interval(rng.normal(size=(n, d)), reference, 8, seed=k) for k in range(12)]
    assert abs(np.mean([f.debiased / f.standard_error for f in found])) < 1
    assert np.mean([f.estimate / f.standard_error for f in found]) > 30
    short = frechet_interval(rng.normal(size=(n - 1, d)), reference, 8)
    assert short.debiased is None and "needs 363" in short.why


def test_the_interval_holds_its_own_estimate_where_the_percentile_bootstrap_does_not():
    reference, _, _ = gaussians(64, 0, 0)
    rng = np.random.default_rng(2)
    x = rng.normal(size=(360, 64)) @ np.linalg.cholesky(reference.cov).T + reference.mean
    got = frechet_interval(x, reference)
    again = [frechet_from_features(x[rng.integers(0, 360, 360)], reference) for _ in range(100)]
    assert np.percentile(again, 2.5) > got.estimate
    assert got.low_at_n < got.estimate < got.high_at_n
    np.testing.assert_allclose(got.estimate, frechet_from_features(x, reference), rtol=1e-9)


@pytest.mark.parametrize(("n", "d"), [(105, 10), (101, 10), (33, 20)])
def test_the_downdates_equal_a_plain_jackknife(n, d):
    """Leaving rows out of running sums against refitting on the rows left: to 1e-8 relative."""
    reference, mean, root = gaussians(d, 0.3, 0.3)
    rng = np.random.default_rng(3)
    x, groups = mean + rng.normal(size=(n, d)) @ root.T, 7
    got = frechet_interval(x, reference, groups, seed=5)
    parts = np.array_split(np.random.default_rng(5).permutation(n), groups)
    estimate = frechet_from_features(x, reference)
    left = np.array([frechet_from_features(np.delete(x, p, 0), reference) for p in parts])
    size = np.array([len(p) for p in parts])
    h = n / size
    pseudo = h * estimate - (h - 1) * left
    centre = groups * estimate - np.sum((1 - size / n) * left)
    error = np.sqrt(np.sum((pseudo - centre) ** 2 / (h - 1)) / groups)
    np.testing.assert_allclose(got.standard_error, error, rtol=1e-8)
    t = scipy.stats.t.ppf(0.975, groups - 1)
    np.testing.assert_allclose(got.high_at_n - got.estimate, t * error, rtol=1e-8)
    if n >= 2 * d and n % groups == 0:
        pairs = [np.r_[parts[i], parts[j]] for i in range(groups) for j in range(i)]
        two = np.mean([frechet_from_features(np.delete(x, p, 0), reference) for p in pairs])
        m = np.array([groups, groups - 1, groups - 2.0])
        constant = np.polyfit(1 / m, [estimate, left.mean(), two], 2)[-1]
        np.testing.assert_allclose(got.debiased, constant, rtol=1e-6)


def test_a_statistic_of_the_mean_alone_is_debiased_exactly():
    """A reference without spread: FD = |m - m2|^2 + tr S, whose bias is exactly tr S / n."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(60, 3))
    got = frechet_interval(x, Moments(9, np.ones(3), np.zeros((3, 3))), groups=60)
    unbiased = np.sum((x.mean(0) - 1) ** 2) + x.var(0, ddof=1).sum() * (1 - 1 / 60)
    np.testing.assert_allclose(got.debiased, unbiased, rtol=1e-9)


def test_groups_of_unequal_size_add_no_noise():
    """60 rows in 7 groups, far from the reference: the linear part, 100 times the rest, cancels."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(60, 3))
    got = frechet_interval(x, Moments(9, np.full(3, 100.0), np.zeros((3, 3))), groups=7)
    assert got.standard_error > 20
    np.testing.assert_allclose(got.debiased, got.estimate - x.var(0, ddof=1).sum() / 60, atol=0.1)


def test_the_seed_decides_the_groups():
    x = np.random.default_rng(6).normal(size=(100, 4))
    reference = moments(x[:50] + 0.1)
    assert frechet_interval(x, reference, seed=1) == frechet_interval(x, reference, seed=1)
    assert frechet_interval(x, reference, seed=1) != frechet_interval(x, reference, seed=2)


def test_refuses_too_little():
    reference = moments(np.random.default_rng(7).normal(size=(20, 3)))
    with pytest.raises(KelvinError, match="at least 8"):
        frechet_interval(np.ones((7, 3)), reference)
    with pytest.raises(KelvinError, match="5 groups"):
        frechet_interval(np.ones((9, 3)), reference, groups=4)
    with pytest.raises(KelvinError, match="at least 2 finite"):
        mean_interval([1.0])
    with pytest.raises(KelvinError, match="at least 2 finite"):
        mean_interval([1.0, np.nan])


def test_mean_interval_is_students():
    values = np.random.default_rng(8).normal(size=7)
    got = mean_interval(values, 0.9)
    expected = scipy.stats.t.interval(0.9, 6, values.mean(), scipy.stats.sem(values))
    np.testing.assert_allclose((got.low, got.high), expected, rtol=1e-12)
    assert got.mean == values.mean()
