"""Degradations of a continuous severity u in [0, 1]; the schedule says which u each t has.

Own growth (`own`, `power`) names u_t directly. Under a noise schedule severity is *tied*: u_t is
solved so that the signal variance left, S_t, equals alpha-bar_t, as if the schedule's noise had been
added (`tie: variance`), or so that linear least squares gets as much of an image back from 8 bits as
from that noise (`tie: recoverability`, kelvin.degradations.recoverability). As functions of u both may
jump (a mask loses whole pixels) or rise (snow may add contrast before it hides), so u_t is a first
passage: the smallest u that leaves no more than the wanted value.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from kelvin.common.errors import KelvinError
from kelvin.degradations.base import Degradation, ImageSpec
from kelvin.degradations.recoverability import Moments, rounding
from kelvin.degradations.signal import LEAST, Pairs, enough_pairs, measured
from kelvin.schedules import build_schedule, growths, tie_of

LEVELS = 128  # intervals of the first grid of severities on which u_t is solved
ROUNDS = 20  # of refinement, every second one a bisection: intervals shrink 500 times at least


def geometric(u: Any, start: float, end: float, from_zero: bool) -> Any:
    """A width that grows with severity u (a number, array or tensor): start (end / start)^u.

    from_zero: start ((1 + end / start)^u - 1), which grows as fast from 0, where nothing is degraded,
    and ends the same: tied severities must leave any signal variance below 1, however near.
    KelvinError for a start above the end: a degradation does not shrink.
    """
    ratio = end / start
    if ratio < 1:
        raise KelvinError(f"degradation.sigma_start is {1 / ratio:.4g} times sigma, but a width grows "
                          "from sigma_start to sigma: lower it, or raise sigma")
    return start * ((1 + ratio) ** u - 1) if from_zero else start * ratio**u


class Graded(Degradation):
    """A degradation whose x_t depends on t through its severity u_t alone (u = 0: untouched)."""

    def __init__(self, image: ImageSpec, schedule: Mapping[str, Any]) -> None:
        self.image = image
        self.tied = schedule["kind"] not in growths.kinds()
        if self.tied:
            self.alpha_bar = torch.from_numpy(build_schedule(schedule).alpha_bar)
            self.tie = tie_of(schedule)
        u = np.linspace(0, 1, len(self.alpha_bar)) if self.tied else growths.build(schedule)
        self.steps = len(u) - 1
        self.variance: torch.Tensor | None = None
        # under `tie: recoverability` what is wanted and what is reached, (T + 1,); else S_t serves
        self.wanted: torch.Tensor | None = None
        self.reached: torch.Tensor | None = None
        self.follow(u)

    def follow(self, u: np.ndarray) -> None:
        """Set the severities u_0 = 0 .. u_T."""
        # float64 throughout: a block's centre or a mask's edge may hang on the last digit of u
        u = np.array(u, np.float64)
        self.steps, self.u = len(u) - 1, torch.from_numpy(u)
        self.tabulate(u)

    def tabulate(self, u: np.ndarray) -> None:  # noqa: B027
        """Precompute what depends on t alone, (T + 1, ...), from the severities u (T + 1,)."""

    @abstractmethod
    def apply(self, x0: torch.Tensor, t: torch.Tensor, z: torch.Tensor | None) -> torch.Tensor:
        """x_t for t > 0; the value at t = 0 is not used."""

    def degrade(self, x0: torch.Tensor, t: torch.Tensor, z: torch.Tensor | None = None) -> torch.Tensor:
        return torch.where(self.wide(t == 0), x0, self.apply(x0, t, z))

    def severity(self, t: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """u_t in the dtype of `like`, (n, 1, 1, 1)."""
        return self.wide(self.u[t].to(like.dtype))

    @staticmethod
    def wide(values: torch.Tensor) -> torch.Tensor:
        """(n,) -> (n, 1, 1, 1)."""
        return values.view(-1, 1, 1, 1)

    def fit(self, x0: torch.Tensor, other: Callable[[], torch.Tensor]) -> None:
        """Measure the signal variance on training images and, where tied, solve u_t for it."""
        if len(x0) < 2:
            raise KelvinError("the signal variance of a degradation needs two training images at least")
        probe = copy.copy(self)
        pairs = self.pairs(x0)
        if self.tied:
            if self.tie == "recoverability":
                data = Moments(self, x0)
                self.wanted = data.noise(self.alpha_bar.cpu().sqrt(),
                                         1 - self.alpha_bar.cpu() + rounding(self.image))
                self.wanted[0] = 1.0

            def left(u: np.ndarray) -> np.ndarray:
                probe.follow(np.concatenate([[0.0], u]))  # time 0 is the image itself, whatever u
                if self.wanted is None:
                    return probe.left(pairs)[1:].numpy()
                return data.of(probe, torch.arange(1, len(u) + 1)).numpy()

            wanted = self.alpha_bar if self.wanted is None else self.wanted
            self.follow(solve(left, wanted.cpu().numpy()))
            if self.wanted is not None:
                self.reached = data.of(self, torch.arange(self.steps + 1))
        self.variance = self.left(pairs)

    def pairs(self, x0: torch.Tensor) -> Pairs | None:
        """Image pairs to measure S_t on; None where S_t has a closed form."""
        if self.closed_form(self.u.cpu().numpy()) is not None:
            return None
        probe = copy.copy(self)
        probe.follow(np.linspace(0, 1, LEVELS // 16 + 1))
        least = float(self.alpha_bar.min()) if self.tied else 0.0
        return enough_pairs(probe, x0, self.stand_ins(x0), max(LEAST, least))

    def stand_ins(self, x0: torch.Tensor) -> torch.Tensor | None:
        """Differences (k, C, H, W) that stand for all pairs of the training images x0 where x_t is linear
        in x0 (kelvin.degradations.signal), a single one where there is z; None: pairs of x0 are used."""
        return None

    def closed_form(self, u: np.ndarray) -> np.ndarray | None:
        """S at the severities u, (k,), where it is the same for all images; None: it is measured."""
        return None

    def left(self, pairs: Pairs | None) -> torch.Tensor:
        """S_t, (T + 1,) float64, at the current severities."""
        variance = self.closed_form(self.u.cpu().numpy())
        return measured(self, *pairs) if variance is None else torch.from_numpy(variance)

    def signal_variance(self) -> torch.Tensor:
        if self.variance is None:
            raise KelvinError(f"{type(self).__name__}: the signal variance is measured on training "
                              "images: call fit first, or load weights that carry it")
        return self.variance

    def clamped_from(self) -> int | None:
        """The first t whose wanted value lies below all that the degradation can reach, from which on u_t
        is constant; None where every value is reached."""
        if not self.tied:
            return None
        aim, left = self.alpha_bar, self.signal_variance()
        if self.wanted is not None and self.reached is not None:
            aim, left = self.wanted, self.reached
        wanted = aim.cpu().numpy()
        short = np.flatnonzero(left.cpu().numpy() > wanted + tolerance(wanted))
        return int(short[0]) if len(short) else None

    def tensors(self) -> dict[str, torch.Tensor]:
        if self.variance is None:
            return {}
        out = {"severity": self.u, "variance": self.variance}
        return out if self.wanted is None else out | {"wanted": self.wanted, "reached": self.reached}

    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        if "severity" in tensors:
            self.follow(tensors["severity"].double().cpu().numpy())
            self.variance = tensors["variance"]
            self.wanted, self.reached = tensors.get("wanted"), tensors.get("reached")


def tolerance(alpha_bar: np.ndarray) -> np.ndarray:
    """By how much S_t may miss alpha-bar_t: a thousandth of the signal left or of the signal lost,
    whichever is less, and never below 1e-6, the rounding of float32 images."""
    return np.maximum(1e-3 * np.minimum(alpha_bar, 1 - alpha_bar), 1e-6)


def solve(left: Callable[[np.ndarray], np.ndarray], wanted: np.ndarray) -> np.ndarray:
    """u_t = min {u in [0, 1]: left(u) <= wanted_t}, (T + 1,), non-decreasing where wanted falls.

    left: severities (k,) -> the signal variance at each, 1 at 0. Where it is continuous, left(u_t)
    lies within `tolerance` below wanted_t; where it jumps past wanted_t, u_t is the far side of the
    jump. Where a wanted value lies below all of left, u_t is the largest u at the minimum of left.
    """
    u, values, slack = np.array([0.0]), np.array([1.0]), tolerance(wanted)
    new = np.linspace(0, 1, LEVELS + 1)[1:]
    for trial in range(ROUNDS):
        u, values = np.concatenate([u, new]), np.concatenate([values, left(new)])
        order = np.argsort(u, kind="stable")
        u, values = u[order], values[order]
        # the first severity so far that leaves no more than is wanted; len(u): there is none
        first = np.searchsorted(-np.minimum.accumulate(values), -wanted)
        crossed = (first > 0) & (first < len(u))
        coarse = np.flatnonzero(crossed & (np.append(values, 0.0)[first] < wanted - slack))
        inside, aim = first[coarse], (wanted - slack / 2)[coarse]
        low, high = values[inside - 1], values[inside]
        share = (low - aim) / (low - high) if trial % 2 == 0 else 0.5
        new = np.unique(u[inside - 1] + share * (u[inside] - u[inside - 1]))
        new = new[~np.isin(new, u)]
        if len(new) == 0:
            break
    least = values.min()
    strongest = u[values <= least + tolerance(least)].max()
    return np.append(u, strongest)[first]
