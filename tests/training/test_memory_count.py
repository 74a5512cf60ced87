"""Counted memory against a count by hand."""

import torch
from torch import nn

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
