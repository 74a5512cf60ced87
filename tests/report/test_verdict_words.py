"""Verdicts as sentences: each outcome, the sides of an interval and conditions."""

import numpy as np
import pytest

from kelvin.metrics.gates import GATES, RESTORATION, SEVERITY, Gate
from kelvin.metrics.verdict import Contrast, verdicts
from kelvin.report.kit.verdict_words import between, change, p_value, sentence

Z = np.array([-1.2, -0.5, 0.1, 0.4, 1.2])
PASSED = tuple(Gate(name, True, "") for name in GATES)
TITLES = {"hot": "Gaussian noise", "cold": "blur"}


def contrast(ratio=1.0, pixels=None, sd=0.02, gates=PASSED):
    def pair(r):
        return 5 * np.exp(sd * Z), 5 * r * np.exp(sd * Z[::-1])

    measures = {"fmd": pair(ratio), "fd_pixels": pair(pixels or ratio), "fd_random": pair(ratio)}
    return Contrast("hot", "cold", "naive", 20, measures, {"hot": PASSED, "cold": gates})


def told(*args, **kwargs):
    return sentence(verdicts([contrast(*args, **kwargs)])[0], TITLES)


def test_better():
    assert told(0.8) == (
        "By Algorithm 1 with 20 evaluations an image, over 5 training seeds each, “blur” is better than "
        "“Gaussian noise”: the FMD of “blur” is 20 % lower than that of “Gaussian noise” (95 % interval "
        "18 % to 22 % lower; p < 0.001; an FMD 3.7 % higher would have been found in 4 of 5 such "
        "experiments). FD pixels and FD random net agree.")


@pytest.mark.parametrize("given, part", [
    (dict(ratio=1.3), "“blur” is worse than “Gaussian noise”: the FMD of “blur” is 30 % higher"),
    (dict(ratio=1.0), "no difference beyond 10 %: the FMD of “blur” is"),
    # an end of the interval is a multiple, and so the ratio is put as one
    (dict(ratio=1.3, sd=0.5), "inconclusive: the FMD of “blur” is 1.3 times as high as that of “Gaussian "
                              "noise” (95 % interval 0.7 to 2.5 times; p = 0.39)"),
    (dict(ratio=3.0), "the FMD of “blur” is 3.0 times as high as that of “Gaussian noise”"),
    (dict(ratio=0.8, pixels=1.2), "depends on the measure: the FMD of “blur” is 20 % lower"),
    (dict(ratio=0.8, pixels=1.2), "but by FD pixels it is not."),
    (dict(ratio=1.0, pixels=2.0), "which is no difference beyond 10 %, but by")])
def test_each_outcome(given, part):
    assert part in told(**given)


def test_a_missed_gate_is_named_with_the_runs_title():
    gate = Gate(SEVERITY, False, "The degradation is clamped from t = 63.")
    gates = (*(g for g in PASSED if g.name != SEVERITY), gate)
    assert told(0.5, gates=gates) == (
        "No verdict on “blur” against “Gaussian noise”. “blur” misses the severity gate: The degradation "
        "is clamped from t = 63.")


def test_conditional_wording():
    gate = Gate(RESTORATION, False, "Least squares restores better at t = 5.", conditional=True)
    text = told(0.8, gates=(gate, *PASSED[1:]))
    assert text.endswith("This holds of the networks as trained, and no budget in reach passes the gate "
                         "of restoration. “blur”: Least squares restores better at t = 5.")


@pytest.mark.parametrize("low, high, text", [
    (0.8, 0.9, "10 % to 20 % lower"), (1.051, 1.3, "5.1 % to 30 % higher"),
    (0.9, 1.2, "10 % lower to 20 % higher"), (2.48, 5.9, "2.5 to 5.9 times as high"),
    (3.5, 12.0, "3.5 to 12 times as high"), (0.9, 4.0, "0.9 to 4.0 times as high"),
    (0.0242, 43.4, "0.024 to 43 times as high")])
def test_intervals(low, high, text):
    assert between(low, high) == text


@pytest.mark.parametrize("ratio", [1e-9, 0.5, 1.0, 1.995, 2.999, 1e5])
def test_no_number_has_an_exponent(ratio):
    assert "e+" not in change(ratio) and "e-" not in change(ratio)
    assert p_value(1e-12) == "< 0.001" and p_value(0.0421) == "= 0.042"
