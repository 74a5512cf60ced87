"""Degradations of a continuous severity u in [0, 1]: which u each t has is the schedule's affair.

Own growth (`own`, `power`) names u_t outright. Under a noise schedule severity is *tied*: u_t is
solved so that the signal variance left equals alpha-bar_t, as if the schedule's noise had been added.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field

from kelvin.degradations.base import Degradation, ImageSpec
from kelvin.degradations.schedules import Steps, build_schedule
from kelvin.errors import KelvinError
from kelvin.random import BatchRandom, generator
from kelvin.registry import Registry

growths = Registry("schedule")
PAIRS = 256  # pairs of training images from which the signal variance is estimated
LEVELS = 256  # severities at which it is looked up before u_t is solved
SLICE = 2**24  # numbers degraded at once while it is measured: bounds the memory
TOLERANCE = 1.05  # a signal variance above this multiple of alpha-bar_t counts as not reached


@growths.register("own")
def own(*, steps: Steps) -> np.ndarray:
    """u_t = t / T: the degradation's own growth rule, whatever it makes of u."""
    return np.arange(steps + 1) / steps


@growths.register("power")
def power(*, steps: Steps, power: Annotated[float, Field(gt=0)]) -> np.ndarray:
    """u_t = (t / T)^power: above 1 slow at first, below 1 fast at first."""
    return (np.arange(steps + 1) / steps) ** power


class Graded(Degradation):
    """A degradation whose x_t depends on t through its severity u_t alone (u = 0: untouched)."""

    def __init__(self, image: ImageSpec, schedule: Mapping[str, Any]):
        self.image = image
        self.tied = schedule["kind"] not in growths.kinds()
        if self.tied:
            self.alpha_bar = torch.from_numpy(build_schedule(schedule).alpha_bar)
        u = np.linspace(0, 1, len(self.alpha_bar)) if self.tied else growths.build(schedule)
        self.steps = len(u) - 1
        self.variance = None
        self.follow(u)

    def follow(self, u: np.ndarray) -> None:
        """Take the severities u_0 = 0 .. u_T."""
        self.steps, self.u = len(u) - 1, torch.from_numpy(np.array(u, np.float32))
        self.tabulate(u)

    def tabulate(self, u: np.ndarray) -> None:  # noqa: B027
        """Precompute what depends on t alone, (T + 1, ...), from the severities u (T + 1,)."""

    @abstractmethod
    def apply(self, x0: torch.Tensor, t: torch.Tensor, z: torch.Tensor | None) -> torch.Tensor:
        """x_t, for t > 0; what it gives at t = 0 is not used."""

    def degrade(self, x0, t, z=None):
        return torch.where(self.wide(t == 0), x0, self.apply(x0, t, z))

    def severity(self, t: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """u_t in the dtype of `like`, (n, 1, 1, 1)."""
        return self.wide(self.u[t].to(like.dtype))

    @staticmethod
    def wide(values: torch.Tensor) -> torch.Tensor:
        """(n,) -> (n, 1, 1, 1)."""
        return values.view(-1, 1, 1, 1)

    def fit(self, x0, other):
        """Measure the signal variance on training images and, where tied, solve u_t for it."""
        source = generator("signal variance")
        n = min(PAIRS, len(x0) // 2)
        if n == 0:
            raise KelvinError("the signal variance of a degradation needs two training images at least")
        chosen = torch.randperm(len(x0), generator=source)[: 2 * n]
        pairs = (x0[chosen[:n]], x0[chosen[n:]], self.draw(BatchRandom(n, source)))
        if self.tied:
            probe = copy.copy(self)
            probe.follow(np.linspace(0, 1, LEVELS + 1))
            # what a nested process loses it never gets back: the running minimum takes out the noise
            left = np.minimum.accumulate(measured(probe, *pairs).numpy())
            self.follow(solve(left, self.alpha_bar.numpy()))
        self.variance = measured(self, *pairs)

    def signal_variance(self):
        if self.variance is None:
            raise KelvinError(f"{type(self).__name__}: the signal variance is measured on training "
                              "images: call fit first, or load weights that carry it")
        return self.variance

    def clamped_from(self) -> int | None:
        """The first t whose alpha-bar_t the degradation cannot reach; None where it reaches all."""
        if not self.tied:
            return None
        short = (self.signal_variance() > TOLERANCE * self.alpha_bar.to(self.variance)) & (self.u >= 1)
        return int(short.nonzero()[0]) if short.any() else None

    def tensors(self):
        return {} if self.variance is None else {"severity": self.u, "variance": self.variance}

    def load(self, tensors):
        if "severity" in tensors:
            self.follow(tensors["severity"].double().numpy())
            self.variance = tensors["variance"]


def solve(left: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """u_t with left(u_t) = wanted_t, where left (decreasing) is known on an even grid of [0, 1].

    Wanted values below the lowest get u = 1.
    """
    grid = np.linspace(0, 1, len(left))
    first = np.concatenate([[True], np.diff(left) < 0])  # of equal values the mildest severity
    u = np.interp(wanted, left[first][::-1], grid[first][::-1])
    u[wanted < left[-1]] = 1.0
    u[0] = 0.0
    return np.maximum.accumulate(u)


def measured(process: Degradation, x: torch.Tensor, y: torch.Tensor, z: torch.Tensor | None
             ) -> torch.Tensor:
    """S_t over pairs (x, y) that share z, (T + 1,) float32; in slices of t that bound the memory."""
    whole = (x - y).square().sum().clamp(min=1e-12)
    out = []
    for times in torch.arange(process.steps + 1).split(max(1, SLICE // x.numel())):
        t = times.repeat_interleave(len(x))
        x_k, y_k, z_k = (None if a is None else a.repeat(len(times), *(1,) * (a.ndim - 1))
                         for a in (x, y, z))
        gap = process.degrade(x_k, t, z_k) - process.degrade(y_k, t, z_k)
        out.append(gap.square().flatten(1).sum(1).view(len(times), -1).sum(1) / whole)
    return torch.cat(out)
