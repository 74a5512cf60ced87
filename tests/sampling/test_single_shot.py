"""The times at which a restoration is measured."""

import pytest

from kelvin.sampling.single_shot import times


@pytest.mark.parametrize(("T", "step", "expected"), [
    (1000, 50, list(range(50, 1001, 50))), (40, 20, [20, 40]), (45, 20, [20, 40, 45]), (7, 20, [7]),
    (20, 20, [20]), (1, 1, [1]), (3, 1, [1, 2, 3])])
def test_times_go_in_steps_and_end_in_the_last(T, step, expected):
    assert times(T, step) == expected
