"""Counted memory against a count by hand."""

import subprocess
import sys

import pytest
import torch
from conftest import ROOT
from torch import nn

from kelvin.config.resolve import load
from kelvin.networks import Shape, build
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


@pytest.mark.parametrize("run", ["ddpm-default", "arch-cnn", "arch-simple", "arch-conv", "arch-resnet",
                                 "arch-fruit"])
@pytest.mark.parametrize("batch", [1, 2, 33])
def test_two_images_bound_what_a_batch_keeps(run, batch):
    """From above, and by no more than a tenth for a batch that is even: fits_easily rests on it."""
    kind, shape = load(ROOT / "params.yaml").run(run).network.model_dump(), Shape(1, 8, 8)
    exact = training_memory(build(kind, shape), shape, batch)
    two = training_memory(build(kind, shape), shape, 2, "cpu")
    bound = two.activations * -(-batch // 2)
    assert two.state == exact.state and exact.activations <= bound
    if batch == 2:
        assert bound <= 1.1 * exact.activations


def test_a_small_network_is_checked_without_torchs_compiler():
    """Its import takes longer than all the other checks of an experiment."""
    code = """
import sys, torch
from kelvin.networks import Shape, build
from kelvin.pipeline.checks.images import fits_easily
make = lambda: build({"kind": "unet", "channels": 8, "multipliers": [1, 2], "blocks": 1}, Shape(1, 8, 8))
with torch.device("meta"):
    there = make()
state = torch.get_rng_state()
assert fits_easily(make, there, Shape(1, 8, 8), 64, 2**30)
assert not fits_easily(make, there, Shape(1, 8, 8), 64, 2**20)
assert not fits_easily(make, there, Shape(1, 99, 99), 1, 2**40)
assert torch.equal(state, torch.get_rng_state()) and "torch._dynamo" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
