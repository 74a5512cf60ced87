"""The four gates: passed, missed, and missed on condition; numbers and sentences."""

import numpy as np
import pytest

from kelvin.common.errors import KelvinError
from kelvin.metrics.gates import budget_gate, missed, restoration_gate, seeds_gate, severity_gate

LINEAR = [0.001, 0.05, 0.1, 0.2]
TIMES = [1, 5, 10, 20]


def test_restoration_counts_only_where_least_squares_leaves_a_visible_error():
    """t = 1: 100 times as bad, but least squares is within half of 1/16 grey there."""
    network = [0.1, 0.054, 0.1, 0.15]
    found = restoration_gate(TIMES, network, LINEAR, 17)
    assert found.passed and found.numbers["times"] == [5, 10, 20]
    assert found.numbers["ratio"] == pytest.approx(1.08) and found.numbers["ratio_at"] == 5
    assert found.sentence == ("One-shot RMSE is at most 1.08 times that of least squares (at t = 5); 1.1 "
                              "is allowed wherever least squares leaves more than half a grey level.")
    fine = restoration_gate(TIMES, network, LINEAR, 1000)  # half a level of 1/999: t = 1 counts now
    assert not fine.passed and fine.numbers["missed_at"] == [1]


def test_restoration_missed_and_conditional():
    network = [0.001, 0.06, 0.1, 0.3]
    found = restoration_gate(TIMES, network, LINEAR, 17)
    assert not found.passed and not found.conditional and missed([found]) == [found]
    assert found.sentence == ("Least squares restores better at t = 5, 20: one-shot RMSE is up to 1.5 "
                              "times that of least squares (at t = 20); 1.1 is allowed wherever least "
                              "squares leaves more than half a grey level.")
    out_of_reach = restoration_gate(TIMES, network, LINEAR, 17, in_reach=False)
    assert out_of_reach.conditional and missed([out_of_reach]) == []
    assert not restoration_gate(TIMES, LINEAR, LINEAR, 17, in_reach=False).conditional


def test_restoration_with_nothing_to_compare():
    found = restoration_gate([1, 2], [0.2, 0.2], [0.01, 0.02], 17)
    assert found.passed and found.numbers["ratio"] is None
    assert "half a grey level (0.0312)" in found.sentence


@pytest.mark.parametrize("given, message", [
    (([1, 2], [0.1], [0.1, 0.1], 17), "one RMSE of each"), (([], [], [], 17), "one RMSE of each"),
    (([1], [np.nan], [0.1], 17), "finite RMSE"), (([1], [0.1], [-0.1], 17), "finite RMSE"),
    (([1], [0.1], [0.1], 1), "2 grey levels")])
def test_restoration_refuses(given, message):
    with pytest.raises(KelvinError, match=message):
        restoration_gate(*given)


@pytest.mark.parametrize("factor, passed", [(1.04, True), (0.96, True), (1.06, False), (0.9, False)])
def test_budget(factor, passed):
    before = np.array([2.0, 2.2, 2.1, 2.4, 1.9])
    found = budget_gate((1120, 2240), before, factor * before)
    assert found.passed is passed and found.numbers["move"] == pytest.approx(np.log(factor))
    expected = np.sqrt(2 * np.log(before).var(ddof=1) / 5)
    assert found.numbers["standard_error"] == pytest.approx(expected)


def test_budget_of_two_doublings_is_divided():
    found = budget_gate((1120, 4480), [2.0], [1.8])
    assert found.numbers["move"] == pytest.approx(np.log(0.9) / 2) and not found.passed
    assert found.sentence == ("Each doubling of the updates from 1,120 to 4,480 multiplies FMD by 0.95; "
                              "a change of log FMD below 0.05 is needed.")


@pytest.mark.parametrize("given, message", [
    (((1120, 1500), [1.0], [1.0]), "twice the updates"), (((1120, 2240), [], [1.0]), "at 1,120 updates"),
    (((1120, 2240), [1.0], [0.0]), "at 2,240 updates")])
def test_budget_refuses(given, message):
    with pytest.raises(KelvinError, match=message):
        budget_gate(*given)


def test_severity():
    assert severity_gate(None).passed
    found = severity_gate(63, 0.17, 0.01)
    assert not found.passed and found.sentence == (
        "The degradation is clamped from t = 63: 17 % of the variance is left at T, where 1 % was asked "
        "for.")


@pytest.mark.parametrize("seeds, updates, tuned, passed", [
    (range(5), 2240, (), True), (range(5), 1120, (), False), (range(10), 1120, (), True),
    (range(10), 1120, (0, 1), False), (range(7), 4480, (0, 1), True), ([3, 3, 3, 3, 3], 4480, (), False)])
def test_seeds_are_fresh_and_enough(seeds, updates, tuned, passed):
    assert seeds_gate(seeds, updates, tuned).passed is passed


def test_seeds_in_words():
    assert seeds_gate([4], 1120, [5]).sentence == (
        "1 fresh training seed at 1,120 updates; 10 are needed.")


def test_many_times_are_told_as_a_range():
    times = list(range(5, 105, 5))
    gate = restoration_gate(times, [0.001] * 3 + [0.5] * 17, [0.1] * 20, 17)
    assert "Least squares restores better at t = 20 to 100 (17 of 20 times): " in gate.sentence
    assert gate.numbers["missed_at"] == times[3:]
