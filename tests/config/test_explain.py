"""Each value of a resolved run, with the place in params.yaml that it comes from."""

import copy

import pytest
from conftest import ROOT

from kelvin.common.errors import KelvinError
from kelvin.common.trees import leaves
from kelvin.config.explain import BUILT_IN, Row, explain, places, short, text
from kelvin.config.resolve import Params, read

RAW = read(ROOT / "params.yaml")


@pytest.fixture
def params():
    raw = copy.deepcopy(RAW)
    raw["runs"]["parent"] = {"title": "parent", "schedule": {"kind": "own", "steps": 20},
                             "training": {"lr": 0.5},
                             "scales": {"laptop": {"training": {"ema": 0.6}}}}
    raw["runs"]["child"] = {"like": "parent", "title": "child",
                            "scales": {"laptop": {"training": {"epochs": 3}}}}
    return Params(raw)


@pytest.mark.parametrize(("key", "value", "place"), [
    ("title", "child", "runs.child"),
    ("training.epochs", 3, "runs.child.scales.laptop"),
    ("training.lr", 0.5, "runs.parent"),
    ("training.ema", 0.6, "runs.parent.scales.laptop"),
    ("training.batch", 128, "scales.laptop.run"),
    ("training.loss", "l2", "defaults"),
    ("schedule.steps", 20, "runs.parent"),
])
def test_every_value_has_the_layer_that_wrote_it_last(params, key, value, place):
    assert Row(key, value, place) in explain(params, "child")


def test_the_rows_are_the_resolved_run_whole(params):
    for name in ("child", "ddpm-best"):
        rows = {row.key: row.value for row in explain(params, name)}
        assert rows == {".".join(path): v for path, v in leaves(params.run(name).model_dump())}
    schedule = {row.key for row in explain(params, "child") if row.key.startswith("schedule.")}
    assert schedule == {"schedule.kind", "schedule.steps"}  # of the replaced kind nothing is left


def test_a_value_that_no_layer_writes_is_built_in(params):
    raw = copy.deepcopy(RAW)
    del raw["defaults"]["training"]["flip"]
    rows = {row.key: row for row in explain(Params(raw), "ddpm-default")}
    assert rows["training.flip"] == Row("training.flip", False, BUILT_IN)


def test_a_restated_value_belongs_to_the_later_layer():
    layers = [("low", {"a": {"kind": "x", "p": 1}}), ("high", {"a": {"kind": "x"}})]
    assert places(layers) == {("a", "kind"): "high", ("a", "p"): "low"}
    assert places([*layers, ("top", {"a": {"kind": "y"}})]) == {("a", "kind"): "top"}


def test_the_text_is_aligned_and_its_values_short(params):
    rows = explain(params, "ddpm-best")
    lines = text(rows).splitlines()
    assert len(lines) == len(rows) and len({line.index(row.place, 60) for line, row in
                                            zip(lines, rows, strict=True)}) == 1
    (samplers,) = (line for line in lines if line.startswith("sampling.samplers "))
    assert "..." in samplers and samplers.endswith("  runs.ddpm-best")
    assert short(list(range(99)), 10) == "[0, 1, ..." and short(None) == "null"


def test_an_unknown_run_is_named(params):
    with pytest.raises(KelvinError, match="runs has no entry 'nobody'"):
        explain(params, "nobody")
