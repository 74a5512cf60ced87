"""Kendall's tau-b of two measures of runs, pair by pair, with ties and missing values."""

import numpy as np
import pytest

from kelvin.common.errors import KelvinError
from kelvin.metrics.agreement import kendall_tau


def slow(a, b):
    """Kendall 1945: concordant less discordant pairs, over the root of the untied pairs of each."""
    pairs = [(np.sign(a[i] - a[j]), np.sign(b[i] - b[j])) for i in range(len(a)) for j in range(i)]
    untied = [sum(p[side] != 0 for p in pairs) for side in (0, 1)]
    return sum(p * q for p, q in pairs) / (untied[0] * untied[1]) ** 0.5


@pytest.mark.parametrize("grid", [1000, 4])
def test_equal_to_the_pairs(grid):
    """To 1e-12, without ties and with many; runs are paired by name, not by place."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, grid, (2, 12)).astype(float)
    b += 0.3 * a
    names = [f"run{i}" for i in range(12)]
    got = kendall_tau(dict(zip(names, a, strict=True)),
                      dict(reversed(list(zip(names, b, strict=True)))))
    assert got.tau == pytest.approx(slow(a, b), abs=1e-12) and got.n == 12 and 0 < got.p < 1


def test_orders_alike_and_opposite():
    a = {"x": 1.0, "y": 2.0, "z": 30.0}
    assert kendall_tau(a, {"x": 0.1, "y": 0.2, "z": 0.21}).tau == 1
    opposite = kendall_tau(a, {k: -v for k, v in a.items()})
    assert opposite.tau == -1 and opposite.p == pytest.approx(2 / 6)


def test_runs_without_a_value_are_left_out_and_counted():
    a = {"x": 1.0, "y": 2.0, "z": 3.0, "fid": None, "only": 5.0}
    got = kendall_tau(a, {"x": 3.0, "y": float("nan"), "z": 4.0, "fid": 9.0})
    assert (got.tau, got.n) == (1, 2)


def test_a_measure_that_is_equal_for_all_has_no_order():
    got = kendall_tau({"x": 1.0, "y": 2.0}, {"x": 3.0, "y": 3.0})
    assert (got.tau, got.p, got.n) == (None, None, 2)


def test_fewer_than_two_runs_are_refused():
    with pytest.raises(KelvinError, match="at least 2 runs with a value of both measures, there are 1"):
        kendall_tau({"x": 1.0, "y": 2.0}, {"x": 1.0, "y": None})
