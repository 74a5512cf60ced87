"""What the findings say of a distance at infinitely many images."""

from kelvin.report.studies.metrics import at_infinity

NONE = {"fmd": None, "low": None, "high": None}


def test_an_extrapolation_that_ends_below_zero_says_so_and_too_few_images_say_nothing():
    assert at_infinity({"fmd": 2.0, "low": 1.5, "high": 2.5, "why": None}) == (
        "; extrapolated to infinitely many 2.00 [1.50, 2.50]")
    below = "the line in 1/n ends at -0.14, which no distance is, as where ..."
    assert at_infinity({**NONE, "why": below}) == f"; not extrapolated: {below}"
    assert at_infinity({**NONE, "why": "FD-infinity needs 2 or more sizes"}) == ""
