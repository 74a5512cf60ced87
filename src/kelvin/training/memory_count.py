"""Memory that a training step of a network holds: counted, so that every machine gets the same."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from kelvin.networks import Shape


@dataclass(frozen=True)
class Memory:
    """Bytes. state: weights and buffers, their EMA copy, gradients, Adam's two moments. activations:
    every tensor that autograd keeps from the forward pass for the backward pass."""

    state: int
    activations: int

    @property
    def total(self) -> int:
        return self.state + self.activations


def training_memory(network: nn.Module, shape: Shape, batch: int, device: str = "meta") -> Memory:
    """What one fp32 training step of AdamW with EMA on `batch` images holds at once.

    Counted on the meta device, where nothing is computed and every convolution is a plain one (on
    another `device` the step is computed); each storage once. A bound from above on what lives between
    two operations (gradients grow while activations are freed); the working memory inside an operation
    is not in it.
    """
    there = copy.deepcopy(network).to(device).train()
    weights = {p.untyped_storage()._cdata for p in there.state_dict(keep_vars=True).values()}
    activations: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        key = tensor.untyped_storage()._cdata
        if key not in weights:
            activations[key] = tensor  # a reference: no later storage gets the same key
        return tensor

    with sdpa_kernel(SDPBackend.MATH), torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept):
        prediction = there(torch.zeros(batch, shape.channels, shape.height, shape.width, device=device),
                           torch.zeros(batch, device=device))
        prediction.square().mean()

    def size(tensors: Iterable[torch.Tensor]) -> int:
        return sum(t.numel() * t.element_size() for t in tensors)

    parameters = size(there.parameters())
    buffers = size(there.buffers())
    return Memory(5 * parameters + 2 * buffers,
                  sum(t.untyped_storage().nbytes() for t in activations.values()))
