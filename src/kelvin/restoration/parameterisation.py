"""What a network predicts: its training target, and x0_hat from its prediction.

signal and noise are the process's coefficients at t: x_t = signal x0 + noise z.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from kelvin.degradations import Degradation
from kelvin.errors import KelvinError

Tensor = torch.Tensor


@dataclass(frozen=True)
class Parameterisation:
    """target(x0, z, signal, noise) and x0_hat(prediction, x_t, signal, noise)."""

    target: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
    x0_hat: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


PARAMETERISATIONS = {
    # the noise itself (Ho et al. 2020, eq. 14)
    "eps": Parameterisation(lambda x0, z, a, s: z, lambda p, x, a, s: (x - s * p) / a),
    # the image (Bansal et al. 2022, eq. 1)
    "x0": Parameterisation(lambda x0, z, a, s: x0, lambda p, x, a, s: p),
    # v = signal z - noise x0 (Salimans and Ho 2022, section 4)
    "v": Parameterisation(lambda x0, z, a, s: a * z - s * x0, lambda p, x, a, s: a * x - s * p),
}


def check(name: str, degradation: Degradation, where: str = "restorer.parameterisation") -> None:
    """KelvinError where the process gives this target no meaning."""
    if name not in degradation.parameterisations:
        raise KelvinError(f"{where} = {name!r} has no meaning for {type(degradation).__name__}; it "
                          f"takes {', '.join(degradation.parameterisations)}")


def coefficients(degradation: Degradation, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """signal and noise at t, (n, 1, 1, 1); 1 and 0 where the process is not Gaussian (x0 only)."""
    if not hasattr(degradation, "signal"):
        one = torch.ones(len(t), 1, 1, 1, dtype=like.dtype, device=like.device)
        return one, torch.zeros_like(one)
    return degradation.at(degradation.signal, t, like), degradation.at(degradation.noise, t, like)
