"""A measure's column: its title, how its values are written, and which of them is best."""

import pytest

from kelvin.metrics.measures import MEASURES
from kelvin.report.kit.measured import column, columns
from kelvin.report.kit.table import Table

ROW = {"fmd": 3.21, "fmd_low": 2.0, "fmd_high": 4.5, "fmd_normalised": 0.01234, "kid": 0.00321,
       "kid_low": -0.001, "kid_high": 0.01, "mmd": 0.0123, "mmd_p": 0.00498, "copy_fraction": 0.0556,
       "class_entropy": 2.2512, "class_evenness": 0.9778, "psnr": 21.44, "psnr_se": 0.1234,
       "fmd_debiased": None}


@pytest.mark.parametrize(("table", "title", "text"), [
    ("generation", "FMD", "3.21 [2.00, 4.50]"),
    ("samplers", "FMD", "3.21"),
    ("generation", "copies", "5.6 %"),
    ("samplers", "normalised", "0.0123"),
    ("distribution", "KID × 1000", "3.21 [−1.00, 10.0]"),
    ("distribution", "MMD², p", "0.0123, 0.0050"),
    ("generation", "entropy [evenness]", "2.25 [0.978]"),
    ("generation", "debiased", "n/a"),
    ("generation", "FID", "n/a"),  # a record made before the measure was there
    ("restoration", "PSNR, dB", "21.4 ± 0.12"),
])
def test_cells(table, title, text):
    shown = {column.title: column for column in columns(table)}
    assert shown[title].show(ROW) == text


@pytest.mark.parametrize(("key", "best"), [("fmd", "1.00"), ("recall", "3.00"), ("confidence", None)])
def test_bold_is_the_lowest_the_highest_or_nothing(key, best):
    rows = [{key: value} for value in (2.0, 1.0, 3.0)]
    cells = Table("t", "", [column(key, bold=True)], rows).cells()
    assert [text for (text, is_bold), in cells if is_bold] == ([best] if best else [])


def test_values_that_are_missing_are_said_to_be_so_in_every_form():
    assert {column(key).show({}) for key in MEASURES} == {"n/a"}
