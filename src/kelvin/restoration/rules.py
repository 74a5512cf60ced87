"""How study E turned the predicted scaled noise sqrt(1 - abar_t) eps into an image, and what is exact."""

from __future__ import annotations

import torch

from kelvin.degradations import Degradation
from kelvin.errors import KelvinError

EXACT, STUDY_E, UNSCALED = "exact", "study-e", "unscaled"
RULES = (EXACT, STUDY_E, UNSCALED)


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


def check_rule(rule: str, parameterisation: str, where: str = "restorer.rule") -> None:
    """KelvinError where a rule other than the exact one meets another target."""
    if rule != EXACT and parameterisation != "scaled-eps":
        raise KelvinError(f"{where} = {rule!r} goes with restorer.parameterisation = 'scaled-eps' only, "
                          f"not with {parameterisation!r}; choose exact")
