"""Counted memory against a count by hand, and the rule for torch.compile."""

import torch
from torch import nn

from kelvin.networks import Shape, build
from kelvin.training.compiling import Measured, maybe_compiled, measure
from kelvin.training.memory_count import training_memory


class Two(nn.Module):
    """conv 1 -> 4, ReLU, conv 4 -> 1, each 3x3."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 1, 3, padding=1)

    def forward(self, x, time):
        return self.b(torch.relu(self.a(x)))


def test_counted_by_hand():
    """Kept: x, the ReLU's output (once, though two operations keep it), the prediction for its square."""
    found = training_memory(Two(), Shape(1, 6, 5), batch=7)
    weights, pixels = (4 * 9 + 4) + (4 * 9 + 1), 7 * 6 * 5
    assert found.state == 4 * 5 * weights
    assert found.activations == 4 * (1 + 4 + 1) * pixels


def test_activations_grow_with_the_batch_alone():
    network = build({"kind": "unet", "channels": 4, "multipliers": [1, 2], "blocks": 1}, Shape(1, 8, 8))
    one, four = (training_memory(network, Shape(1, 8, 8), n) for n in (1, 4))
    assert four.state == one.state and 3.5 < four.activations / one.activations <= 4
    assert next(network.parameters()).device.type == "cpu"


def test_the_rule_asks_for_what_compiling_costs():
    found = Measured(eager=0.2, compiled=0.1, compiling=50.0)
    assert not found.pays(500) and not found.pays(540) and found.pays(560)
    assert found.saved(500) == 0 and not Measured(0.1, 0.1, 0.0).pays(10**6)


def test_measuring_tells_the_first_call_from_the_others(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("kelvin.training.compiling.time.perf_counter", lambda: clock[0])
    left = [9.0]

    def spend(seconds):
        clock[0] += seconds

    def compiled():
        spend(1.0 + (left.pop() if left else 0.0))

    assert measure(lambda: spend(2.0), compiled) == Measured(2.0, 1.0, 9.0)


def test_auto_leaves_weights_and_random_state(monkeypatch):
    import contextlib

    monkeypatch.setattr(torch, "compile", lambda network: network)
    torch.manual_seed(0)
    network = build({"kind": "unet-simple", "widths": [2, 3, 2], "dropout": 0.5}, Shape(1, 8, 8))
    kept, state = {k: v.clone() for k, v in network.state_dict().items()}, torch.get_rng_state()
    assert maybe_compiled("auto", network, torch.zeros(4, 1, 8, 8), 10**9,
                          contextlib.nullcontext) is network
    assert all(torch.equal(v, kept[k]) for k, v in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state) and all(p.grad is None for p in network.parameters())
