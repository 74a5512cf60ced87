"""Motion blur: the image swept along a line, as one product with a transfer function."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field

from kelvin.degradations.base import ImageSpec, Random, degradations
from kelvin.degradations.graded import Graded
from kelvin.degradations.signal import of_waves


def line_transfer(height: int, width: int, length: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """Transfer function of an even line segment, on the grid of rfft2: (n, height, width // 2 + 1).

    length in pixels and angle in radians (counter-clockwise from the right), each (n, 1, 1); the
    Fourier transform of a box of that length along the line, sinc(length (f_x cos + f_y sin)).
    """
    f_y = torch.fft.fftfreq(height, device=length.device)[:, None].to(length.dtype)
    f_x = torch.fft.rfftfreq(width, device=length.device).to(length.dtype)
    return torch.sinc(length * (f_x * torch.cos(angle) - f_y * torch.sin(angle)))


@degradations.register("motion-blur")
class MotionBlur(Graded):
    """x_t = x0 averaged along a centred line of length u_t `length` (in image widths), borders wrap.

    angle in degrees counter-clockwise from the right, or `drawn`: one for each image, z (n, 1).
    """

    def __init__(self, image: ImageSpec, schedule: Mapping, *,
                 length: Annotated[float, Field(gt=0)], angle: float | Literal["drawn"]) -> None:
        self.length, self.angle = length * image.width, angle
        super().__init__(image, schedule)

    def draw(self, random: Random) -> torch.Tensor | None:
        # a line has no direction: half a turn holds every angle
        return math.pi * random.uniform(1) if self.angle == "drawn" else None

    def stand_ins(self, x0: torch.Tensor) -> torch.Tensor:
        return of_waves(x0)

    def apply(self, x0: torch.Tensor, t: torch.Tensor, z: torch.Tensor | None) -> torch.Tensor:
        angle = (torch.full((len(x0), 1), math.radians(self.angle), dtype=x0.dtype, device=x0.device)
                 if z is None else z.to(x0.dtype))
        transfer = line_transfer(self.image.height, self.image.width,
                                 self.length * self.severity(t, x0)[:, 0], angle[..., None])
        spectrum = torch.fft.rfft2(x0) * transfer[:, None]
        return torch.fft.irfft2(spectrum, s=(self.image.height, self.image.width))
