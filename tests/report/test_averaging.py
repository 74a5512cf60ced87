"""EMA against last weights: half-lives by the average itself, and words, table, figure by hand."""

import json

import numpy as np
import pytest
import torch
from helpers import every_table, studied

from kelvin.report.aggregate import metrics
from kelvin.report.kit import style
from kelvin.report.parts.tables import samplers_table
from kelvin.report.results import collect
from kelvin.report.studies import averaging
from kelvin.report.studies.averaging import half_life, warmed_up
from kelvin.training.ema import EMA

# of ddpm-averages, whose ema at scale smoke is 0.9; at 224 updates the decay is at most 225 / 234
FMD = {"raw": 9.0, "ddim-5@ema=0.2": 6.0, "ddim-5@ema=0.4": 4.0, "ddim-5": 4.5}


def add(made, run, replicate=0, fmd=FMD, shift=0.0, width=0.8, updates=224):
    made.add(run, replicate, updates=updates)
    path = made.root / f"reports/runs/digits/{run}-{replicate}.json"
    record = json.loads(path.read_text())
    base = record["samplers"]["raw"]
    moved = {name: value + shift * (1 + value / 1000) for name, value in fmd.items()}  # as trainings do
    record["samplers"] = {name: base | {"fmd": value, "fmd_low": value - width, "fmd_high": value + width}
                          for name, value in moved.items()}
    record["samplers"][record["sampler"]] = record["samplers"].pop("ddim-5")
    record |= {key: record["samplers"][record["sampler"]][key] for key in ("fmd", "fmd_low", "fmd_high")}
    path.write_text(json.dumps(record))


@pytest.fixture
def study_of(project):
    def make(runs=("ddpm-averages",), replicates=(0,), **options):
        made = project(list(runs), replicates=replicates)
        for r in replicates:
            for run in runs:
                add(made, run, r, shift=0.1 * r, **options)
        results = collect(made.plan)
        return results, studied(results)["averaging"]
    return make


@pytest.mark.parametrize(("decay", "updates"), [(0.3, 40), (0.9, 40), (0.9, 400), (0.0, 3)])
def test_the_decay_at_the_end_is_that_of_the_average_itself(decay, updates):
    """One more update of the weights' average by a step of 1 keeps exactly `decay` of what was there."""
    net = torch.nn.Linear(1, 1, bias=False).double()
    ema = EMA(net, decay)
    with torch.no_grad():
        net.weight.fill_(0.0)
    for k in range(1, updates):
        ema.update(net, torch.tensor(ema.share(k), dtype=torch.float64))
    with torch.no_grad():
        ema.network.weight.fill_(1.0)
    ema.update(net, torch.tensor(ema.share(updates), dtype=torch.float64))
    assert float(ema.network.weight) == pytest.approx(warmed_up(decay, updates), abs=1e-12)


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.999])
def test_half_life_halves(decay):
    assert decay ** half_life(decay) == pytest.approx(0.5, rel=1e-12)
    assert half_life(0.5) == pytest.approx(1.0) and half_life(0.0) == 0.0


def test_an_average_named_twice_stands_once(study_of):
    results, study = study_of(fmd=FMD | {"ddim-5@ema=0.9": 4.5})
    names = [p.name for p in averaging.points(study.runs[0])]
    assert names == ["last weights", "EMA 0.2", "EMA 0.4", "EMA 0.9"]


def test_points_table_and_bold(study_of):
    results, study = study_of()
    found = averaging.points(study.runs[0])
    assert [(p.name, p.mean("fmd")) for p in found] == [
        ("last weights", 9.0), ("EMA 0.2", 6.0), ("EMA 0.4", 4.0), ("EMA 0.9", 4.5)]
    assert [averaging.reach(p) for p in found] == [
        0.0, *(np.log(2) / -np.log(d) for d in (0.2, 0.4, 0.9))]
    table = study.tables()[0]
    assert [row["decay"] for row in table.rows] == [None, 0.2, 0.4, 0.9]
    at = [column.title for column in table.columns].index("FMD")
    assert [row[at] for row in table.cells()][2] == ("4.00 [3.20, 4.80]", True)
    assert [row[at][1] for row in table.cells()] == 2 * [False] + [True, False]
    assert set(table.files()) == {"averaging.csv", "averaging.md", "averaging.tex"}


def test_words_follow_the_numbers(study_of):
    results, study = study_of()
    said = " ".join(study.findings())
    assert "lower FMD than the last ones in 1 of 1 run on this seed" in said
    assert "4.50 [3.70, 5.30] against 9.00 [8.20, 9.80] (95 % interval over images)" in said
    assert "do not overlap for “linear, T=1000, several averages”" in said
    assert "lowest by EMA 0.4 (half-life 0.756 updates), 4.00 [3.20, 4.80]; its interval overlaps with " \
           "that of EMA 0.9." in said
    assert "one average" not in said and "better" not in said and "worse" not in said


def test_averages_that_the_warm_up_made_one_are_said_to_be(study_of):
    results, study = study_of(updates=2)  # at most 3 / 12
    said = " ".join(study.findings())
    assert "EMA 0.4 and EMA 0.9 are one average, since the warm-up holds every decay below 0.250 in 2 " \
           "updates" in said
    reach = [averaging.reach(p) for p in averaging.points(study.runs[0])]
    assert reach[2] == reach[3] > reach[1] > reach[0] == 0


def test_where_the_average_does_harm(study_of):
    results, study = study_of(runs=("tied-noise", "ddpm-default"), fmd={"ddim-5": 5.0, "raw": 4.9})
    said = " ".join(study.findings())
    assert "in 0 of 2 runs on this seed" in said and "The two intervals overlap in every run." in said
    assert "lowest by" not in said  # a pair is no sweep


def test_five_seeds_are_tested(study_of):
    results, study = study_of(replicates=(0, 1, 2, 3, 4))
    said = " ".join(study.findings())
    assert "Against “last weights” (paired t-tests of FMD over 5 training seeds" in said
    assert "“EMA 0.4”: better" in said and "range over training seeds" in said


def test_figure_page_and_the_other_tables(study_of):
    results, study = study_of(runs=("ddpm-averages", "ddpm-default"))
    style.use()
    assert [f.name for f in study.page_figures()] == ["averaging-half-life"]
    records = metrics(results)
    assert "averaging" in every_table(results)
    assert "Not active, and so missing here: tied-noise" in study.paragraphs()[-1]
    rows = [(r["sampler"], r["weights"]) for r in samplers_table(results).rows
            if r["run"] == "ddpm-averages"]
    assert rows == [("ddim-5", "raw"), ("ddim-5", "EMA 0.2"), ("ddim-5", "EMA 0.4"), ("ddim-5", "EMA")]
    assert records["ddpm-averages"]["samplers"]["ddim-5@ema=0.4"]["fmd"] == 4.0


def test_without_a_run(study_of):
    results, study = study_of(runs=("ddpm-cosine",))
    assert study.figures() == [] and study.tables() == []
    assert "No active run" in study.findings()[0]
