"""Whether torch.compile pays back within a run: decided from measured seconds, not from hope."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from statistics import median

import torch
from torch import nn

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Measured:
    """Seconds of an eager step, of a compiled step, and of compiling."""

    eager: float
    compiled: float
    compiling: float

    def saved(self, updates: int) -> float:
        """Seconds that compiling saves over a run of so many updates; negative where it costs."""
        return updates * (self.eager - self.compiled) - self.compiling

    def pays(self, updates: int, margin: float = 1.1) -> bool:
        """Does it save? Asked for `margin` times its price: timings of a few steps are uncertain."""
        return updates * (self.eager - self.compiled) > margin * self.compiling


def measure(eager: Callable[[], object], compiled: Callable[[], object], steps: int = 5) -> Measured:
    """Time both ways of one training step, in turn. The first compiled call, less a later one, is
    the price of compiling; one eager call goes unmeasured."""
    def timed(step: Callable[[], object]) -> float:
        started = time.perf_counter()
        step()
        return time.perf_counter() - started

    eager()
    first = timed(compiled)
    pairs = [(timed(eager), timed(compiled)) for _ in range(steps)]
    slow, fast = (median(side) for side in zip(*pairs, strict=True))
    return Measured(slow, fast, max(first - fast, 0.0))


def maybe_compiled(wanted: str, network: nn.Module, example: torch.Tensor, updates: int,
                   autocast: Callable[[], AbstractContextManager]) -> nn.Module:
    """The network, compiled if `wanted` is always, or auto and a trial on a copy says that it pays.

    The trial takes steps on `example` (n, C, H, W); weights and random state stay as they were.
    """
    if wanted == "always":
        return torch.compile(network)
    time_ = torch.zeros(len(example), device=example.device)

    def stepper(trial: Callable) -> Callable[[], None]:
        def step() -> None:
            with autocast():
                loss = trial(example, time_).float().square().mean()
            loss.backward()
            float(loss.detach())  # waits for the device
        return step

    trial = copy.deepcopy(network).train()
    with torch.random.fork_rng():
        try:
            found = measure(stepper(trial), stepper(torch.compile(trial)))
        except Exception as error:  # no compiler, or an operation that it does not know
            log.warning("torch.compile is not used: %s", str(error).split("\n")[0])
            return network
    log.info("torch.compile: %.3f s a step against %.3f s, %.0f s to compile: %s over %d updates",
             found.compiled, found.eager, found.compiling,
             "used" if found.pays(updates) else "not used", updates)
    return torch.compile(network) if found.pays(updates) else network
