"""What params.yaml may say of classes and guidance."""

import copy

import pytest
from conftest import ROOT

from kelvin.common.errors import KelvinError
from kelvin.config import resolve as params
from kelvin.pipeline.checks.params import check


def raw(**run):
    out = copy.deepcopy(params.read(ROOT / "params.yaml"))
    out["runs"]["mine"] = {"title": "mine", **run}
    return out


CLASSES = {"kind": "classes", "drop": 0.1}


def test_any_network_may_be_told_and_the_default_is_not():
    for network in ({"kind": "cnn", "hidden": [4], "kernel": 3}, {"kind": "unet", "channels": 8,
                                                                  "multipliers": [1], "blocks": 1}):
        made = params.Params(raw(network=network, conditioning=CLASSES, sampling={"guidance": [0, 2.5]}))
        check(made)
        assert made.run("mine").conditioning.model_dump() == CLASSES
        assert made.run("mine").sampling.guidance == [0, 2.5]
    plain = made.run("ddpm-default")
    assert plain.conditioning.model_dump() == {"kind": "none"} and plain.sampling.guidance == []


@pytest.mark.parametrize(("run", "said"), [
    ({"sampling": {"guidance": [2]}}, "weighs a class against none, but conditioning.kind is none"),
    ({"conditioning": CLASSES, "sampling": {"guidance": [2, 2.0]}}, "names a weight twice"),
    ({"conditioning": CLASSES, "sampling": {"guidance": [-1]}},
     r"runs.mine.sampling.guidance.0 = -1: input should be greater than or equal to 0"),
    ({"conditioning": {"kind": "classes"}}, "runs.mine.conditioning.drop is missing"),
    ({"conditioning": {"kind": "classes", "drop": 0.0}}, "conditioning.drop = 0.0"),
    ({"conditioning": {"kind": "none", "drop": 0.1}}, "conditioning.drop is not a known parameter"),
    ({"conditioning": {"kind": "text"}}, "no such conditioning; known are classes, none")])
def test_mistakes_are_named(run, said):
    with pytest.raises(KelvinError, match=said):
        check(params.Params(raw(**run)))
