"""Warm diffusion, between hot and cold: a blur or a mask, and Gaussian noise on top.

Severity u drives both parts; alpha(u) = cos(pi u / 2) is the signal's amplitude where noise grows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated

import numpy as np
import torch
from pydantic import Field

from kelvin.degradations.base import OF_ANY, ImageSpec, Random, degradations
from kelvin.degradations.gaussian import GaussianProcess
from kelvin.degradations.graded import Graded, geometric
from kelvin.degradations.signal import of_cosines

Positive = Annotated[float, Field(gt=0)]


def cosine_basis(n: int) -> torch.Tensor:
    """Orthonormal DCT-II, rows are frequencies, (n, n) float32."""
    from scipy.fft import dct  # late: only warm processes and the heat kernel need it

    return torch.from_numpy(dct(torch.eye(n, dtype=torch.float64).numpy(), norm="ortho", axis=0)).float()


class Warm(Graded, GaussianProcess):
    """Graded and Gaussian: `gain` and `std` follow u_t."""

    temperature = "warm"
    degrade = GaussianProcess.degrade

    def apply(self, x0: torch.Tensor, t: torch.Tensor, z: torch.Tensor | None) -> torch.Tensor:
        return GaussianProcess.degrade(self, x0, t, z)

    def exact(self, t: torch.Tensor) -> torch.Tensor:
        """u_t, (n, 1, 1, 1) float64: the posterior divides small numbers."""
        return self.wide(self.u[t].double())

    def std(self, t: torch.Tensor) -> torch.Tensor:
        return torch.sin(math.pi / 2 * self.exact(t))


class WarmBlur(Warm):
    """A gain for each frequency of the cosine transform, and white noise."""

    def __init__(self, image: ImageSpec, schedule: Mapping) -> None:
        self.rows, self.columns = cosine_basis(image.height), cosine_basis(image.width)
        f_y, f_x = (torch.arange(n, dtype=torch.float64) * math.pi / n
                    for n in (image.height, image.width))
        self.frequency2 = f_y[:, None] ** 2 + f_x**2  # squared, in radians per pixel
        super().__init__(image, schedule)

    def draw(self, random: Random) -> torch.Tensor:
        return random.normal(*self.image.shape)

    def stand_ins(self, x0: torch.Tensor) -> torch.Tensor:
        return of_cosines(x0)

    def to_basis(self, x: torch.Tensor) -> torch.Tensor:
        return self.rows.to(x.dtype) @ x @ self.columns.to(x.dtype).T

    def from_basis(self, y: torch.Tensor) -> torch.Tensor:
        return self.rows.to(y.dtype).T @ y @ self.columns.to(y.dtype)

    def heat(self, sigma: torch.Tensor) -> torch.Tensor:
        """Gain of a heat kernel of standard deviation sigma pixels, (n, 1, H, W)."""
        return torch.exp(-0.5 * sigma**2 * self.frequency2)


@degradations.register("blur-noise")
class BlurNoise(WarmBlur):
    """Blurring diffusion (Hoogeboom and Salimans 2023, eq. 11 to 15): gain alpha(u) d(u), noise sin.

    d = (1 - floor) exp(-sigma(u)^2 f^2 / 2) + floor, sigma(u) = sigma sin(pi u / 2)^2 (in image
    widths). The floor keeps each step's posterior well defined.
    """

    def __init__(self, image: ImageSpec, schedule: Mapping, *, sigma: Positive, floor: Positive) -> None:
        self.sigma, self.floor = sigma * image.width, floor
        super().__init__(image, schedule)

    def gain(self, t: torch.Tensor, z: torch.Tensor | None) -> torch.Tensor:
        u = self.exact(t)
        decay = self.heat(self.sigma * torch.sin(math.pi / 2 * u) ** 2)
        return torch.cos(math.pi / 2 * u) * ((1 - self.floor) * decay + self.floor)


@degradations.register("heat-dissipation")
class HeatDissipation(WarmBlur):
    """Inverse heat dissipation (Rissanen et al. 2023, section 3): a heat kernel and a little noise.

    sigma(u) = sigma_start (sigma / sigma_start)^u in image widths, from 0 where tied; the noise has
    the same standard deviation at every t > 0, in units of [0, 1].
    """

    parameterisations = (*OF_ANY, "previous")

    def __init__(self, image: ImageSpec, schedule: Mapping, *, sigma: Positive,
                 sigma_start: Positive, noise: Positive) -> None:
        self.sigma_start, self.sigma = sigma_start * image.width, sigma * image.width
        self.level = noise * (image.high - image.low)
        super().__init__(image, schedule)

    def tabulate(self, u: np.ndarray) -> None:
        self.widths = geometric(self.u, self.sigma_start, self.sigma, self.tied) * (self.u > 0)

    def gain(self, t: torch.Tensor, z: torch.Tensor | None) -> torch.Tensor:
        return self.heat(self.wide(self.widths[t]))

    def std(self, t: torch.Tensor) -> torch.Tensor:
        return self.wide(self.level * (t > 0).double())


@degradations.register("mask-noise")
class MaskNoise(Warm):
    """Random pixels lost, and noise: gain alpha(u) where z's field is at least u^`lag`, else 0.

    z (n, 1 + C, H, W): the mask's uniform field, which is known, and the noise, which is not.
    `lag` above 1 lets the noise come first.
    """

    def __init__(self, image: ImageSpec, schedule: Mapping, *, lag: Positive) -> None:
        self.lag = lag
        super().__init__(image, schedule)

    def draw(self, random: Random) -> torch.Tensor:
        channels, height, width = self.image.shape
        return torch.cat([random.uniform(1, height, width), random.normal(channels, height, width)], 1)

    def gain(self, t: torch.Tensor, z: torch.Tensor | None) -> torch.Tensor:
        u = self.exact(t)
        return torch.cos(math.pi / 2 * u) * (z[:, :1] >= u**self.lag)

    def closed_form(self, u: np.ndarray) -> np.ndarray:
        return np.cos(np.pi / 2 * u) ** 2 * (1 - u**self.lag)

    def eps(self, z: torch.Tensor | None) -> torch.Tensor:
        return z[:, 1:]

    def with_eps(self, z: torch.Tensor | None, eps: torch.Tensor) -> torch.Tensor:
        return torch.cat([z[:, :1].to(eps.dtype), eps], 1)

    def public(self, z: torch.Tensor | None) -> torch.Tensor:
        return self.with_eps(z, torch.zeros_like(self.eps(z)))
