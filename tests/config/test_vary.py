"""Grids of records: names, layers, faults; every point is the run that a hand-written entry would be."""

import copy
from itertools import product

import pytest
from conftest import ROOT

from kelvin.common.errors import KelvinError
from kelvin.config.resolve import Params, read
from kelvin.config.schema import RunConfig
from kelvin.config.sentences import NAME
from kelvin.config.vary import word
from kelvin.pipeline.checks.params import faults
from kelvin.pipeline.record import runs_of

RAW = read(ROOT / "params.yaml")
GRID = {"training.lr": [4.0e-3, 8.0e-3], "training.epochs": [28, 140]}


def with_record(vary, runs=("tied-noise", "tied-fade"), **more):
    raw = copy.deepcopy(RAW)
    raw["records"]["tuning"] = {"title": "Tuning", "folder": "tuning", "runs": list(runs), "vary": vary,
                                **more}
    return raw


def test_points_are_named_by_what_varies_and_resolve_as_written_runs():
    raw = with_record(GRID)
    names = runs_of(Params(raw), "tuning")
    assert names[:2] == ["tied-noise_lr-4e-3_epochs-28", "tied-noise_lr-4e-3_epochs-140"]
    assert len(names) == 8
    by_hand = copy.deepcopy(RAW)  # tied-fade is two links of `like` deep: the grid adds none
    expected = []
    for base, lr, epochs in product(["tied-noise", "tied-fade"], *GRID.values()):
        by_hand["runs"][f"hand-{len(expected)}"] = copy.deepcopy(RAW["runs"][base]) | {
            "title": f"{RAW['runs'][base]['title']}, lr {lr:g}, epochs {epochs}",
            "training": RAW["runs"][base].get("training", {}) | {"lr": lr, "epochs": epochs}}
        expected.append(f"hand-{len(expected)}")
    params, hand = Params({**raw, "active": names}), Params(by_hand)
    assert [params.run(name) for name in names] == [hand.run(name) for name in expected]
    assert set(Params(raw).runs) == set(RAW["runs"])  # until it is active, a point is no run of its own
    assert isinstance(Params(raw).run(names[0]), RunConfig)


@pytest.mark.parametrize(("value", "expected"), [
    (0.004, "4e-3"), (2.5e-3, "25e-4"), (0.995, "995e-3"), (2.0, "2"), (100.0, "1e2"), (-0.5, "-5e-1"),
    (1120, "1120"), (True, "true"), ("min-snr", "min-snr"),
    ("linear+", "linear-plus")])
def test_values_make_names(value, expected):
    import re
    assert word(value) == expected
    assert re.fullmatch(NAME, f"run_key-{expected}")


def test_a_value_above_a_scale_of_the_run_holds():
    """blur-best writes its epochs in its own scale, which lies above the run."""
    raw = with_record({"training.epochs": [7]}, ["blur-best"])
    assert Params(raw).run("blur-best_epochs-7").training.epochs == 7


@pytest.mark.parametrize(("vary", "sentence"), [
    ({"training.lr": ["fast"]}, "records.tuning.vary.training.lr = 'fast': input should be"),
    ({"training.rate": [1.0]}, "records.tuning.vary.training.rate is not a known parameter"),
    ({"degradation.sigmma": [0.1]}, "degradation.sigmma is not a known parameter"),
    ({"restorer.parameterisation": ["v"]}, "has no meaning for fade"),
    ({"title": ["a"]}, "'title' cannot vary"),
    ({"training.lr": []}, "training.lr should list values, each once"),
    ({"training.lr": [0.1, 0.1]}, "training.lr should list values, each once"),
    ({"sampling.samplers": [["ddim-5"]]}, "is neither a number nor a word"),
    ({"training.epochs": list(range(1, 400))}, "records.tuning.vary makes 798 runs; at most 500"),
    ({f"training.{key}": list(range(2, 1000)) for key in ("epochs", "batch", "sample_every", "images")},
     "records.tuning.vary makes 1,984,047,936,032 runs; at most 500")])
def test_faults_of_a_grid_name_its_key(vary, sentence):
    raw = with_record(vary)
    if vary.keys() == {"restorer.parameterisation"}:  # held to of active runs
        raw["active"] = [*raw["active"], "tied-fade_parameterisation-v"]
    assert any(sentence in line for line in faults(raw)), faults(raw)


def test_seeds_that_tuned_are_not_those_that_decide():
    raw = with_record(GRID, replicates=[100, 101])
    raw["records"]["final"] = {"title": "Final", "folder": "final", "runs": ["tied-noise"],
                               "replicates": [101, 102], "tuned_by": "tuning"}
    assert any("records.final.replicates holds 101, which is a seed of records.tuning" in line
               for line in faults(raw))
    raw["records"]["final"]["replicates"] = [0, 1, 2, 3, 4]
    assert faults(raw) == []
    raw["records"]["final"]["tuned_by"] = "tunning"
    assert any("tuned_by = 'tunning' is not in records" in line for line in faults(raw))


def test_declared_samplers_are_of_a_tuned_record():
    raw = with_record(GRID, replicates=[100, 101])
    final = {"title": "Final", "folder": "final", "runs": ["tied-noise"], "replicates": [0],
             "vary": {"training.epochs": [3]}, "tuned_by": "tuning"}
    raw["records"]["final"] = final | {"samplers": {"tied-noise": ["ddim-50", "naive-20"]}}
    assert faults(raw) == []
    raw["records"]["final"] = final | {"samplers": {"tied-blur": ["ddim-5O"]}}
    assert {line for line in faults(raw)} == {
        "records.final.samplers names 'ddim-5O', which is not in samplers",
        "records.final.samplers is of 'tied-blur', which is none of its runs"}
    raw["records"]["final"] = {**final, "tuned_by": None, "samplers": {"tied-noise": ["ddim-50"]}}
    assert any("samplers go with vary and tuned_by" in line for line in faults(raw))


def test_a_name_that_is_taken_or_unknown_is_refused():
    raw = with_record({"training.lr": [4.0e-3]})
    raw["runs"]["tied-noise_lr-4e-3"] = {"like": "tied-noise"}
    assert any("which is in runs already" in line for line in faults(raw))
    with pytest.raises(KelvinError, match="active names 'tied-noise_lr-5e-3', which is not defined"):
        Params(with_record({"training.lr": [4.0e-3]}) | {"active": ["tied-noise_lr-5e-3"]})
