"""FD-infinity removes the bias of a finite n, on Gaussians whose distance is known in closed form."""

import numpy as np
import pytest

from kelvin.common.errors import KelvinError
from kelvin.metrics.fd_infinity import fd_infinity
from kelvin.metrics.frechet import frechet_distance, frechet_from_features
from kelvin.metrics.intervals import frechet_interval
from kelvin.metrics.moments import Moments, moments


def simulate(d, n, spread, sims):
    """True distance, plain distances and FDInfinity of `sims` samples of n rows; covariances that do not
    commute, unless spread is 0 and the distance with it."""
    rng = np.random.default_rng(0)
    root = np.linalg.qr(rng.normal(size=(d, d)))[0] * np.sqrt(1 / (1 + np.arange(d)))
    other = root + spread * rng.normal(size=(d, d)) / d
    mean = spread * rng.normal(size=d) / d**0.5
    reference = Moments(10**9, np.zeros(d), root @ root.T)
    true = frechet_distance(Moments(10**9, mean, other @ other.T), reference)
    rows = [mean + rng.normal(size=(n, d)) @ other.T for _ in range(sims)]
    plain = np.array([frechet_from_features(x, reference) for x in rows])
    return true, plain, [fd_infinity(x, reference, draws=2, seed=k) for k, x in enumerate(rows)]


@pytest.mark.parametrize(("d", "n", "spread", "accepted"), [
    (8, 270, 0.3, (0.88, 0.99)), (16, 400, 0.4, (0.88, 0.99)), (16, 400, 0.0, (0.90, 1.0)),
    (32, 400, 0.0, (0.86, 1.0))])
def test_the_bias_is_gone_and_the_interval_covers(d, n, spread, accepted):
    """100 samples: the plain value lies too high, by half a standard deviation or more (4 at zero
    distance); a fifth of that at most remains, the curvature of the bias, and less than one standard
    deviation. The standard error is the true one to 20 %; at zero distance, where the jackknife is too
    wide, it may be twice that."""
    true, plain, found = simulate(d, n, spread, 100)
    value, error = np.array([f.value for f in found]), np.array([f.standard_error for f in found])
    bias, left = plain.mean() - true, value.mean() - true
    inside = np.mean([f.low <= true <= f.high for f in found])
    ratio = (error**2).mean() ** 0.5 / value.std()
    assert bias > (0.5 if spread else 4) * value.std()
    assert abs(left) < 0.2 * bias + 3 * value.std() / 100**0.5 and abs(left) < value.std()
    assert accepted[0] <= inside <= accepted[1] and 0.8 < ratio < (1.2 if spread else 2.0)


def test_two_models_whose_order_at_one_n_is_that_of_their_biases():
    """Chong and Forsyth's point: of 30 rows, one that is too narrow (by 0.27) seems better than a
    perfect one, whose wider spread has the larger bias."""
    rng, d = np.random.default_rng(3), 15
    reference = Moments(10**9, np.zeros(d), np.eye(d))
    narrow, perfect = (rng.normal(size=(2100, d)) * ([1.0] * 3 + [width] * 12) for width in (0.85, 1.0))
    at_30 = [np.mean([frechet_from_features(x[i:i + 30], reference) for i in range(0, 2100, 30)])
             for x in (narrow, perfect)]
    assert at_30[0] < at_30[1]
    assert fd_infinity(narrow, reference).low > fd_infinity(perfect, reference).high


def test_a_line_in_1_over_n_by_least_squares():
    """Value and slope are those of numpy's weighted polynomial fit to every subset, to 1e-9."""
    rng = np.random.default_rng(4)
    x, reference = rng.normal(size=(103, 3)), moments(rng.normal(size=(500, 3)))
    got, again = fd_infinity(x, reference, 20, draws=2, seed=5), np.random.default_rng(5)
    points = []
    for parts in range(1, 6):
        for _ in range(2 if parts > 1 else 1):
            for rows in np.array_split(again.permutation(103), parts):
                distance = frechet_from_features(x[rows], reference)
                points.append((1 / len(rows), distance, len(rows) / (2 if parts > 1 else 1)))
    inverse, distance, weight = np.array(points).T
    slope, value = np.polyfit(inverse, distance, 1, w=np.sqrt(weight))
    assert (got.value, got.slope) == pytest.approx((value, slope), rel=1e-9)
    np.testing.assert_allclose(got.sizes, 103 / np.arange(1, 6))
    assert got.distances[0] == pytest.approx(frechet_from_features(x, reference), rel=1e-9)
    assert got.distances[4] == pytest.approx(distance[-10:] @ weight[-10:] / weight[-10:].sum(), rel=1e-9)


def test_seeds_standard_error_and_number_of_sizes():
    rng = np.random.default_rng(6)
    x, reference = rng.normal(size=(100, 4)), moments(rng.normal(size=(500, 4)))
    one, same, other = (fd_infinity(x, reference, seed=s) for s in (0, 0, 1))
    assert one.value == same.value != other.value and len(one.sizes) == 5
    assert one.standard_error == frechet_interval(x, reference, seed=0).standard_error
    given = fd_infinity(x, reference, standard_error=0.5)
    assert given.high - given.low == pytest.approx(2 * 1.959964 * 0.5, rel=1e-6)
    assert len(fd_infinity(x[:50], reference).sizes) == 3  # 16 rows a size, 4 for each dimension


@pytest.mark.parametrize(("rows", "keywords", "match"), [
    (31, {}, "sizes of at least 16"), (100, {"sizes": 1}, "given 100 rows, 1 sizes"),
    (7, {}, "at least 8"), (100, {"draws": 0}, "0 draws"), (100, {"level": 0.0}, "level in"),
    (100, {"smallest": 1}, "at least 2")])
def test_bad_input_is_refused(rows, keywords, match):
    rng = np.random.default_rng(7)
    with pytest.raises(KelvinError, match=match):
        fd_infinity(rng.normal(size=(rows, 4)), moments(rng.normal(size=(500, 4))), **keywords)
