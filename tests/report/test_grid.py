"""Parameterisation by schedule: every run in its cell, gaps and spreads said as they are."""

import copy

import pytest
from conftest import ROOT
from helpers import every_table, studied

from kelvin.common.errors import KelvinError
from kelvin.config import resolve as kelvin_params
from kelvin.config.resolve import Params
from kelvin.config.values import Kinded
from kelvin.pipeline.checks.params import check
from kelvin.report.aggregate import metrics
from kelvin.report.kit import style
from kelvin.report.results import Run, collect
from kelvin.report.studies import grid

FMD = {"ddpm-default": 5.0, "ddpm-cosine": 4.0, "ddpm-x0": 10.0, "ddpm-cosine-x0": 3.0, "ddpm-v": 6.0,
       "ddpm-cosine-v": 2.0}


@pytest.fixture
def study_of(project):
    def make(fmd=FMD, replicates=(0,)):
        made = project(list(fmd), replicates=replicates)
        for r in replicates:
            for run, value in fmd.items():
                made.add(run, r, fmd=value + 0.1 * r + 0.01 * (r * r) * value)
        results = collect(made.plan)
        return results, studied(results)["targets"], metrics(results)
    return make


def test_cells_and_table(study_of):
    results, study, records = study_of()
    table = study.tables()[0]
    cells = {(r["parameterisation"], r["schedule"]): r["fmd"] for r in table.rows}
    assert cells == {("eps", "linear"): 5.0, ("eps", "cosine"): 4.0, ("x0", "linear"): 10.0,
                     ("x0", "cosine"): 3.0, ("v", "linear"): 6.0, ("v", "cosine"): 2.0}
    at = [column.title for column in table.columns].index("FMD")
    assert [row[at][0] for row in table.cells() if row[at][1]] == ["2.00 [1.50, 2.50]"]
    assert "Every cell has its run." in table.caption
    assert set(table.files()) == {"targets.csv", "targets.md", "targets.tex"}
    assert table.name in set(every_table(results))


def test_words_follow_the_numbers(study_of):
    results, study, records = study_of()
    head, own, *rest = study.paragraphs()
    assert "“cosine, T=1000, v predicted” has the lowest FMD on this seed, 2.00 [1.50, 2.50]" in head
    assert "The highest FMD of the grid is 5.00 times the lowest on this seed." in own
    assert "What the network predicts changes FMD by a factor of at most 2.00 (linear)." in own
    assert "The schedule changes FMD by a factor of at most 3.33 (x0 predicted)." in own
    assert "depends on the schedule: eps under linear and v under cosine." in own
    assert "better" not in own and not any("t-test" in sentence for sentence in rest)


def test_one_target_that_is_lowest_everywhere(study_of):
    results, study, records = study_of(FMD | {"ddpm-default": 7.0, "ddpm-v": 6.0})
    said = study.findings()[0]
    assert "Under every schedule that has all targets, “v” has the lowest FMD." in said


def test_five_seeds_are_tested(study_of):
    results, study, records = study_of(replicates=(0, 1, 2, 3, 4))
    said = " ".join(study.paragraphs())
    assert "on these 5 seeds" in said and "paired t-tests of FMD over 5 training seeds" in said
    assert "“cosine, T=1000, v predicted”: better" in said


def test_gaps_are_said(study_of):
    fmd = {"ddpm-default": 5.0, "ddpm-cosine": 4.0, "ddpm-x0": 60.0}
    results, study, records = study_of(fmd)
    style.use()
    heat, *_ = study.page_figures()
    assert heat.name == "targets-grid" and heat.png[:4] == b"\x89PNG"
    assert "Without an active run: x0, cosine." in heat.caption
    assert "logarithmic" in heat.caption  # 60 / 4
    assert "Without an active run: x0, cosine." in study.tables()[0].caption
    assert "Under every" not in study.findings()[0]


@pytest.mark.parametrize("fmd", [{"ddpm-default": 5.0}, {"tied-noise": 5.0}])
def test_one_run_or_none(study_of, fmd):
    results, study, records = study_of(fmd)
    style.use()
    assert study.findings() == []
    assert (study.tables() == []) == ("tied-noise" in fmd)
    assert (study.page_figures() == []) == ("tied-noise" in fmd)


def test_schedules_of_one_kind_are_told_apart(study_of):
    _, study, _ = study_of({"ddpm-default": 5.0})
    run, options = study.runs[0], study.runs[0].config.schedule.model_dump()
    short = run.config.model_copy(update={"schedule": Kinded(**options | {"steps": 200})})
    other = Run("b", "b", "hot", short, run.replicates, run.image)
    cells = {grid.place(r.config): r for r in (run, other)}
    assert list(grid.columns_of(cells).values()) == [
        "linear (steps 1000, beta_min 0.0001, beta_max 0.02)",
        "linear (steps 200, beta_min 0.0001, beta_max 0.02)"]


def test_two_runs_in_one_cell_are_refused():
    raw = copy.deepcopy(kelvin_params.read(ROOT / "params.yaml"))
    check(Params(raw))
    raw["studies"]["targets"]["runs"].append("ddpm-huber")
    with pytest.raises(KelvinError, match="puts ddpm-default and ddpm-huber into one cell: both predict"):
        check(Params(raw))
