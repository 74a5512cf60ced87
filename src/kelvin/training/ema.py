"""Exponential moving average of weights."""

from __future__ import annotations

import copy

import torch
from torch import nn


class EMA:
    """shadow <- d shadow + (1 - d) weights, with d = min(decay, (1 + k) / (10 + k)) at update k.

    The warm-up keeps the random initial weights out of short runs. Buffers (batch-norm statistics)
    are copied.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay, self.updates = decay, 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        shadows = [p for p in self.network.parameters()]
        torch._foreach_lerp_(shadows, [p.detach() for p in network.parameters()], 1 - decay)
        for shadow, buffer in zip(self.network.buffers(), network.buffers(), strict=True):
            shadow.copy_(buffer)
