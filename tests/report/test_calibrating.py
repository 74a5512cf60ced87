"""Every table of generation is read against the calibrating rows, but where they are not its scale."""

import csv
import io
import re

import pytest
from helpers import every_table

from kelvin.report.build import build, own_part
from kelvin.report.kit.table import NOTHING
from kelvin.report.parts import calibrating
from kelvin.report.results import collect

ROWS = ["held-out", "copies", "pixel-gaussian", "black"]
RUNS = ["ddpm-default", "arch-simple", "ddpm-cosine", "tied-noise", "tied-blur", "steps-blur-5"]
SCORED = ["generation", "samplers", "distribution", "temperature-generation", "architectures", "steps",
          "targets", "averaging"]
OWN = {"classes": [0, 1, 2, 3, 4], "n": 10, "reference_n": 15, "floor": 1.5, "ceiling": 40.0}


@pytest.fixture
def found(project):
    made = project([*RUNS, "pretrain-0"])
    for i, run in enumerate(RUNS):
        made.add(run, fmd=60.0 + i)  # above every calibrating row: any of them would be the lowest
    made.add("pretrain-0", **OWN)
    results = collect(made.plan)
    return made, results, every_table(results)


@pytest.mark.parametrize("name", SCORED)
def test_calibrating_rows_stand_first_and_are_never_bold(found, name):
    table = found[2][name]
    assert [row["run"] for row in table.rows[:4]] == ROWS
    assert all(map(calibrating.is_one, table.rows[:4]))
    assert not any(map(calibrating.is_one, table.rows[4:])) and len(table.rows) > 4
    assert not any(bold for cells in table.cells()[:4] for _, bold in cells)
    assert any(bold for cells in table.cells()[4:] for _, bold in cells)
    written = list(csv.DictReader(io.StringIO(table.csv())))
    assert [row["run"] for row in written[:4]] == ROWS and float(written[3]["fmd"]) == 50


def test_what_images_of_no_run_lack_is_a_dash(found):
    tables = found[2]
    assert [text for text, _ in tables["samplers"].cells()[0]][:4] == ["held-out"] + 3 * [NOTHING]
    cells = {c.title: text for c, (text, _) in zip(tables["architectures"].columns,
                                                   tables["architectures"].cells()[0], strict=True)}
    assert cells.pop("run") == "held-out" and cells.pop("FMD") == "1.10 [0.600, 1.60]"
    assert set(cells.values()) == {NOTHING}
    assert "n/a" not in [text for text, _ in tables["temperature-generation"].cells()[0]]


@pytest.mark.parametrize("name", ["restoration", "restoration_over_t", "cost", "likelihood",
                                  "pretraining", "parameters-schedules"])
def test_other_tables_and_another_scale_have_none(found, name):
    assert not any(map(calibrating.is_one, found[2][name].rows))


def test_a_study_keeps_them_in_its_copy_of_a_table(found):
    made, results, tables = found
    studies = {study.name: study for study in results.studies}
    kept = own_part(tables["generation"], studies["schedules"], results)
    assert [row["run"] for row in kept.rows] == [*ROWS, "ddpm-default", "ddpm-cosine"]
    kept = own_part(tables["temperature-generation"], studies["temperature"], results)
    assert [row["run"] for row in kept.rows] == [*ROWS, "tied-noise", "tied-blur"]
    # runs on some classes are scored against other real images
    assert own_part(tables["generation"], studies["pretraining"], results).rows == []
    own = tables["pretraining"].rows
    assert calibrating.with_scale(own, results) == own and calibrating.with_scale([], results) == []


def test_they_are_on_the_page(found, undrawn):
    made, results, _ = found
    build(made.plan, made.root / "reports")
    page = (made.root / "reports/index.html").read_text()
    section = dict(re.findall(r'<h2 id="([\w-]+)">(.*?)(?=<h2|\Z)', page, re.S))
    for anchor in ("summary", "schedules", "temperature", "architectures", "steps", "targets",
                   "samplers"):
        assert all(f"<td>{name}</td>" in section[anchor] for name in ROWS), anchor
    assert "<td>held-out</td>" not in section["pretraining"] + section["cost"]


def test_over_seeds_their_intervals_are_said_to_be_over_images(project):
    made = project(["tied-noise"], replicates=(0, 1))
    for r in (0, 1):
        made.add("tied-noise", r)
    results = collect(made.plan)
    found = every_table(results)
    for name in ("generation", "temperature-generation", "averaging"):
        assert "over training seeds (calibrating rows: over images)" in found[name].caption
