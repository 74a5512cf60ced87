"""Animorphosis: each image turns into one of another data set (Bansal et al. 2022, section 5.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch

from kelvin.common.errors import KelvinError
from kelvin.common.files import as_uint8
from kelvin.degradations.base import ImageSpec, Random, degradations
from kelvin.degradations.graded import Graded

BANK = 512  # images of the other data set, kept with the weights


@degradations.register("morph")
class Morph(Graded):
    """x_t = (1 - u) x0 + u z, z an image of the data set that `blend` in params.yaml names."""

    can_estimate_z = True

    def __init__(self, image: ImageSpec, schedule: Mapping) -> None:
        self.bank: torch.Tensor | None = None
        super().__init__(image, schedule)

    def fit(self, x0: torch.Tensor, other: Callable[[], torch.Tensor]) -> None:
        self.bank = torch.from_numpy(as_uint8(self.image.decode(other()[:BANK])))
        super().fit(x0, other)

    def draw(self, random: Random) -> torch.Tensor:
        if self.bank is None:
            raise KelvinError("morph has no images to blend towards: fit it, or load weights that "
                              "carry them")
        chosen = (random.uniform(1)[:, 0] * len(self.bank)).long().to(self.bank.device)
        return self.image.encode(self.bank[chosen].float() / 255)

    def closed_form(self, u: np.ndarray) -> np.ndarray:
        return (1 - u) ** 2

    def apply(self, x0: torch.Tensor, t: torch.Tensor, z: torch.Tensor | None) -> torch.Tensor:
        u = self.severity(t, x0)
        return (1 - u) * x0 + u * z.to(x0.dtype)

    def estimate_z(self, x_t: torch.Tensor, x0_hat: torch.Tensor, t: torch.Tensor,
                   z: torch.Tensor | None = None) -> torch.Tensor:
        u = self.severity(t, x_t)
        return (x_t - (1 - u) * x0_hat) / u.clamp(min=1e-6)

    def tensors(self) -> dict[str, torch.Tensor]:
        return super().tensors() | ({} if self.bank is None else {"bank": self.bank})

    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        super().load(tensors)
        self.bank = tensors.get("bank")
