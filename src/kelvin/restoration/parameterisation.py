"""What a network predicts: its training target, and x0_hat from its prediction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from kelvin.common.errors import KelvinError
from kelvin.degradations import Degradation, HotProcess
from kelvin.degradations.base import OF_ANY
from kelvin.restoration.linear_map import check as check_linear
from kelvin.restoration.linear_map import guess

if TYPE_CHECKING:
    from kelvin.degradations.gaussian import GaussianProcess

Tensor = torch.Tensor


@dataclass(frozen=True)
class Parameterisation:
    """target(process, x0, z, x_t, t) and x0_hat(process, prediction, x_t, t).

    previous(prediction, x_t), the mean of x_{t-1}, where that is what the network predicts.
    """

    target: Callable[[Degradation, Tensor, Tensor | None, Tensor, Tensor], Tensor]
    x0_hat: Callable[[Degradation, Tensor, Tensor, Tensor], Tensor]
    previous: Callable[[Tensor, Tensor], Tensor] | None = None
    adds: bool = False  # x0_hat is a known image plus the prediction


def scalar(target: Callable, x0_hat: Callable) -> Parameterisation:
    """Of a hot process, whose signal a and noise s are numbers: target(x0, z, a, s) and
    x0_hat(prediction, x_t, a, s)."""
    def coefficients(process: GaussianProcess, t: torch.Tensor,
                     like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return process.gain(t, None).to(like.dtype), process.std(t).to(like.dtype)

    return Parameterisation(
        lambda process, x0, z, x_t, t: target(x0, z, *coefficients(process, t, x0)),
        lambda process, p, x_t, t: x0_hat(p, x_t, *coefficients(process, t, x_t)))


def sharpened(process: Degradation, previous: Tensor, t: Tensor) -> Tensor:
    """x0_hat from the mean of x_{t-1}: its blur undone by a Wiener filter, a / (a^2 + noise^2).

    Frequencies that the blur put below the process's own noise stay away; exact at t = 1.
    """
    gain, level = process.gain(t - 1, None), process.std(t) * (t > 1).view(-1, 1, 1, 1)
    # the noise in units of the data's range (about unit variance per frequency at most)
    wiener = (gain / (gain.square() + level.square())).to(previous.dtype)
    return process.from_basis(wiener * process.to_basis(previous))


LINEAR = "linear+"
PARAMETERISATIONS = {
    # the noise itself (Ho et al. 2020, eq. 14)
    "eps": scalar(lambda x0, z, a, s: z, lambda p, x, a, s: (x - s * p) / a),
    # the noise as it lies in x_t, sqrt(1 - abar_t) eps (study E)
    "scaled-eps": scalar(lambda x0, z, a, s: s * z, lambda p, x, a, s: (x - p) / a),
    # the image (Bansal et al. 2022, eq. 1)
    "x0": Parameterisation(lambda process, x0, z, x_t, t: x0, lambda process, p, x_t, t: p),
    # v = signal z - noise x0 (Salimans and Ho 2022, section 4)
    "v": scalar(lambda x0, z, a, s: a * z - s * x0, lambda p, x, a, s: a * x - s * p),
    # z - x0: the velocity of a straight line (Liu et al. 2023, eq. 1), at any signal and noise
    "velocity": scalar(lambda x0, z, a, s: z - x0, lambda p, x, a, s: (x - s * p) / (a + s)),
    # A_{t-1} x0 - x_t: the step back to the mean of x_{t-1} (Rissanen et al. 2023, eq. 9)
    "previous": Parameterisation(
        lambda process, x0, z, x_t, t: process.mean(x0, t - 1, z) - x_t,
        lambda process, p, x_t, t: sharpened(process, x_t + p, t),
        previous=lambda p, x_t: x_t + p),
    # x0 - x_t: what the degradation took
    "residual": Parameterisation(lambda process, x0, z, x_t, t: x0 - x_t,
                                 lambda process, p, x_t, t: x_t + p, adds=True),
    # x0 less what linear least squares makes of x_t
    LINEAR: Parameterisation(lambda process, x0, z, x_t, t: x0 - guess(process, x_t, t),
                             lambda process, p, x_t, t: guess(process, x_t, t) + p, adds=True),
}


def check(name: str, degradation: Degradation, where: str = "restorer.parameterisation") -> None:
    """KelvinError where the process gives this target no meaning."""
    if name not in degradation.parameterisations:
        raise KelvinError(f"{where} = {name!r} has no meaning for {type(degradation).__name__}; it "
                          f"takes {', '.join(degradation.parameterisations)}")
    if isinstance(degradation, HotProcess):
        silent = torch.nonzero(degradation.noise[1:].float() == 0).flatten().tolist()
        if silent:
            raise KelvinError(f"{type(degradation).__name__} adds no noise at t = {silent[0] + 1} of "
                              f"{degradation.steps} that 32-bit numbers hold, and samplers divide by it: "
                              "raise the first betas of the schedule")
        if name not in OF_ANY:  # the others divide by the signal
            check_signal(f"{where} = {name!r}", PARAMETERISATIONS[name].x0_hat, degradation)
    if name == LINEAR:
        check_linear(degradation, where)


def check_signal(what: str, x0_hat: Callable[[Degradation, Tensor, Tensor, Tensor], Tensor],
                 process: HotProcess) -> None:
    """KelvinError where x0_hat(process, prediction, x_t, t) overflows at some t: it is a quotient by the
    signal, and none is left in float32, in which it is divided."""
    t = torch.arange(1, process.steps + 1, device=process.device)
    one = torch.ones(len(t), 1, 1, 1, device=process.device)
    lost = t[~torch.isfinite(x0_hat(process, -one, one, t)).flatten()].tolist()
    if not lost:
        return
    signal = float(process.signal[lost[0]])
    if signal == 0 and lost == [process.steps]:
        where = "at T, where schedule.zero_terminal_snr leaves no signal to divide by"
    else:
        where = (f"at t = {lost[0]} of {process.steps}, where the schedule leaves a signal of "
                 f"{signal:.3g}, by which 32-bit numbers cannot be divided")
    raise KelvinError(f"{what} cannot be turned into x0_hat {where}: predict v or x0")
