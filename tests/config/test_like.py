"""`like`: a run takes another's layers below its own."""

import copy

import pytest
from conftest import ROOT

from kelvin.common.errors import KelvinError
from kelvin.config.entries import RunLayers
from kelvin.config.resolve import Params, lineage, read

RAW = read(ROOT / "params.yaml")
COSINE = {"kind": "cosine", "steps": 500, "offset": 0.008, "beta_cap": 0.999}


def params(scale="laptop", **runs):
    return Params({**copy.deepcopy(RAW), "scale": scale, "runs": {**copy.deepcopy(RAW["runs"]), **runs}})


PARENT = {"title": "parent", "training": {"lr": 0.5, "ema": 0.5},
          "scales": {"laptop": {"training": {"ema": 0.6, "epochs": 7}},
                     "smoke": {"training": {"ema": 0.7}}}}


@pytest.mark.parametrize(("scale", "child", "expected"), [
    ("laptop", {}, {"lr": 0.5, "ema": 0.6, "epochs": 7}),  # own and scales[scale] of the parent
    ("smoke", {}, {"lr": 0.5, "ema": 0.7, "epochs": 2}),   # only this scale's
    ("laptop", {"training": {"ema": 0.8}}, {"lr": 0.5, "ema": 0.8, "epochs": 7}),
    ("laptop", {"training": {"ema": 0.8}, "scales": {"laptop": {"training": {"ema": 0.9}}}},
     {"lr": 0.5, "ema": 0.9, "epochs": 7}),                          # its own scale last
])
def test_the_layers_of_a_parent_lie_between_the_scale_and_the_run(scale, child, expected):
    run = params(scale, parent=PARENT, child={"like": "parent", **child}).run("child")
    assert {key: getattr(run.training, key) for key in expected} == expected
    assert run.title == "parent" and not hasattr(run, "like") and "like" not in run.model_dump()


def test_another_kind_replaces_the_parents_section_and_the_grandparent_lies_below():
    resolved = params(a={"title": "a", "schedule": COSINE, "training": {"lr": 0.1, "ema": 0.1}},
                      b={"like": "a", "training": {"ema": 0.2}},
                      c={"like": "b", "schedule": {"kind": "own", "steps": 20}, "title": "c"})
    assert resolved.run("b").schedule.model_dump() == COSINE
    c = resolved.run("c")
    assert c.schedule.model_dump() == {"kind": "own", "steps": 20}
    assert (c.training.lr, c.training.ema, c.title) == (0.1, 0.2, "c")


def test_layers_name_the_places_they_are_written_in():
    resolved = params(parent=PARENT, child={"like": "parent", "title": "child"})
    assert [place for place, _ in resolved.layers("child")] == [
        "defaults", "datasets.digits.run", "scales.laptop.run", "runs.parent",
        "runs.parent.scales.laptop", "runs.child", "runs.child.scales.laptop"]
    assert dict(resolved.layers("child"))["runs.child"] == {"title": "child"}


@pytest.mark.parametrize(("links", "said"), [
    ({"a": "nobody"}, "runs.a.like = 'nobody' is not in runs; known are a"),
    ({"a": "a"}, "runs.a.like = 'a' closes a circle: a -> a"),
    ({"a": "b", "b": "a"}, "runs.b.like = 'a' closes a circle: a -> b -> a"),
    ({"a": "b", "b": "c", "c": "d", "d": None}, "runs.c.like = 'd' is a third link: a -> b -> c -> d"),
])
def test_wrong_chains_are_refused_in_one_sentence(links, said):
    with pytest.raises(KelvinError) as error:
        lineage("a", {name: RunLayers(like=parent) for name, parent in links.items()})
    assert str(error.value).startswith(said) and "\n" not in str(error.value)


def test_two_links_are_allowed():
    runs = {"a": RunLayers(like="b"), "b": RunLayers(like="c"), "c": RunLayers()}
    assert lineage("a", runs) == ["c", "b", "a"]


def test_like_belongs_to_the_run_not_to_one_of_its_scales():
    with pytest.raises(KelvinError, match="like is not a known parameter"):
        params(child={"like": "ddpm-default", "scales": {"laptop": {"like": "ddpm-default"}}})
