"""Degradations of colour: fading to a colour, and losing it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field

from kelvin.common.errors import KelvinError
from kelvin.degradations.base import ImageSpec, degradations
from kelvin.degradations.graded import Graded
from kelvin.degradations.signal import of_components

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


@degradations.register("fade")
class Fade(Graded):
    """x_t = (1 - u) x0 + u c: to a grey level c in [0, 1], or to each image's own `mean` colour."""

    def __init__(self, image: ImageSpec, schedule: Mapping, *,
                 to: Literal["mean"] | Annotated[float, Field(ge=0, le=1)]) -> None:
        self.target = to
        super().__init__(image, schedule)

    def stand_ins(self, x0: torch.Tensor) -> torch.Tensor:
        return of_components(x0)

    def apply(self, x0: torch.Tensor, t: torch.Tensor, z: torch.Tensor | None) -> torch.Tensor:
        u = self.severity(t, x0)
        colour = (x0.mean((2, 3), keepdim=True) if self.target == "mean"
                  else self.image.encode(self.target))
        return (1 - u) * x0 + u * colour


@degradations.register("desaturate")
class Desaturate(Graded):
    """x_t = (1 - u) x0 + u luma(x0), luma after ITU-R BT.601; RGB images only."""

    def __init__(self, image: ImageSpec, schedule: Mapping) -> None:
        if image.channels != 3:
            raise KelvinError(f"degradation.kind = 'desaturate' needs RGB images, but these have "
                              f"{image.channels} channel: choose a data set with 3 channels")
        self.luma = torch.tensor(LUMA, dtype=torch.float64).view(1, 3, 1, 1)
        super().__init__(image, schedule)

    def stand_ins(self, x0: torch.Tensor) -> torch.Tensor:
        return of_components(x0)

    def apply(self, x0: torch.Tensor, t: torch.Tensor, z: torch.Tensor | None) -> torch.Tensor:
        u = self.severity(t, x0)
        return (1 - u) * x0 + u * (self.luma.to(x0.dtype) * x0).sum(1, keepdim=True)
