"""Training losses between a prediction and its target, and their weights over time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import Field

from kelvin.common.errors import KelvinError
from kelvin.config.registry import Registry
from kelvin.degradations import Degradation
from kelvin.restoration.parameterisation import Parameterisation

# weight of an image's loss at its time: (process, parameterisation) -> (T + 1,) float32, [0] unused
weightings = Registry("weighting")

LOSSES = {
    "l1": F.l1_loss,  # Bansal et al. 2022
    "l2": F.mse_loss,  # Ho et al. 2020, eq. 14
    "huber": F.smooth_l1_loss,
}


def loss_per_image(name: str, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean over pixels, shape (n,)."""
    return LOSSES[name](prediction.float(), target, reduction="none").flatten(1).mean(1)


def snr_and_slope(process: Degradation,
                  parameterisation: Parameterisation) -> tuple[torch.Tensor, torch.Tensor]:
    """SNR_t and d x0_hat / d prediction at t = 1..T, both (T,) float64, of a hot process.

    x0_hat is linear in the prediction: the slope turns the target's error into x0's.
    """
    t = torch.arange(1, process.steps + 1, device=process.device)
    snr = (process.gain(t, None) / process.std(t)).square().flatten()
    if parameterisation.adds:
        return snr, torch.ones_like(snr)
    one = torch.ones(len(t), 1, 1, 1, dtype=torch.float64, device=process.device)
    slope = (parameterisation.x0_hat(process, one, 0 * one, t)
             - parameterisation.x0_hat(process, 0 * one, 0 * one, t)).flatten()
    return snr, slope


def build_weights(section: Mapping[str, Any], process: Degradation, parameterisation: Parameterisation,
                  where: str = "training") -> torch.Tensor:
    """Weights (T + 1,) float32 of the weighting that a section names; KelvinError where one is not
    finite."""
    weights = weightings.build(section, process, parameterisation)
    lost = torch.nonzero(~torch.isfinite(weights)).flatten().tolist()
    if lost:
        raise KelvinError(f"{where}.weighting = {section['kind']!r} has no finite weight at t = {lost[0]}"
                          f" of {process.steps}, where the schedule leaves too little signal or noise: "
                          "set weighting to simple, or change the schedule")
    return weights


def over_times(weights: torch.Tensor) -> torch.Tensor:
    """Weights of t = 1..T with an unused zero before them, float32."""
    return torch.cat([weights.new_zeros(1), weights]).float()


@weightings.register("simple")
def simple(process: Degradation, parameterisation: Parameterisation) -> torch.Tensor:
    """Every time alike (Ho et al. 2020, eq. 14)."""
    return torch.ones(process.steps + 1)


@weightings.register("vlb")
def vlb(process: Degradation, parameterisation: Parameterisation) -> torch.Tensor:
    """The bound's own: weight times squared error of the target is L_{t-1}, up to one factor for all t.

    In x0 units 0.5 (SNR_{t-1} - SNR_t) (Kingma et al. 2021, eq. 13); at t = 1 the Gaussian in L_0
    gives 0.5 SNR_1 (its variance is 1 / SNR_1, see kelvin.sampling.likelihood). Scaled to mean 1
    over t = 1..T, so that a learning rate means about the same under either weighting.
    """
    snr, slope = snr_and_slope(process, parameterisation)
    weights = torch.cat([snr[:1], snr[:-1] - snr[1:]]) * slope.square()
    return over_times(weights / weights.mean())


@weightings.register("min-snr")
def min_snr(process: Degradation, parameterisation: Parameterisation, *,
            gamma: Annotated[float, Field(gt=0)] = 5.0) -> torch.Tensor:
    """min(SNR_t, gamma) on x0's squared error, in the units of any target (Hang et al. 2023, eq. 8).

    So min(SNR, gamma) / SNR for eps and min(SNR, gamma) / (SNR + 1) for v. Not scaled.
    """
    snr, slope = snr_and_slope(process, parameterisation)
    return over_times(snr.clamp(max=gamma) * slope.square())


@weightings.register("p2")
def p2(process: Degradation, parameterisation: Parameterisation, *,
       k: Annotated[float, Field(gt=0)] = 1.0,
       gamma: Annotated[float, Field(ge=0)] = 1.0) -> torch.Tensor:
    """1 / (k + SNR_t)^gamma on eps's squared error, in the units of any target (Choi et al. 2022, eq. 8).

    The squared error of eps is SNR_t times that of x0. Not scaled.
    """
    snr, slope = snr_and_slope(process, parameterisation)
    return over_times(snr * slope.square() / (k + snr) ** gamma)


def check_weighting(section: Mapping[str, Any], loss: str, process: type[Degradation] | Degradation,
                    kind: str, where: str = "training") -> None:
    """KelvinError for an unknown option, or where the weights have no meaning.

    All but simple are functions of one signal-to-noise ratio per time, which hot processes have: a
    warm one has a ratio for each coefficient. vlb is a bound in squared errors.
    """
    weightings.check(section, f"{where}.weighting")
    name = section["kind"]
    if name in ("vlb", "min-snr", "p2") and process.temperature != "hot":
        means = "likelihood bound" if name == "vlb" else "signal-to-noise ratio"
        raise KelvinError(f"{where}.weighting = {name!r} weights by the {means} of a hot process, "
                          f"but {kind} is {process.temperature}: set weighting to simple")
    if name == "vlb" and loss != "l2":
        raise KelvinError(f"{where}.weighting = 'vlb' weights squared errors, but {where}.loss = {loss!r}"
                          ": set loss to l2, or weighting to simple")
