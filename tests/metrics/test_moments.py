"""One pass, any batch size, float64: the moments are numpy's."""

import io

import numpy as np
import pytest

from kelvin.common.errors import KelvinError
from kelvin.metrics.moments import MomentAccumulator, Moments, moments, stream_moments


def features(n=1003, d=12):
    rng = np.random.default_rng(1)
    # Means far from zero: a sum of squares would lose six digits here.
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 1e3 * rng.normal(size=d)


@pytest.mark.parametrize("batch", [1, 7, 256, 1002, 5000])
def test_moments_do_not_depend_on_the_batch_size(batch):
    """To 1e-12 of the largest entry, and equal to numpy's mean and cov likewise."""
    x = features()
    got = stream_moments(x[i : i + batch] for i in range(0, len(x), batch))
    assert got.n == len(x)
    cov = np.cov(x, rowvar=False)
    np.testing.assert_allclose(got.mean, x.mean(0), rtol=1e-12)
    np.testing.assert_allclose(got.cov, cov, rtol=0, atol=1e-12 * np.abs(cov).max())


def test_float32_features_are_accumulated_in_float64():
    x = features().astype(np.float32)
    expected = np.cov(x.astype(np.float64), rowvar=False)
    np.testing.assert_allclose(moments(x).cov, expected, rtol=0, atol=1e-12 * expected.max())


def test_the_factor_is_a_root_of_the_covariance():
    x = features()
    m = moments(x)
    np.testing.assert_allclose(m.factor @ m.factor.T, m.cov, atol=1e-12 * np.abs(m.cov).max())
    few = moments(x[:5])
    assert few.factor.shape == (12, 4)
    np.testing.assert_allclose(few.factor @ few.factor.T, few.cov, atol=1e-10)


def test_moments_survive_a_file():
    m, file = moments(features()), io.BytesIO()
    np.savez(file, **m.to_arrays())
    file.seek(0)
    back = Moments.from_arrays(np.load(file))
    assert back.n == m.n
    np.testing.assert_array_equal(back.mean, m.mean)
    np.testing.assert_array_equal(back.cov, m.cov)


def test_what_has_no_covariance_is_refused():
    with pytest.raises(KelvinError, match="at least 2"):
        moments(np.ones((1, 3)))
    with pytest.raises(KelvinError, match="reference has 3"):
        stream_moments([np.ones((4, 3)), np.ones((4, 2))])
    with pytest.raises(KelvinError, match="lack"):
        Moments.from_arrays({"mean": np.ones(3)})
    with pytest.raises(KelvinError, match=r"\(3, 2\)"):
        Moments.from_arrays({"n": 2, "mean": np.ones(3), "cov": np.ones((3, 2))})
    accumulator = MomentAccumulator()
    accumulator.update(np.empty((0, 3)))
    assert accumulator.n == 0
