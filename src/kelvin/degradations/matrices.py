"""Degradations that are one small matrix per axis: x_t = R_t x0 C_t^T.

The matrices of all t are computed once, in float64; a batch of mixed times is one batched product.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field

from kelvin.degradations.base import ImageSpec, degradations
from kelvin.degradations.graded import Graded
from kelvin.degradations.signal import of_components


class AxisMatrices(Graded):
    """`matrices(n, u, axis)` gives (T + 1, n, n) for an axis ("rows", "columns") of n pixels."""

    @abstractmethod
    def matrices(self, n: int, u: np.ndarray, axis: str) -> np.ndarray:
        """What multiplies the images along an axis, for severities u (T + 1,)."""

    def tabulate(self, u: np.ndarray) -> None:
        self.rows, self.columns = (
            torch.from_numpy(np.asarray(self.matrices(n, u, axis), np.float32))
            for n, axis in ((self.image.height, "rows"), (self.image.width, "columns")))

    def stand_ins(self, x0: torch.Tensor) -> torch.Tensor:
        return of_components(x0)

    def apply(self, x0: torch.Tensor, t: torch.Tensor, z: torch.Tensor | None) -> torch.Tensor:
        x0 = x0 - self.image.low  # black is the zero of a border of zeros
        product = self.rows[t].to(x0.dtype)[:, None] @ x0 @ self.columns[t].to(x0.dtype).mT[:, None]
        return product + self.image.low


@degradations.register("pixelate")
class Pixelate(AxisMatrices):
    """Blocks that grow by a factor: (width / blocks)^u pixels a side, `blocks` of them left at u = 1.

    antialiased: a block shows its average, and a pixel that lies in two blocks shows both in
    proportion (area resampling down and up), so that x_t changes smoothly with u; else a block shows
    the pixel at its centre, and x_t jumps. Blocks need not be whole pixels; where they are, this is
    downsampling and nearest-neighbour upsampling (Bansal et al. 2022, pixelate).
    """

    def __init__(self, image: ImageSpec, schedule: Mapping, *,
                 blocks: Annotated[int, Field(ge=1)], antialiased: bool) -> None:
        self.blocks, self.antialiased = blocks, antialiased
        super().__init__(image, schedule)

    def matrices(self, n: int, u: np.ndarray, axis: str) -> np.ndarray:
        side = max(n / self.blocks, 1.0) ** u[:, None]  # (T + 1, 1), in pixels
        pixel = np.arange(n)
        if self.antialiased:
            edge = np.minimum(np.arange(n + 1) * side, n)[..., None]  # no side is below a pixel
            cover = (np.minimum(edge[:, 1:], pixel + 1) - np.maximum(edge[:, :-1], pixel)).clip(0)
            return cover.mT @ (cover / cover.sum(-1, keepdims=True).clip(1e-12))
        # rounding keeps a side that should divide n from leaving a sliver of a block at the end
        block = np.floor((pixel + 0.5) / side + 1e-9)  # the block each pixel lies in
        start, end = block * side, np.minimum((block + 1) * side, n)
        centre = np.minimum(np.floor((start + end) / 2 + 1e-9), n - 1)
        return (centre[..., None] == pixel).astype(np.float64)


@degradations.register("averaging")
class Averaging(AxisMatrices):
    """Each row (or column, or both) fades to its average: (1 - u) x + u mean along that axis."""

    def __init__(self, image: ImageSpec, schedule: Mapping, *,
                 of: Literal["rows", "columns", "both"]) -> None:
        self.of = of
        super().__init__(image, schedule)

    def matrices(self, n: int, u: np.ndarray, axis: str) -> np.ndarray:
        # the average of a row runs over the columns' axis
        used = self.of == "both" or self.of != axis
        share = u[:, None, None] * used
        return (1 - share) * np.eye(n) + share / n
