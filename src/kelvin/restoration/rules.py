"""Ways to turn the predicted scaled noise sqrt(1 - abar_t) eps into an image: the exact one, study E's,
and two suspected of its dark samples."""

from __future__ import annotations

from functools import partial

import torch

from kelvin.common.errors import KelvinError
from kelvin.degradations import Degradation, HotProcess
from kelvin.restoration.parameterisation import check_signal

EXACT, STUDY_E, UNSCALED, AS_EPS = "exact", "study-e", "unscaled", "as-eps"
RULES = (EXACT, STUDY_E, UNSCALED, AS_EPS)


def restore(rule: str, process: Degradation, prediction: torch.Tensor, x_t: torch.Tensor, t: torch.Tensor
            ) -> torch.Tensor:
    """x0_hat (n, C, H, W) of a prediction of the target scaled-eps by a rule other than the exact one.

    as-eps takes the prediction for eps itself, x0_hat = (x_t - sqrt(1 - abar_t) prediction) /
    sqrt(abar_t), as ancestral sampling does where the scaled noise stands in Ho et al. 2020, Algorithm 2,
    line 4. The others are factor(t) (x_t - prediction).
    """
    if rule == AS_EPS:
        noise, signal = process.std(t), process.gain(t, None)
        return (x_t - noise.to(x_t.dtype) * prediction) / signal.to(x_t.dtype)
    return factor(rule, process, t).to(x_t.dtype) * (x_t - prediction)


def factor(rule: str, process: Degradation, t: torch.Tensor) -> torch.Tensor:
    """f_t of x0_hat = f_t (x_t - prediction) for the target scaled-eps; (n, 1, 1, 1), double.

    exact: 1 / sqrt(abar_t). study-e: (1 / sqrt(alpha_t) - 1) * 8 * (t / 50)^2 + 1 with
    alpha_t = 1 - beta_t = abar_t / abar_{t-1}. unscaled: 1, the factor left out.
    """
    signal = process.gain(t, None).double().view(-1, 1, 1, 1)
    if rule == EXACT:
        return 1 / signal
    if rule == UNSCALED:
        return torch.ones_like(signal)
    root_alpha = signal / process.gain(t - 1, None).double().view(-1, 1, 1, 1)
    return (1 / root_alpha - 1) * 8 * (t.double().view(-1, 1, 1, 1) / 50) ** 2 + 1


def check_rule(rule: str, parameterisation: str, where: str = "restorer.rule",
               process: Degradation | None = None) -> None:
    """KelvinError where a rule other than the exact one meets another target, or, with the process given,
    divides by no signal."""
    if rule == EXACT:
        return
    if parameterisation != "scaled-eps":
        raise KelvinError(f"{where} = {rule!r} goes with restorer.parameterisation = 'scaled-eps' only, "
                          f"not with {parameterisation!r}; choose exact")
    if isinstance(process, HotProcess):
        check_signal(f"{where} = {rule!r}", partial(restore, rule), process)
