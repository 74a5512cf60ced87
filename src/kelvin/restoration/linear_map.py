"""The linear restorer of each t within a network: x0_hat = x_t W_t + b_t + network (target linear+).

The network learns only what least squares cannot do. The maps are tensors of the process, so that
they are saved with the weights and move with it; kelvin.training.fitting fits them with the prior.
"""

from __future__ import annotations

import torch

from kelvin.common.errors import KelvinError
from kelvin.degradations import Degradation

MOST = 2**27  # numbers in the maps of all t: 512 MiB


def put(process: Degradation, weights: torch.Tensor, offsets: torch.Tensor) -> None:
    """Give the process its maps: weights (T, d, d), offsets (T, d), t = 1..T, d = pixels x channels."""
    process.linear_weights, process.linear_offsets = weights.float(), offsets.float()


def tensors(process: Degradation) -> dict[str, torch.Tensor]:
    """The maps, to be saved; {} where the process has none."""
    weights, offsets = process.linear_weights, process.linear_offsets
    return {} if weights is None or offsets is None else {"weights": weights, "offsets": offsets}


def load(process: Degradation, saved: dict[str, torch.Tensor]) -> None:
    """Load the maps."""
    if saved:
        put(process, saved["weights"], saved["offsets"])


def guess(process: Degradation, x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """x_t W_t + b_t, (n, C, H, W), for t >= 1; KelvinError where nothing was fitted."""
    weights, offsets = process.linear_weights, process.linear_offsets
    if weights is None or offsets is None:
        raise KelvinError("restorer.parameterisation = 'linear+' adds to a fitted linear restorer: "
                          "fit it to training images, or load weights that carry it")
    flat = x_t.flatten(1).to(weights.dtype)
    out = (flat[:, None] @ weights[t - 1])[:, 0] + offsets[t - 1]
    return out.view_as(x_t).to(x_t.dtype)


def check(process: Degradation, where: str) -> None:
    """KelvinError where the maps would not fit into memory."""
    channels, height, width = process.image.shape
    d = channels * height * width
    if process.steps * d * d > MOST:
        raise KelvinError(f"{where} = 'linear+' keeps a matrix of {d:,} x {d:,} for each of "
                          f"{process.steps} times, more than 512 MiB: choose residual, a shorter "
                          "process or smaller images")
