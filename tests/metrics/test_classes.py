"""The classifier's view: confidence, histogram, entropy."""

import numpy as np
import pytest
import scipy.stats

from kelvin.common.errors import KelvinError
from kelvin.metrics.classes import class_view


def test_view_by_hand():
    got = class_view(np.array([[0.7, 0.2, 0.1], [0.1, 0.9, 0.0], [0.6, 0.3, 0.1], [0.0, 1.0, 0.0]]))
    assert got.confidence == pytest.approx((0.7 + 0.9 + 0.6 + 1) / 4)
    np.testing.assert_array_equal(got.histogram, [0.5, 0.5, 0])
    assert got.entropy == pytest.approx(np.log(2))
    assert got.evenness == pytest.approx(np.log(2) / np.log(3))


def test_entropy_equals_scipy_and_its_bounds():
    p = np.random.default_rng(0).dirichlet(np.linspace(1, 4, 10), 500).astype(np.float32)
    got = class_view(p)
    assert got.entropy == pytest.approx(scipy.stats.entropy(got.histogram), rel=1e-12)
    assert 0 < got.evenness < 1
    assert class_view(np.eye(10)).evenness == pytest.approx(1)
    one = class_view(np.tile(np.eye(10)[3], (5, 1)))
    assert one.entropy == 0 and one.evenness == 0 and one.confidence == 1


@pytest.mark.parametrize(
    "p", [np.ones((3, 1)), np.full((3, 2), 0.4), [[1.5, -0.5]], np.full((2, 2), np.nan), np.ones(3)]
)
def test_what_is_no_probability_is_refused(p):
    with pytest.raises(KelvinError):
        class_view(p)
