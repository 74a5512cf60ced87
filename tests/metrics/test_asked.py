"""Accuracy of the asked class, and Wilson's interval against scipy's own."""

import numpy as np
import pytest
from scipy.stats import binomtest

from kelvin.common.errors import KelvinError
from kelvin.metrics.asked import asked_accuracy, wilson_interval


@pytest.mark.parametrize("level", [0.9, 0.95])
@pytest.mark.parametrize(("hits", "n"), [(0, 5), (5, 5), (1, 1), (3, 10), (261, 270)])
def test_wilson_against_scipy(hits, n, level):
    theirs = binomtest(hits, n).proportion_ci(level, method="wilson")
    low, high = wilson_interval(hits, n, level)
    assert low == pytest.approx(theirs.low, abs=1e-12) and high == pytest.approx(theirs.high, abs=1e-12)
    assert 0 <= low <= hits / n <= high <= 1


def test_accuracy_counts_the_label_asked():
    probabilities = np.eye(3)[[0, 1, 2, 2]] * 0.8 + 0.2 / 3
    found = asked_accuracy(probabilities, np.array([0, 1, 2, 0]))
    assert found["asked_accuracy"] == 0.75
    assert (found["asked_accuracy_low"], found["asked_accuracy_high"]) == wilson_interval(3, 4)


def test_refusals():
    with pytest.raises(KelvinError, match="one label for each row"):
        asked_accuracy(np.eye(3), np.array([0, 1]))
    with pytest.raises(KelvinError, match="a proportion needs"):
        wilson_interval(3, 2)
