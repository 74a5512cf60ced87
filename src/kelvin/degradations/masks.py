"""Masks: x_t = fill + m_t(z) (x0 - fill). A lost pixel stays lost: m_t falls with t at fixed z."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field

from kelvin.degradations.base import ImageSpec, Random, degradations
from kelvin.degradations.graded import Graded
from kelvin.degradations.signal import of_pixels

Level = Annotated[float, Field(ge=0, le=1)]  # a grey level: 0 black, 1 white
Positive = Annotated[float, Field(gt=0)]


class Mask(Graded):
    """`visible` gives m_t in [0, 1]; `fill` is the grey level of lost pixels."""

    def __init__(self, image: ImageSpec, schedule: Mapping, fill: float) -> None:
        self.fill = image.encode(fill)
        super().__init__(image, schedule)

    @abstractmethod
    def visible(self, t: torch.Tensor, z: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """m_t, (n, 1, H, W)."""

    def colour(self, z: torch.Tensor) -> torch.Tensor | float:
        """The colour of lost pixels, in the model's range."""
        return self.fill

    def stand_ins(self, x0: torch.Tensor) -> torch.Tensor:
        return of_pixels(x0)

    def apply(self, x0: torch.Tensor, t: torch.Tensor, z: torch.Tensor | None) -> torch.Tensor:
        visible, colour = self.visible(t, z, x0), self.colour(z)
        return visible * x0 + (1 - visible) * colour


@degradations.register("random-pixels")
class RandomPixels(Mask):
    """A share u_t of the pixels, drawn one by one, is lost; z: a uniform field (n, 1, H, W)."""

    def __init__(self, image: ImageSpec, schedule: Mapping, *, fill: Level) -> None:
        super().__init__(image, schedule, fill)

    def draw(self, random: Random) -> torch.Tensor | None:
        return random.uniform(1, self.image.height, self.image.width)

    def closed_form(self, u: np.ndarray) -> np.ndarray:
        return 1 - u

    def visible(self, t: torch.Tensor, z: torch.Tensor | None, like: torch.Tensor) -> torch.Tensor:
        return (z.to(like.dtype) >= self.severity(t, like)).to(like.dtype)


@degradations.register("salt-and-pepper")
class SaltAndPepper(Mask):
    """A share u_t of the pixels is white (with probability `salt`) or black; z: two uniform fields.

    The first says when a pixel is lost, the second to which (n, 2, H, W).
    """

    def __init__(self, image: ImageSpec, schedule: Mapping, *, salt: Level) -> None:
        self.salt = salt
        super().__init__(image, schedule, fill=0.0)

    def draw(self, random: Random) -> torch.Tensor | None:
        return random.uniform(2, self.image.height, self.image.width)

    def closed_form(self, u: np.ndarray) -> np.ndarray:
        return 1 - u

    def visible(self, t: torch.Tensor, z: torch.Tensor | None, like: torch.Tensor) -> torch.Tensor:
        return (z[:, :1].to(like.dtype) >= self.severity(t, like)).to(like.dtype)

    def colour(self, z: torch.Tensor | None) -> torch.Tensor:
        return torch.where(z[:, 1:] < self.salt, self.image.high, self.image.low)


@degradations.register("cut-out")
class CutOut(Mask):
    """A square around a drawn centre is gone; its half side grows to the longer side of the image.

    A pixel that the square covers in part is gone in part. z: the centre (n, 2), as fractions.
    """

    def __init__(self, image: ImageSpec, schedule: Mapping, *, fill: Level) -> None:
        super().__init__(image, schedule, fill)

    def draw(self, random: Random) -> torch.Tensor | None:
        return random.uniform(2)

    def visible(self, t: torch.Tensor, z: torch.Tensor | None, like: torch.Tensor) -> torch.Tensor:
        height, width = self.image.height, self.image.width
        half = max(height, width) * self.severity(t, like)[:, 0, :, 0]  # (n, 1), in pixels

        def covered(n: int, centre: torch.Tensor) -> torch.Tensor:
            pixel = torch.arange(n, device=like.device)
            low, high = centre - half, centre + half
            return (torch.minimum(high, pixel + 1) - torch.maximum(low, pixel)).clamp(0, 1)

        z = z.to(like.dtype)
        rows, columns = covered(height, height * z[:, :1]), covered(width, width * z[:, 1:])
        return 1 - (rows[:, :, None] * columns[:, None])[:, None]


@degradations.register("gaussian-mask")
class GaussianMask(Mask):
    """Bansal et al. 2022 (inpainting): step i multiplies by 1 - exp(-d^2 / 2 s_i^2), s_i = i `width`.

    d is the distance from a pixel drawn for each image (or the `middle` one), the width in image
    widths; `strokes` such steps lead to u = 1, a fraction of a step counts as that power of it.
    z: the centre (n, 2), as fractions of height and width.
    """

    def __init__(self, image: ImageSpec, schedule: Mapping, *, fill: Level, width: Positive,
                 strokes: Annotated[int, Field(ge=1)], centre: Literal["drawn", "middle"]) -> None:
        self.width, self.strokes, self.centre = width * image.width, strokes, centre
        self.size = torch.tensor([image.height, image.width])
        super().__init__(image, schedule, fill)

    def tabulate(self, u: np.ndarray) -> None:
        """log m for every offset from the centre: (T + 1, 2 height - 1, 2 width - 1)."""
        y, x = (np.arange(1 - n, n) for n in (self.image.height, self.image.width))
        distance = y[:, None] ** 2 + x**2
        sigma = self.width * np.arange(1, self.strokes + 1)[:, None, None]
        factor = 1 - np.exp(-0.5 * distance / sigma**2)
        stroke = np.log(np.maximum(factor, 1e-30))  # the centre is gone with the first stroke
        total = np.concatenate([np.zeros_like(stroke[:1]), np.cumsum(stroke, 0)])
        place = u * self.strokes
        whole = np.minimum(place.astype(int), self.strokes - 1)
        part = (place - whole)[:, None, None]
        self.logs = torch.from_numpy(total[whole] + part * stroke[whole]).float()

    def draw(self, random: Random) -> torch.Tensor | None:
        return random.uniform(2) if self.centre == "drawn" else None

    def visible(self, t: torch.Tensor, z: torch.Tensor | None, like: torch.Tensor) -> torch.Tensor:
        place = (self.size // 2).expand(len(like), 2) if z is None else (z * self.size).long()
        # pixel p lies p - centre away: the table's middle is offset 0
        rows, columns = ((n - 1 - place[:, i:i + 1]) + torch.arange(n, device=like.device)
                         for i, n in enumerate((self.image.height, self.image.width)))
        logs = self.logs[t[:, None, None], rows[:, :, None], columns[:, None, :]]
        return logs.exp().to(like.dtype)[:, None]
