"""The forward side's one contract: degrade(x0, t, z) -> x_t."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

import torch

from kelvin.errors import KelvinError
from kelvin.registry import Registry

degradations = Registry("degradation")


class Random(Protocol):
    """A random stream for n images (kelvin.random.BatchRandom or BlockRandom)."""

    n: int

    def normal(self, *tail: int) -> torch.Tensor: ...


@dataclass(frozen=True)
class ImageSpec:
    """Shape of one image and the model's own pixel range (black = low, white = high)."""

    channels: int
    height: int
    width: int
    low: float
    high: float

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.channels, self.height, self.width)

    def encode(self, unit: torch.Tensor) -> torch.Tensor:
        """[0, 1] -> the model's range."""
        return self.low + (self.high - self.low) * unit

    def decode(self, x: torch.Tensor) -> torch.Tensor:
        """The model's range -> [0, 1], clipped there."""
        return ((x - self.low) / (self.high - self.low)).clamp(0, 1)


@dataclass(frozen=True)
class State:
    """A degraded batch x (n, C, H, W) and the randomness z that made it (None where there is none)."""

    x: torch.Tensor
    z: torch.Tensor | None


class Degradation(ABC):
    """A family D(x0, t; z) with t = 0..T and D(x0, 0; z) = x0.

    `z` is the process's own randomness, drawn once per image and kept over t. `t` is a long tensor
    of shape (n,), a time for each image. Images are in the model's range (ImageSpec.low..high).
    """

    steps: int
    prior: "Prior"  # noqa: UP037 - set by kelvin.degradations.build
    parameterisations: tuple[str, ...] = ("x0",)  # what a network may be asked to predict
    can_estimate_z = False  # is z a function of (x_t, x0)?

    def draw(self, random: Random) -> torch.Tensor | None:
        """The process's randomness for `random.n` images; None for a deterministic process."""
        return None

    @abstractmethod
    def degrade(self, x0: torch.Tensor, t: torch.Tensor, z: torch.Tensor | None) -> torch.Tensor:
        """x_t for images x0 (n, C, H, W) at times t (n,)."""

    def estimate_z(self, x_t: torch.Tensor, x0_hat: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """The z for which degrade(x0_hat, t, z) = x_t; KelvinError where there is no such function."""
        raise KelvinError(f"{type(self).__name__} cannot re-estimate z from (x_t, x0_hat): "
                          "use the sampler option z = kept")

    def severity(self) -> torch.Tensor:
        """A curve of T + 1 numbers, rising from 0 at t = 0, for figures (what it is: the subclass)."""
        return torch.arange(self.steps + 1) / self.steps

    def to(self, device: torch.device | str) -> Degradation:
        """Move every tensor the process holds, in place."""
        for name, value in vars(self).items():
            if isinstance(value, torch.Tensor):
                setattr(self, name, value.to(device))
        return self


class GaussianProcess(Degradation):
    """A degradation with q(x_t | x0) = N(signal_t x0, noise_t^2 I), Markov in t.

    Subclasses fill `signal` and `noise`, float64 tensors of T + 1 entries. Ancestral sampling, DDIM
    and the likelihood use `posterior` and nothing else of the process.
    """

    signal: torch.Tensor
    noise: torch.Tensor
    parameterisations = ("eps", "x0", "v")
    can_estimate_z = True

    def at(self, table: torch.Tensor, t: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """table[t] in the dtype of `like`, shaped (n, 1, 1, 1) for broadcasting."""
        return table[t].to(like.dtype).view(-1, 1, 1, 1)

    def degrade(self, x0, t, z):
        return self.at(self.signal, t, x0) * x0 + self.at(self.noise, t, x0) * z

    def estimate_z(self, x_t, x0_hat, t):
        return (x_t - self.at(self.signal, t, x_t) * x0_hat) / self.at(self.noise, t, x_t)

    def posterior(self, x_t, x0, t, s, eta: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation of q_eta(x_s | x_t, x0) for s < t; std is (n, 1, 1, 1).

        eta = 1 is the posterior of the Markov chain (Ho et al. 2020, eq. 7), eta = 0 the
        deterministic one (Song et al. 2021, DDIM, eq. 7 and 16; sigma is theirs).
        """
        signal_t, noise_t = self.signal[t], self.noise[t]
        signal_s, noise_s = self.signal[s], self.noise[s]
        kept = 1 - (signal_t * noise_s / (signal_s * noise_t)) ** 2  # 1 - SNR_t / SNR_s
        std = eta * noise_s * kept.clamp(min=0).sqrt()
        direction = (noise_s**2 - std**2).clamp(min=0).sqrt()
        shape = (-1, 1, 1, 1)
        mean = (signal_s.view(shape).to(x_t.dtype) * x0
                + direction.view(shape).to(x_t.dtype) * self.estimate_z(x_t, x0, t))
        return mean, std.view(shape).to(x_t.dtype)


class Prior(ABC):
    """x_T with no image at hand."""

    def fit(self, x_T: torch.Tensor) -> None:  # noqa: B027 - most priors learn nothing
        """Learn from degraded training images x_T (N, C, H, W); nothing to learn by default."""

    @abstractmethod
    def draw(self, random: Random) -> State:
        """`random.n` starting states."""

    def tensors(self) -> dict[str, torch.Tensor]:
        """What `fit` learnt, to be saved."""
        return {}

    def load(self, tensors: dict[str, torch.Tensor]) -> None:  # noqa: B027
        """Put back what `tensors` gave."""
