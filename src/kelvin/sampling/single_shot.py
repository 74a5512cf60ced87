"""Study E's measurements: single-shot restoration at many t by each rule, what ancestral sampling does to
an image's brightness under each, and a sampler that may have caused its black samples."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from kelvin.artifacts.names import CLIPPED, FED_BACK, way
from kelvin.degradations import GaussianProcess, State
from kelvin.degradations.base import Stream
from kelvin.restoration.restorer import Restorer
from kelvin.restoration.rules import EXACT, RULES
from kelvin.sampling.samplers import sampler
from kelvin.sampling.trajectories import degrader, traced
from kelvin.sampling.walk import Walk

ANCESTRAL = {"kind": "ancestral", "steps": "all"}
FED = {"kind": "fed-back", "steps": "all"}
NEAR_BLACK = 0.05  # a pixel whose channels are all below this share of the range


def rules_of(restorer: Restorer) -> Sequence[str]:
    """The rules that have a meaning for its target, the exact one first."""
    scaled = restorer.target_name == "scaled-eps"
    return RULES if scaled else (EXACT,)


def by_rule(restorer: Restorer, rule: str, clip: bool) -> Restorer:
    """The same network under another rule."""
    other = copy.copy(restorer)
    other.rule, other.clip = rule, clip
    return other


def times(T: int, step: int) -> list[int]:
    """step, 2 step, ..., and T at the end, be it a multiple of step or not."""
    return [*range(step, T, step), T]


@torch.no_grad()
def single_shot(restorer: Restorer, images: torch.Tensor, seed: tuple, at: Sequence[int]
                ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """x_t and x0_hat by rule, each (times, n, C, H, W) in [0, 1], of images in [0, 1].

    One prediction serves all rules; x0_hat is clipped to the range, as any picture of it is.
    """
    degrade, decode = degrader(restorer, images, seed), restorer.image.decode
    degraded: list[torch.Tensor] = []
    x0_hats: dict[str, list] = {rule: [] for rule in rules_of(restorer)}
    for time in at:
        x_t = degrade(time)[0].x
        t = torch.full((len(images),), time, device=images.device)
        prediction = restorer.predict(x_t, t).float()
        degraded.append(decode(x_t))
        for rule in x0_hats:
            x0_hats[rule].append(decode(by_rule(restorer, rule, False).x0_hat(prediction, x_t, t)))
    return torch.stack(degraded).cpu(), {rule: torch.stack(x).cpu() for rule, x in x0_hats.items()}


@dataclass(frozen=True)
class Brightness:
    """Along ancestral sampling, of n images clipped to their range as when drawn: `mean`, 0 black, 1
    white; `unmapped`, the mean where the network's range is drawn as if it were [0, 1]; `finite`, the
    share of pixels that are finite numbers; `black`, the share of near-black pixels. Each (times, n).
    `first`, (times, C, H, W) in [0, 1]: the first image. NaN counts as black, as in 8-bit images."""

    mean: torch.Tensor
    unmapped: torch.Tensor
    finite: torch.Tensor
    black: torch.Tensor
    first: torch.Tensor


def brightness(restorer: Restorer, n: int, seed: tuple, count: int, device: str | torch.device = "cpu"
               ) -> tuple[list[int], dict[str, Brightness]]:
    """Times from T to 0, and what ancestral sampling over all steps makes of the same noise by every
    rule, nothing clipped; `<rule>, clipped`: x0_hat clipped to the range at every step; `<rule>, fed
    back`: x0_hat, not clipped, is taken for the next state (`fed_back`)."""
    visited: list[int] = []
    curves, image = {}, restorer.image
    rules = rules_of(restorer)
    ways = {way(rule): (rule, ANCESTRAL, False) for rule in rules}
    if len(rules) > 1:
        ways |= {way(rule, CLIPPED): (rule, ANCESTRAL, True) for rule in rules}
        ways |= {way(rule, FED_BACK): (rule, FED, False) for rule in rules}
    for name, (rule, section, clip) in ways.items():
        visited, x = traced(by_rule(restorer, rule, clip), section, n, seed, count, device)
        images = image.decode(x).nan_to_num(nan=0.0)
        curves[name] = Brightness(
            images.flatten(2).mean(2), unmapped(images, image.low, image.high).flatten(2).mean(2),
            x.isfinite().flatten(2).float().mean(2), near_black(images), images[:, 0])
    return visited, curves


def near_black(images: torch.Tensor) -> torch.Tensor:
    """The share of near-black pixels of images (..., C, H, W) in [0, 1], (...)."""
    return (images.amax(-3) < NEAR_BLACK).float().mean((-2, -1))


def unmapped(images: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Images in [0, 1] as they look when their values in [low, high] are drawn as if in [0, 1]."""
    return (low + (high - low) * images).clip(0, 1)


@sampler("fed-back", GaussianProcess)
def fed_back(restorer: Restorer, state: State, times: Sequence[int], random: Stream
             ) -> Iterator[State]:
    """A mistake, kept for comparison: x_s is x0_hat itself plus the posterior's noise.

    At s the network then gets an image without the noise of s, and the factor of the rule for x0_hat acts
    again at every step. A possible cause of study E's black samples; whether it sampled so is unknown.
    """
    process = restorer.degradation

    def step(state: State, t: torch.Tensor, s: torch.Tensor, is_last: bool) -> State:
        x = restorer(state.x, t).x0_hat
        if not is_last:
            _, std = process.posterior(state.x, x, t, s, 1.0, state.z)
            x = x + process.spread(std, random.normal(*x.shape[1:]).to(x))
        return State(x, state.z, state.hidden)

    return Walk(restorer, state, times, random, step)
