"""How a network is evaluated for samples on CUDA: precision, compilation, batch size.

Rules of device, shape and length; on a CPU the network runs as it is, in fp32."""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import nn

from kelvin.common.compiling import compiled
from kelvin.common.hardware import Precision
from kelvin.common.progress import log
from kelvin.networks import Shape
from kelvin.networks.memory import evaluation_memory
from kelvin.restoration.restorer import Restorer
from kelvin.sampling.walk import say

EVALUATED = 1_000_000  # evaluations of an image from which on compiling pays
LARGE = 256  # images in a batch from which on it runs compiled: each size is compiled anew
MOST = 8192  # images in a batch: a GPU is full long before
SHARE = 0.3  # of the free memory: a graph and the steps before it keep a store each
COPIES = 64  # of an image in fp32 that a sampler's step holds beside the network


def why_not_compiled(device: torch.device, evaluated: int) -> str | None:
    """Why a network is run as it is; None where it is compiled. evaluated: images times evaluations."""
    if device.type != "cuda":
        return f"it pays on CUDA, and this is a {device.type.upper()}"
    if evaluated < EVALUATED:
        return f"{evaluated:,} evaluations of an image are fewer than {EVALUATED:,}"
    return None


class Evaluated:
    """A network in a precision and memory layout, its large batches compiled where that is wanted.

    If compiling fails, a warning is logged and the network runs as it is.
    """

    def __init__(self, network: nn.Module, precision: Precision, device: torch.device, is_compiled: bool
                 ) -> None:
        self.bare = network.to(memory_format=precision.memory_format)
        self.precision, self.device = precision, device
        self.classes = getattr(network, "classes", 0)
        self.fast = compiled(self.bare, dynamic=False) if is_compiled else None

    def __call__(self, x: torch.Tensor, time: torch.Tensor, *labels: torch.Tensor) -> torch.Tensor:
        x = x.contiguous(memory_format=self.precision.memory_format)
        with self.precision.autocast(self.device):
            return self.chosen(x, time, *labels).float().contiguous()

    def chosen(self, x: torch.Tensor, *more: torch.Tensor) -> torch.Tensor:
        if self.fast is not None and len(x) >= LARGE:
            try:
                return self.fast(x, *more)
            except Exception as error:
                log.warning("compiling the network for sampling failed, it is run as it is: %s",
                            str(error).split("\n")[0])
                self.fast = None
        return self.bare(x, *more)


def ready(restorer: Restorer, device: torch.device, precision: Precision, evaluated: int) -> Restorer:
    """The restorer, prepared to draw many images on a device; unchanged on a CPU. evaluated: images times
    evaluations to come."""
    if device.type != "cuda":
        return restorer
    why = why_not_compiled(device, evaluated)
    say(f"sampling: network in {precision.name}, "
        + ("compiled" if why is None else f"not compiled ({why})"))
    out = copy.copy(restorer)
    out.network, out.evaluations = Evaluated(
        cast(nn.Module, restorer.network), precision, device, why is None), 0
    return out


def batch_size(restorer: Restorer, n: int, wanted: int, device: torch.device, is_guided: bool = False
               ) -> int:
    """How many of n images are drawn at once: on CUDA as many as memory allows, elsewhere `wanted`."""
    network = getattr(restorer.network, "bare", restorer.network)
    if device.type != "cuda" or not isinstance(network, nn.Module):
        return wanted
    shape = Shape(*restorer.image.shape)
    one = (1 + is_guided) * evaluation_memory(network, shape) + COPIES * 4 * shape.channels \
        * shape.height * shape.width
    free = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device) \
        - torch.cuda.memory_allocated(device)
    return batch_of(n, one, free)


def batch_of(n: int, one: int, free: int) -> int:
    """The batch for n images of `one` byte each where so many are free: the largest divisor of n that
    fits, unless that leaves more than half of the room unused: batches of one size are compiled once."""
    most = max(1, min(n, MOST, int(SHARE * free) // one))
    even = next(size for size in range(most, 0, -1) if n % size == 0)
    return even if 2 * even >= most else most
