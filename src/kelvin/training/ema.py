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
        self.decay = decay

    def share(self, update: int) -> float:
        """1 - d of update k = 1, 2, ..."""
        return 1 - min(self.decay, (1 + update) / (10 + update))

    @torch.no_grad()
    def update(self, network: nn.Module, share: torch.Tensor) -> None:
        """share: 1 - d of this update, a number on the device of the weights."""
        shadows = list(self.network.parameters())
        weights = [p.detach() for p in network.parameters()]
        torch._foreach_lerp_(shadows, weights, [share] * len(shadows))
        for shadow, buffer in zip(self.network.buffers(), network.buffers(), strict=True):
            shadow.copy_(buffer)
