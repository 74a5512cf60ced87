"""Noise schedules: beta_t, alpha-bar_t and log-SNR_t for t = 0..T, in float64.

A schedule is a function of T = `steps` and its own options that returns beta_1..beta_T. Any of them
takes the option zero_terminal_snr (default false), which rescales it so that no signal is left at T, and
`tie` (variance or recoverability): what a degradation whose severity follows it has in common with its
noise at each t (kelvin.degradations.graded).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from kelvin.common.errors import KelvinError
from kelvin.config.registry import Registry

Steps = Annotated[int, Field(ge=1)]
Unit = Annotated[float, Field(gt=0, lt=1)]

schedules = Registry("schedule")
TIES = ("variance", "recoverability")
growths = Registry("schedule")  # of a severity u_0 = 0 .. u_T = 1, where no noise schedule is followed


@dataclass(frozen=True)
class NoiseSchedule:
    """A variance-preserving schedule; every array has T + 1 entries, index t = 0..T."""

    betas: np.ndarray  # beta_1..beta_T, shape (T,)

    @property
    def steps(self) -> int:
        return len(self.betas)

    @cached_property
    def beta(self) -> np.ndarray:
        """beta_t with beta_0 = 0 (no noise is added before the first step)."""
        return np.concatenate([[0.0], self.betas])

    @cached_property
    def alpha_bar(self) -> np.ndarray:
        """alpha-bar_t = prod_{s<=t} (1 - beta_s), alpha-bar_0 = 1 (Ho et al. 2020, eq. 4)."""
        return np.cumprod(1.0 - self.beta)

    @cached_property
    def log_snr(self) -> np.ndarray:
        """log(alpha-bar_t / (1 - alpha-bar_t)); +inf at t = 0 (Kingma et al. 2021, eq. 3)."""
        with np.errstate(divide="ignore"):
            return np.log(self.alpha_bar) - np.log1p(-self.alpha_bar)


def tie_of(section: Mapping[str, Any], where: str = "schedule") -> str:
    """The quantity that severity is tied by."""
    tie = section.get("tie", TIES[0])
    if tie not in TIES:
        raise KelvinError(f"{where}.tie = {tie!r}: it should be {' or '.join(TIES)}")
    return tie


def without_terminal(section: Mapping[str, Any], where: str = "schedule"
                     ) -> tuple[dict[str, Any], bool]:
    """A schedule's own section, and whether it is rescaled to a zero terminal SNR."""
    own = dict(section)
    tie_of(own, where)
    own.pop("tie", None)
    zero = own.pop("zero_terminal_snr", False)
    if not isinstance(zero, bool):
        raise KelvinError(f"{where}.zero_terminal_snr = {zero!r}: it should be true or false")
    return own, zero


def check_schedule(section: Mapping[str, Any], where: str = "schedule") -> None:
    """KelvinError for an unknown schedule or option."""
    schedules.check(without_terminal(section, where)[0], where)


def zero_terminal(betas: np.ndarray) -> np.ndarray:
    """Rescaled so that alpha-bar_T = 0 and alpha-bar_1 stays (Lin et al. 2024, Algorithm 1).

    sqrt(alpha-bar) is shifted by its last value and stretched to its old first one. beta_T is 1.
    KelvinError for a single step, where both ends are one.
    """
    if len(betas) < 2:
        raise KelvinError("schedule.zero_terminal_snr needs schedule.steps of 2 at least: with one step "
                          "the first signal, which it keeps, is the last")
    root = np.sqrt(np.cumprod(1 - betas))
    root = (root - root[-1]) * (root[0] / (root[0] - root[-1]))
    return np.concatenate([betas[:1], 1 - (root[1:] / root[:-1]) ** 2])


def build_schedule(section: Mapping[str, Any], where: str = "schedule") -> NoiseSchedule:
    """The noise schedule that a section of params.yaml names."""
    section, zero = without_terminal(section, where)
    betas = np.asarray(schedules.build(section, where=where), np.float64)
    if betas.ndim != 1 or not np.all((betas > 0) & (betas < 1)):
        raise KelvinError(f"{where}: every beta must lie inside (0, 1), but they run from "
                          f"{betas.min():g} to {betas.max():g}")
    return NoiseSchedule(zero_terminal(betas) if zero else betas)


@schedules.register("linear")
def linear(*, steps: Steps, beta_min: Unit, beta_max: Unit) -> np.ndarray:
    """Evenly spaced from beta_min to beta_max, both reached (Ho et al. 2020, section 4)."""
    return np.linspace(beta_min, beta_max, steps)


@schedules.register("linear-ramp")
def linear_ramp(*, steps: Steps, beta_min: Unit, beta_max: Unit) -> np.ndarray:
    """beta_t = beta_min + (t/T)(beta_max - beta_min), t = 1..T: beta_1 lies above beta_min."""
    return beta_min + np.arange(1, steps + 1) / steps * (beta_max - beta_min)


@schedules.register("quadratic")
def quadratic(*, steps: Steps, beta_min: Unit, beta_max: Unit) -> np.ndarray:
    """Square of evenly spaced roots (the "scaled linear" of Rombach et al. 2022)."""
    return np.linspace(beta_min**0.5, beta_max**0.5, steps) ** 2


@schedules.register("sigmoid")
def sigmoid(*, steps: Steps, beta_min: Unit, beta_max: Unit) -> np.ndarray:
    """A logistic curve over [-6, 6] from beta_min to beta_max (Xu et al. 2022, GeoDiff)."""
    return beta_min + (beta_max - beta_min) / (1 + np.exp(-np.linspace(-6, 6, steps)))


@schedules.register("cosine")
def cosine(*, steps: Steps, offset: Annotated[float, Field(ge=0)], beta_cap: Unit) -> np.ndarray:
    """alpha-bar follows a squared cosine, beta capped (Nichol and Dhariwal 2021, eq. 17)."""
    t = np.arange(steps + 1) / steps
    alpha_bar = np.cos((t + offset) / (1 + offset) * np.pi / 2) ** 2
    return np.clip(1 - alpha_bar[1:] / alpha_bar[:-1], 1e-12, beta_cap)


@schedules.register("matched")
def matched(*, steps: Steps, beta_min: Unit, alpha_bar_end: Unit) -> np.ndarray:
    """Linear, with beta_max solved so that alpha-bar_T = alpha_bar_end at any number of steps."""
    from scipy.optimize import brentq  # late: no other schedule needs it

    def excess(beta_max: float) -> float:
        return np.log1p(-np.linspace(beta_min, beta_max, steps)).sum() - np.log(alpha_bar_end)

    high = 1 - 1e-9
    if excess(beta_min) < 0 or excess(high) > 0:
        raise KelvinError(f"schedule.alpha_bar_end = {alpha_bar_end:g} cannot be reached in {steps} "
                          f"steps from beta_min = {beta_min:g}; lower beta_min or change the steps")
    return np.linspace(beta_min, brentq(excess, beta_min, high, xtol=1e-15, rtol=1e-14), steps)


@growths.register("own")
def own(*, steps: Steps) -> np.ndarray:
    """u_t = t / T: the degradation's own growth rule, whatever it makes of u."""
    return np.arange(steps + 1) / steps


@growths.register("power")
def power(*, steps: Steps, power: Annotated[float, Field(gt=0)]) -> np.ndarray:
    """u_t = (t / T)^power: above 1 slow at first, below 1 fast at first."""
    return (np.arange(steps + 1) / steps) ** power
