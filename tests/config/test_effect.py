"""An edit that changes nothing any stage reads is refused, naming the key and what would help."""


import pytest
from conftest import ROOT
from helpers import with_values

from kelvin.common.errors import KelvinError
from kelvin.config.effect import edits, refuse_idle, reverted, stage_values
from kelvin.config.resolve import Params, read

RAW = read(ROOT / "params.yaml")
MINE = {"source": "folder", "path": "pictures.tar"}


def edited(*changes):
    return with_values(RAW, *changes)


def judge(*changes, compared=stage_values):
    raw = edited(*changes)
    refuse_idle(RAW, raw, Params(raw), compared)


@pytest.mark.parametrize(("changes", "said"), [
    ([("defaults.training.epochs", 5)], "scales.laptop.run.training.epochs is written over it"),
    ([("defaults.schedule.beta_min", 0.001), ("active", ["blur-best"])],
     "beta_min would change nothing, since runs.blur-strong.schedule.kind is written over it"),
    ([("classifier.images", 100)], "scales.laptop.classifier.images is written over it"),
    ([("scales.paper.run.training.epochs", 5)], "since scale is laptop; set scale=paper with it"),
    ([("runs.ddpm-default.scales.paper.training.lr", 1.0)], "since scale is laptop; set scale=paper"),
    ([("runs.mine", {"title": "mine"})], "runs.mine would change nothing, since mine is not in active"),
    ([("datasets.mine", MINE)], "since dataset is digits; set dataset=mine with it"),
    ([("datasets.mnist.seed", 3)], "since dataset is digits; set dataset=mnist with it"),
    ([("samplers.dissipation.noise", 0.5)], "no active run draws with it"),
    ([("active", ["ddpm-best"]), ("scales.laptop.run.training.epochs", 9)],
     "scales.laptop.run.training.epochs would change nothing, since runs.ddpm-best.scales.laptop."),
    ([("scale", "smoke"), ("datasets.digits.classifier.epochs", 5), ("classifier.epochs", 5)],
     "classifier.epochs would change nothing, since scales.smoke.classifier.epochs is written over it"),
])
def test_an_edit_without_effect_is_refused(changes, said):
    with pytest.raises(KelvinError) as error:
        judge(*changes)
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("changes", [
    [],
    [("runs.ddpm-default.schedule.steps", 500)],
    [("runs.ddpm-default.title", "other words")],
    [("scale", "smoke")],
    [("samplers.ddim-20.eta", 0.5)],
    [("active", ["ddpm-default", "mine"]), ("runs.mine", {"title": "mine", "schedule": {"steps": 1000}})],
    [("scale", "smoke"), ("dataset", "mine"),
     ("datasets.mine", {**MINE, "classifier": {"epochs": 3}, "metrics": {"images": 100}})],
    [("scale", "smoke"), ("dataset", "mnist"), ("datasets.mnist.classifier.epochs", 9)],
    [("records.full.title", "other words")],
    [("studies.blur.question", "Why?")],
    [("runs.blur-strong.degradation.sigma", 0.3)],  # what others are like
    [("runs.tied-noise.training.lr", 0.3), ("active", ["tied-flow"])],
])
def test_an_edit_with_effect_passes(changes):
    assert judge(*changes) is None


def test_what_is_compared_can_be_switched():
    judge(("studies.blur.question", "Why?"))
    with pytest.raises(KelvinError, match="studies.blur.question would change nothing"):
        judge(("studies.blur.question", "Why?"), compared=lambda params: params.runs)


def test_edits_are_as_high_up_as_they_are_new_and_can_be_taken_back():
    before = {"a": {"b": 1, "c": [1]}, "d": 1, "e": {"f": 1}}
    after = {"a": {"b": 2, "c": [1]}, "d": 1.0, "g": {"h": {"i": 1}}}
    found = list(edits(before, after))
    assert found == [("a", "b"), ("d",), ("g",), ("e",)]
    assert list(edits(before, before)) == []
    for edit in found:
        after = reverted(before, after, edit)
    assert after == before
