"""Training losses between a prediction and its target, and their weights over time."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from kelvin.degradations import Degradation
from kelvin.errors import KelvinError
from kelvin.restoration.parameterisation import Parameterisation

LOSSES = {
    "l1": F.l1_loss,  # Bansal et al. 2022
    "l2": F.mse_loss,  # Ho et al. 2020, eq. 14
    "huber": F.smooth_l1_loss,
}


def loss_per_image(name: str, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean over pixels, shape (n,)."""
    return LOSSES[name](prediction.float(), target, reduction="none").flatten(1).mean(1)


def simple(process: Degradation, parameterisation: Parameterisation) -> torch.Tensor:
    """Every time alike (Ho et al. 2020, eq. 14)."""
    return torch.ones(process.steps + 1)


def vlb(process: Degradation, parameterisation: Parameterisation) -> torch.Tensor:
    """The bound's own: weight times squared error of the target is L_{t-1}, up to one factor for all t.

    In x0 units 0.5 (SNR_{t-1} - SNR_t) (Kingma et al. 2021, eq. 13); at t = 1 the Gaussian in L_0
    gives 0.5 SNR_1 (its variance is 1 / SNR_1, see kelvin.restoration.likelihood). Scaled to mean 1
    over t = 1..T, so that a learning rate means about the same under either weighting.
    """
    t = torch.arange(1, process.steps + 1, device=process.device)
    snr = (process.gain(t, None) / process.std(t)).square().flatten()
    # x0_hat is linear in the prediction: its slope turns the target's error into x0's
    one = torch.ones(len(t), 1, 1, 1, dtype=torch.float64, device=process.device)
    slope = (parameterisation.x0_hat(process, one, 0 * one, t)
             - parameterisation.x0_hat(process, 0 * one, 0 * one, t)).flatten()
    weights = torch.cat([snr[:1], snr[:-1] - snr[1:]]) * slope.square()
    return torch.cat([weights.new_zeros(1), weights / weights.mean()]).float()


# weight of an image's loss at its time: (process, parameterisation) -> (T + 1,) float32, [0] unused
WEIGHTINGS = {"simple": simple, "vlb": vlb}


def check_weighting(name: str, loss: str, process: type[Degradation] | Degradation, kind: str,
                    where: str = "training") -> None:
    """KelvinError where the weights have no meaning: vlb is a bound of hot processes, in squares.

    A warm process has a bound too, but one weight for each coefficient, not one for each time.
    """
    if name == "vlb" and process.temperature != "hot":
        raise KelvinError(f"{where}.weighting = 'vlb' weights by the likelihood bound of a hot process, "
                          f"but {kind} is {process.temperature}: set weighting to simple")
    if name == "vlb" and loss != "l2":
        raise KelvinError(f"{where}.weighting = 'vlb' weights squared errors, but {where}.loss = {loss!r}"
                          ": set loss to l2, or weighting to simple")
