"""A sampler's step: replayed it is to the last bit the plain one, and it never talks to the host."""

import logging

import pytest
import torch
import walks
from on_device import OnDevice

from kelvin.common.errors import KelvinError
from kelvin.common.graphs import WARM, mark
from kelvin.common.philox import ImageRandom
from kelvin.sampling import walk
from kelvin.sampling.walk import LEAST, Recordable, Walk, why_not_recorded

CASES = walks.cases()
HOT = "weighting simple"


def as_recorded(work, before):
    """As a graph is recorded, on a CPU: trials that are undone, then the same work at each replay."""
    for _ in range(WARM):
        before()
        work()
    before()
    return work


@pytest.fixture
def replaying(monkeypatch):
    """Steps are replayed, as on CUDA."""
    counted = []
    monkeypatch.setattr(walk, "why_not_recorded", lambda device, steps: None)
    monkeypatch.setattr(walk, "recorded", lambda work, before: counted.append(work) or as_recorded(
        work, before))
    return counted


def test_every_sampler_and_degradation_is_there():
    from kelvin.degradations import degradations
    from kelvin.sampling.samplers import samplers

    assert {walks.SECTIONS[name]["kind"] for _, name in CASES} == set(samplers.kinds())
    assert {f"degradation {kind}" for kind in degradations.kinds()} <= {case for case, _ in CASES}


@pytest.mark.parametrize(("case", "name"), CASES)
def test_replayed_steps_are_the_plain_ones(replaying, case, name):
    """All states of a trajectory, the draws and the count of evaluations."""
    restorer = walks.restorer_of(case)
    with torch.no_grad():
        before = restorer.evaluations
        plain = [state.x for state in walks.walk(case, name)]
        nfe, before = restorer.evaluations - before, restorer.evaluations
        way = walks.walk(case, name)
        found = [way.to(time).x for time in way.times[1:]]
    assert nfe == restorer.evaluations - before > 0
    assert len(plain) == len(found) and all(
        torch.equal(a, b) for a, b in zip(plain, found, strict=True))
    assert len(replaying) == (name != "direct")
    last = walks.walk(case, name)
    with torch.no_grad():
        assert torch.equal(last.to(0).x, plain[-1])


@pytest.mark.parametrize(("case", "name"), [c for c in CASES if c[1] != "direct"])
def test_a_step_never_talks_to_the_host(case, name):
    way = walks.walk(case, name, ImageRandom(0, walks.N, 7, "cpu"))
    with torch.no_grad():
        next(way), next(way)
        work = Recordable(way)
        before = work.state.x.clone()
        with OnDevice():
            work()
            work()
    assert int(work.at) == 2 and not torch.equal(before, work.state.x)


def test_replays_draw_anew(replaying):
    """Noise alone: a step that adds it at equal rates makes states whose differences are its draws."""
    stream = ImageRandom(0, 3, 7, "cpu")
    states = Walk(walks.restorer_of(HOT), walk.State(torch.zeros(3, 1, 8, 8), None), [*range(12, -1, -1)],
                  stream, lambda state, t, s, last: walk.State(state.x + stream.normal(1, 8, 8), None))
    seen = torch.stack([states.to(time).x for time in range(11, -1, -1)])
    again = ImageRandom(0, 3, 7, "cpu")
    draws = torch.stack([again.normal(1, 8, 8) for _ in range(12)])
    torch.testing.assert_close(seen.diff(dim=0), draws[1:])


@pytest.mark.parametrize(("device", "steps", "why"), [
    ("cuda", LEAST, None), ("cuda", LEAST - 1, "are fewer than"), ("cpu", 10**4, "this is a CPU")])
def test_the_rule_of_graphs(device, steps, why):
    found = why_not_recorded(torch.device(device), steps)
    assert found is None if why is None else why in found


def test_on_a_cpu_steps_are_launched_and_the_log_says_so_once(caplog):
    walk.say.cache_clear()
    with caplog.at_level(logging.INFO, "kelvin"), torch.no_grad():
        for _ in range(2):
            walks.walk(HOT, "ddim").to(0)
    assert [r.getMessage() for r in caplog.records] == [
        "sampler steps: launched operation by operation (graphs are recorded on CUDA, and this is a CPU)"]


@pytest.mark.parametrize("works", [True, False])
def test_what_cannot_be_recorded_is_left_out(monkeypatch, tmp_path, caplog, works):
    """The steps are launched and give the same; a lost device ends it, and is remembered."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)

    def broken(work, before):
        before()
        work()
        raise RuntimeError("misaligned address\nand more")

    monkeypatch.setattr(walk, "why_not_recorded", lambda device, steps: None)
    monkeypatch.setattr(walk, "recorded", broken)
    monkeypatch.setattr(walk, "works", lambda device: works)
    with torch.no_grad():
        plain = [state.x for state in walks.walk(HOT, "ancestral")][-1]
        if works:
            assert torch.equal(walks.walk(HOT, "ancestral").to(0).x, plain)
            assert "as a graph failed, it is launched operation by operation: misaligned address" \
                in caplog.text and "and more" not in caplog.text
            return
        with pytest.raises(KelvinError, match=r"lost the device \(misaligned address\): start this"):
            walks.walk(HOT, "ancestral").to(0)
    assert mark().exists()
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert "a graph lost the device before: delete" in why_not_recorded(torch.device("cuda"), LEAST)
