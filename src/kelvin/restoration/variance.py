"""A learned variance of p(x_s | x_t): an interpolation, in the log, between the two extremes.

Nichol and Dhariwal 2021, eq. 15: log Sigma = v log beta + (1 - v) log beta-tilde, v by pixel.
Their beta-tilde is the posterior's variance were x0 known, their beta the variance were x0 white noise of
unit variance; both are taken here for any s < t of any hot process, so that v serves a subset of steps
as well.
"""

from __future__ import annotations

import torch

from kelvin.common.errors import KelvinError
from kelvin.degradations import HotProcess


def bounds(process: HotProcess, t: torch.Tensor, s: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """log beta-tilde and log beta of the step from t to s < t, (n, 1, 1, 1), float64.

    At s = 0, where beta-tilde is 0, both are those of the step to 1 (as Nichol and Dhariwal's code).
    """
    t, s = t.clamp(min=2), s.clamp(min=1)
    a_s, var_s, var_t = process.gain(s, None), process.std(s).square(), process.std(t).square()
    ratio = process.gain(t, None) / a_s
    small = var_s * (1 - ratio.square() * var_s / var_t)
    white_s, white_t = a_s.square() + var_s, process.gain(t, None).square() + var_t
    large = white_s * (1 - ratio.square() * white_s / white_t)
    return small.log(), large.log()


def log_variance(process: HotProcess, v: torch.Tensor, t: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
    """log Sigma of p(x_s | x_t), in the model's range squared, (n, C, H, W), float64."""
    small, large = bounds(process, t, s)
    return small + v.double() * (large - small)


def check(variance: str, temperature: str, steps: int, kind: str, where: str = "restorer.variance"
          ) -> None:
    """KelvinError where a learned variance has no meaning."""
    if variance == "learned" and temperature != "hot":
        raise KelvinError(f"{where} = 'learned' lies between two variances of a hot process, but {kind} "
                          f"is {temperature}: set it to fixed")
    if variance == "learned" and steps < 2:
        raise KelvinError(f"{where} = 'learned' needs schedule.steps of 2 at least: the last step has no "
                          "variance to learn")
