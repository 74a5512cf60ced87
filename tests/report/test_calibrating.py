"""The rows that give FMD its scale stand in the table of all runs, and in no study's."""

import csv
import io
import re

import pytest
from helpers import every_table

from kelvin.report.build import build
from kelvin.report.kit.table import NOTHING
from kelvin.report.parts import calibrating
from kelvin.report.results import collect

ROWS = ["held-out", "copies", "pixel-gaussian", "black"]
RUNS = ["ddpm-default", "arch-simple", "ddpm-cosine", "tied-noise", "tied-blur", "steps-blur-5"]


@pytest.fixture
def found(project):
    made = project([*RUNS])
    for i, run in enumerate(RUNS):
        made.add(run, fmd=60.0 + i)  # above every calibrating row: any of them would be the lowest
    results = collect(made.plan)
    return made, every_table(results)


@pytest.mark.parametrize("name", ["generation", "distribution"])
def test_they_stand_first_and_are_never_bold(found, name):
    table = found[1][name]
    assert [row["run"] for row in table.rows[:4]] == ROWS
    assert all(map(calibrating.is_one, table.rows[:4]))
    assert not any(map(calibrating.is_one, table.rows[4:])) and len(table.rows) > 4
    assert not any(bold for cells in table.cells()[:4] for _, bold in cells)
    assert any(bold for cells in table.cells()[4:] for _, bold in cells)
    written = list(csv.DictReader(io.StringIO(table.csv())))
    assert [row["run"] for row in written[:4]] == ROWS and float(written[3]["fmd"]) == 50


def test_what_images_of_no_run_lack_is_a_dash(found):
    table = found[1]["generation"]
    cells = {c.title: text for c, (text, _) in zip(table.columns, table.cells()[0], strict=True)}
    assert cells["run"] == "held-out" and cells["FMD"] == "1.10 [0.600, 1.60]"
    assert {cells[key] for key in ("kind", "sampler", "NFE", "flag")} == {NOTHING}


@pytest.mark.parametrize("name", ["samplers", "temperature-generation", "architectures", "steps",
                                  "targets", "averaging", "restoration", "cost"])
def test_other_tables_have_none(found, name):
    assert found[1][name].rows and not any(row["run"] in ROWS for row in found[1][name].rows)


def test_on_the_page_they_stand_once(found, undrawn):
    made, _ = found
    build(made.plan, made.root / "reports")
    page = (made.root / "reports/index.html").read_text()
    section = dict(re.findall(r'<h2 id="([\w-]+)">(.*?)(?=<h2|\Z)', page, re.S))
    for name in ROWS:
        assert page.count(f'<th scope="row">{name}</th>') == 1 == section["runs"].count(f">{name}</th>")


def test_over_seeds_their_intervals_are_said_to_be_over_images(project):
    made = project(["tied-noise"], replicates=(0, 1))
    for r in (0, 1):
        made.add("tied-noise", r)
    caption = every_table(collect(made.plan))["generation"].caption
    assert "over training seeds (calibrating rows: over images)" in caption
