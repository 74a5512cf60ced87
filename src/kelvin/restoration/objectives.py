"""Training losses between a prediction and its target."""

from __future__ import annotations

import torch
import torch.nn.functional as F

LOSSES = {
    "l1": F.l1_loss,  # Bansal et al. 2022
    "l2": F.mse_loss,  # Ho et al. 2020, eq. 14
    "huber": F.smooth_l1_loss,
}


def loss_per_image(name: str, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean over pixels, shape (n,)."""
    return LOSSES[name](prediction.float(), target, reduction="none").flatten(1).mean(1)
