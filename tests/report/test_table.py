"""One table in four hands."""

import pytest

from kelvin.report.kit.table import Column, Table, fixed, number, span, tex
from kelvin.report.page import DIGIT, POINT, Captions, aligned, page_table

ROWS = [{"run": "a|b", "v": 1.5, "v_low": 1.0, "v_high": 2.0},
        {"run": "c_%", "v": 0.5, "v_low": None, "v_high": None},
        {"run": "real", "v": 0.1, "v_low": None, "v_high": None}]
TABLE = Table("t", "caption", [Column("run", lambda r: r["run"]),
                               Column("v", lambda r: span(r, "v"), "v", "min")],
              ROWS, lambda r: r["run"] != "real")


@pytest.mark.parametrize("value, text", [(None, "n/a"), (True, "yes"), (12345, "12,345"), (0.0, "0"),
                                         (-0.01234, "−0.0123"), (0.5, "0.500"), (100.0, "100"),
                                         (12345.6, "12,346"), (2e-9, "2.00e-09"), ("word", "word"),
                                         (999.7, "1,000"), (99.97, "100"), (9.996, "10.0")])
def test_number(value, text):
    assert number(value) == text


@pytest.mark.parametrize("value, text", [(99.7, "100"), (100.0, "100"), (0.997, "1.0"), (12.3, "12")])
def test_two_digits_never_end_in_an_exponent(value, text):
    assert number(value, 2) == text


def test_fixed_keeps_four_decimals():
    assert (fixed(0.06), fixed(-0.0123), fixed(None)) == ("0.0600", "−0.0123", "n/a")


def test_bold_is_the_best_of_those_that_compete():
    assert [bold for _, (_, bold) in TABLE.cells()] == [False, True, False]
    assert "| **0.500** |" in TABLE.markdown() and r"\textbf{0.500}" in TABLE.latex()


def test_bold_within_a_group_and_never_alone():
    grouped = Table("t", "", TABLE.columns, [{"run": "x", "v": v} for v in (3.0, 2.0)]
                    + [{"run": "y", "v": 1.0}], bold_within="run")
    assert [bold for _, (_, bold) in grouped.cells()] == [False, True, False]


def test_escaping():
    assert "a\\|b" in TABLE.markdown()
    assert r"c\_\%" in TABLE.latex() and tex("a\\b & ±") == r"a\textbackslash{}b \& $\pm$"


def test_csv_has_raw_values():
    assert TABLE.csv().splitlines()[:2] == ["run,v,v_low,v_high", "a|b,1.5,1.0,2.0"]


def test_page_splits_the_interval_off():
    assert page_table(TABLE, Captions())["rows"][0][1] == ("1.50" + DIGIT, "1.00, 2.00]", False)


def test_page_takes_name_and_fmd_first_eight_columns_and_rows_by_fmd():
    columns = [Column(name, lambda r, name=name: name) for name in ("run", *"abcdefgh", "FMD")]
    rows = [{"run": name, "fmd": fmd} for name, fmd in (("far", 9.0), ("near", 1.0))]
    columns[0] = Column("run", lambda r: r["run"])
    page = page_table(Table("t", "One. Two.", columns, rows), Captions())
    assert [title for title, _ in page["columns"]] == ["run", "FMD", *"abcdef"] and page["all"] == 10
    assert [row[0][0] for row in page["rows"]] == ["near", "far"]
    chosen = page_table(Table("t", "", columns, rows, page=("h", "a")), Captions())
    assert [title for title, _ in chosen["columns"]] == ["run", "FMD", "h", "a"]


def test_decimal_points_stand_below_one_another():
    found = aligned(["1.86", "46.9", "1,000", "–"])
    assert [len(text) - len(text.rstrip(DIGIT + POINT)) for text in found] == [0, 1, 3, 0]
    assert found[2] == "1,000" + POINT + 2 * DIGIT
    assert aligned(["1.5", "DDIM"]) == ["1.5", "DDIM"]


def test_a_sentence_of_a_caption_is_said_once():
    said = Captions()
    assert said.once("Loss of runs. Lines: means.") == "Loss of runs. Lines: means."
    assert said.once("FMD of runs. Lines: means. Bars: none.") == "FMD of runs. Bars: none."
    assert said.once("Loss of runs. Lines: means.") == "Loss of runs."  # what is seen opens each caption
