"""Snow and fog, after ImageNet-C (Hendrycks and Dietterich 2019), thinned to a severity in [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field

from kelvin.degradations.base import ImageSpec, Random, degradations
from kelvin.degradations.graded import Graded
from kelvin.degradations.motion import line_transfer

Positive = Annotated[float, Field(gt=0)]
Unit = Annotated[float, Field(ge=0, le=1)]
Decay = Annotated[float, Field(gt=0, le=8)]  # frequency^-8 of a side of 4096 fits float32


def spectral_noise(random: Random, image: ImageSpec, decay: float) -> torch.Tensor:
    """Noise whose amplitude falls as 1 / frequency^decay (clouds), each scaled to [0, 1]."""
    white = random.normal(1, image.height, image.width)
    f_y = torch.fft.fftfreq(image.height, device=white.device)[:, None]
    f_x = torch.fft.rfftfreq(image.width, device=white.device)
    frequency = (f_x**2 + f_y**2).sqrt().clamp(min=1 / max(image.height, image.width))
    field = torch.fft.irfft2(torch.fft.rfft2(white) * frequency**-decay, s=white.shape[-2:])
    low, high = field.amin((2, 3), keepdim=True), field.amax((2, 3), keepdim=True)
    return (field - low) / (high - low).clamp(min=1e-6)


@degradations.register("fog")
class Fog(Graded):
    """x + c m p, scaled back to the image's maximum m, p a cloud; with c = u / (1 - u):
    x_t = (1 - u) x0 + u m p, in [0, 1]. z: the cloud (n, 1, H, W) in [0, 1]."""

    def __init__(self, image: ImageSpec, schedule: Mapping, *, decay: Decay) -> None:
        self.decay = decay
        super().__init__(image, schedule)

    def draw(self, random: Random) -> torch.Tensor:
        return spectral_noise(random, self.image, self.decay)

    def apply(self, x0: torch.Tensor, t: torch.Tensor, z: torch.Tensor | None) -> torch.Tensor:
        u, unit = self.severity(t, x0), self.image.to_unit(x0)
        brightest = unit.amax((1, 2, 3), keepdim=True)
        return self.image.encode((1 - u) * unit + u * brightest * z.to(x0.dtype))


@degradations.register("snow")
class Snow(Graded):
    """Flakes of motion-blurred noise over a whitened image, more and denser as u grows.

    ImageNet-C: x <- k x + (1 - k) max(x, 1.5 grey + 0.5), plus the flakes and the flakes turned by
    half a turn, clipped to [0, 1]. Thinned: k = 1 - u `whiteness`, and a flake shows where its
    layer exceeds a threshold that falls from `dense` + 2 to `dense` standard deviations, so that what
    fell stays. flake: size in image widths; streak: length of its motion blur in image widths.
    z: the layer (n, 1, H, W), standardised.
    """

    def __init__(self, image: ImageSpec, schedule: Mapping, *, flake: Positive, streak: Positive,
                 whiteness: Unit, dense: float) -> None:
        self.flake, self.streak = max(flake * image.width, 1.0), streak * image.width
        self.whiteness, self.dense = whiteness, dense
        super().__init__(image, schedule)

    def draw(self, random: Random) -> torch.Tensor:
        height, width = self.image.height, self.image.width
        coarse = random.normal(1, math.ceil(height / self.flake), math.ceil(width / self.flake))
        layer = F.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)
        # ImageNet-C: it falls at 45 degrees at most from the vertical
        angle = math.pi * (0.25 + 0.5 * random.uniform(1, 1))
        transfer = line_transfer(height, width, torch.full_like(angle, self.streak), angle)
        layer = torch.fft.irfft2(torch.fft.rfft2(layer) * transfer[:, None], s=(height, width))
        layer = layer - layer.mean((2, 3), keepdim=True)
        return layer / layer.std((2, 3), keepdim=True).clamp(min=1e-6)

    def apply(self, x0: torch.Tensor, t: torch.Tensor, z: torch.Tensor | None) -> torch.Tensor:
        u, unit = self.severity(t, x0), self.image.to_unit(x0)
        grey = unit.mean(1, keepdim=True)
        k = 1 - u * self.whiteness
        whitened = k * unit + (1 - k) * torch.maximum(unit, 1.5 * grey + 0.5)
        flakes = u * (z.to(x0.dtype) - self.dense - 2 * (1 - u)).clamp(min=0)
        return self.image.encode((whitened + flakes + flakes.flip(2, 3)).clamp(0, 1))
