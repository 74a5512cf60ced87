"""The interface of all networks: (x, time) -> an image of the same shape."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from kelvin.config.registry import Registry

networks = Registry("network")


@dataclass(frozen=True)
class Shape:
    """The images a network is built for; `outputs`: how many it gives for each (two with a variance)."""

    channels: int
    height: int
    width: int
    outputs: int = 1

    @property
    def out(self) -> int:
        """Channels of a network's output."""
        return self.channels * self.outputs


def build(section: Mapping[str, Any], shape: Shape, where: str = "network") -> nn.Module:
    """The network that a section of params.yaml names: forward(x (n, C, H, W), time (n,) in [0, 1])."""
    return networks.build(section, shape, where=where)


def parameter_count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def flops_per_image(network: nn.Module, shape: Shape) -> int:
    """Floating point operations of one evaluation of one image, a multiply-add counted as two.

    Counted on the meta device, where every convolution is a plain one: what the network is, not how
    a machine goes about it.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    x = torch.zeros(1, shape.channels, shape.height, shape.width, device="meta")
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        copy.deepcopy(network).to("meta")(x, torch.zeros(1, device="meta"))
    return counter.get_total_flops()
