"""The training step: to the last bit what a plain loop does, and it never talks to the host."""

import pytest
import stepping
import torch
from conftest import own_params
from on_device import OnDevice

CASES = stepping.cases(own_params())


@pytest.mark.parametrize("case", CASES)
def test_fifty_updates_are_those_of_a_plain_loop(params, tmp_path, case):
    """Losses, gradient norms, weights and averages are equal to the last bit."""
    ours, theirs = (stepping.make(params, CASES[case], tmp_path) for _ in range(2))
    losses, norms, averages = stepping.plain(theirs)
    assert len(losses) == 50 and losses[:10].mean() != losses[-10:].mean()
    found = stepping.stepped(ours)
    assert torch.equal(found[0], losses) and torch.equal(found[1], norms)
    for mine, other in zip(ours.bare.parameters(), theirs.bare.parameters(), strict=True):
        assert torch.equal(mine, other)
    for mine, other in zip([ours.ema, *ours.more], averages, strict=True):
        for a, b in zip(mine.network.parameters(), other, strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("case", CASES)
def test_a_step_never_talks_to_the_host(params, tmp_path, case):
    one = stepping.make(params, CASES[case], tmp_path)
    one.step.start(1, [1e-3] * one.batches)
    one.network.train()
    with OnDevice():
        one.step()
        one.step()
    assert int(one.step.at) == 2 and one.step.losses[:2].abs().min() > 0


@pytest.mark.parametrize("call", [
    lambda x: x.sum().item(), lambda x: x.cpu(), lambda x: int(x.sum()), lambda x: x[x > 0],
    lambda x: torch.arange(3), lambda x: 1 if x.sum() > 0 else 0, lambda x: x.nonzero(),
    lambda x: torch.tensor([1.0]), lambda x: x.tolist()])
def test_what_is_refused_is_seen(call):
    with OnDevice(), pytest.raises(AssertionError):
        call(torch.ones(3))


@pytest.mark.parametrize(("options", "why"), [
    ({"times": "importance"}, "makes a tensor|talks"),
    ({"mmd": {"weight": 1.0, "multiples": [1.0]}}, "makes|boolean")])
def test_what_the_rule_leaves_out_does_talk(params, tmp_path, options, why):
    one = stepping.make(params, ("ddpm-default", {"training": options}), tmp_path)
    one.step.start(1, [1e-3] * one.batches)
    with OnDevice(), pytest.raises(AssertionError, match=why):
        one.step()
