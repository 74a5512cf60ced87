"""Memory that an evaluation of a network takes: counted, so that every machine gets the same."""

from __future__ import annotations

import copy
import weakref
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from kelvin.networks.base import Shape


def evaluation_memory(network: nn.Module, shape: Shape) -> int:
    """Bytes that live at once, at most, in an fp32 evaluation of one image, weights aside.

    Counted on the meta device, operation by operation, each storage once; the working memory inside an
    operation is not in it.
    """
    there = copy.deepcopy(network).to("meta")
    x = torch.zeros(1, shape.channels, shape.height, shape.width, device="meta")
    time = torch.zeros(1, device="meta")
    with Live() as live, torch.no_grad():
        there(x, time)
    return live.peak


class Live(TorchDispatchMode):
    """Adds up the storages that operations make, as they come and go: `now`, `peak` in bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.storages: dict[int, weakref.ref] = {}

    def gone(self, key: int, size: int, _: weakref.ref) -> None:
        del self.storages[key]
        self.now -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        inputs = {x.untyped_storage()._cdata for x in tree_leaves((args, kwargs))
                  if isinstance(x, torch.Tensor)}  # a view of a weight is not new
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                key, size = storage._cdata, storage.nbytes()
                if key not in self.storages and key not in inputs:
                    self.now += size
                    self.storages[key] = weakref.ref(storage, partial(self.gone, key, size))
        self.peak = max(self.peak, self.now)
        return out
