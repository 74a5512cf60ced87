"""The forward side's one contract: degrade(x0, t, z) -> x_t."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from kelvin.common.errors import KelvinError
from kelvin.config.registry import Registry

degradations = Registry("degradation")
OF_ANY = ("x0", "residual", "linear+")  # targets that have a meaning for every process


class Random(Protocol):
    """A random stream for n images (kelvin.common.streams.BatchRandom or BlockRandom)."""

    n: int

    def normal(self, *tail: int) -> torch.Tensor: ...

    def uniform(self, *tail: int) -> torch.Tensor: ...


class Stream(Random, Protocol):
    """A random stream that can be put back (kelvin.common.streams.BlockRandom, philox.ImageRandom)."""

    def state(self) -> Any: ...

    def load(self, state: Any) -> None: ...


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

    def to_unit(self, x: torch.Tensor) -> torch.Tensor:
        """The model's range -> [0, 1], not clipped."""
        return (x - self.low) / (self.high - self.low)

    def rounded(self, x: torch.Tensor) -> torch.Tensor:
        """x in the model's range, at the nearest 8-bit grey level, which may lie beyond the range."""
        step = (self.high - self.low) / 255
        return self.low + step * ((x - self.low) / step).round()

    def decode(self, x: torch.Tensor) -> torch.Tensor:
        """The model's range -> [0, 1], clipped there."""
        return self.to_unit(x).clamp(0, 1)


@dataclass(frozen=True)
class State:
    """A degraded batch x (n, C, H, W) and the randomness z that made it (None where there is none).

    hidden: z is missing or incomplete, as in a restoration, where the noise of the image is unknown.
    """

    x: torch.Tensor
    z: torch.Tensor | None
    hidden: bool = False


class Degradation(ABC):
    """A family D(x0, t; z) with t = 0..T and D(x0, 0; z) = x0.

    `z` is the process's own randomness, drawn once per image and kept over t. `t` is a long tensor
    of shape (n,), a time for each image. Images are in the model's range (ImageSpec.low..high).
    """

    image: ImageSpec
    steps: int
    prior: "Prior"  # noqa: UP037 - set by kelvin.degradations.build
    temperature = "cold"  # hot: noise; cold: no noise; warm: a cold part and noise
    parameterisations: tuple[str, ...] = OF_ANY  # what a network may be asked to predict
    # of the target linear+ (kelvin.restoration.linear_map)
    linear_weights: torch.Tensor | None = None
    linear_offsets: torch.Tensor | None = None
    can_estimate_z = False  # does z (or its hidden part) follow from (x_t, x0)?

    def fit(self, x0: torch.Tensor, other: Callable[[], torch.Tensor]) -> None:  # noqa: B027
        """Fit the process to training images x0 (N, C, H, W) and, for a blend, to `other()`: images of
        another data set at the same size. Most processes have nothing to fit."""

    def tensors(self) -> dict[str, torch.Tensor]:
        """The fitted tensors, to be saved."""
        return {}

    def load(self, tensors: dict[str, torch.Tensor]) -> None:  # noqa: B027
        """Load the fitted tensors."""

    def draw(self, random: Random) -> torch.Tensor | None:
        """The process's randomness for `random.n` images; None for a deterministic process."""
        return None

    @abstractmethod
    def degrade(self, x0: torch.Tensor, t: torch.Tensor, z: torch.Tensor | None) -> torch.Tensor:
        """x_t for images x0 (n, C, H, W) at times t (n,)."""

    def estimate_z(self, x_t: torch.Tensor, x0_hat: torch.Tensor, t: torch.Tensor,
                   z: torch.Tensor | None = None) -> torch.Tensor:
        """The z for which degrade(x0_hat, t, z) = x_t; KelvinError where there is no such function.

        z: the known part (see `public`), where there is one.
        """
        raise KelvinError(f"{type(self).__name__} cannot re-estimate z from (x_t, x0_hat): "
                          "use the sampler option z = kept")

    def public(self, z: torch.Tensor | None) -> torch.Tensor | None:
        """The part of z that a restoration may use: all, or none where z follows from x_t.

        A restorer that knew the noise of its image would look far too good.
        """
        return None if self.can_estimate_z else z

    @abstractmethod
    def signal_variance(self) -> torch.Tensor:
        """S_t for t = 0..T: the share of the data's variance that is left at equal z, 1 at t = 0.

        S_t = E||D(x, t; z) - D(x', t; z)||^2 / E||x - x'||^2 over independent images x, x'; for
        Gaussian noise it is alpha-bar_t.
        """

    @property
    def device(self) -> torch.device:
        """The device of the process's tables."""
        devices = (value.device for value in vars(self).values() if isinstance(value, torch.Tensor))
        return next(devices, torch.device("cpu"))

    def to(self, device: torch.device | str) -> Degradation:
        """Move every tensor the process holds, in place."""
        for name, value in vars(self).items():
            if isinstance(value, torch.Tensor):
                setattr(self, name, value.to(device))
        return self


class Prior(ABC):
    """x_T with no image at hand."""

    def fit(self, x0: torch.Tensor) -> None:  # noqa: B027 - most priors learn nothing
        """Learn from training images x0 (N, C, H, W); nothing to learn by default."""

    @abstractmethod
    def draw(self, random: Random) -> State:
        """`random.n` starting states."""

    def tensors(self) -> dict[str, torch.Tensor]:
        """The fitted tensors, to be saved."""
        return {}

    def load(self, tensors: dict[str, torch.Tensor]) -> None:  # noqa: B027
        """Load the fitted tensors."""
