"""Study E's measurements: single-shot restoration at many t by each rule, and what ancestral sampling
does to an image's brightness under each."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch

from kelvin.restoration.restorer import Restorer
from kelvin.restoration.rules import EXACT, RULES
from kelvin.restoration.sampling import decoding, degrader

ANCESTRAL = {"kind": "ancestral", "steps": "all"}


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
    """step, 2 step, ..., up to T."""
    return list(range(step, T + 1, step)) or [T]


@torch.no_grad()
def single_shot(restorer: Restorer, images: torch.Tensor, seed: tuple, at: Sequence[int]
                ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """x_t and x0_hat by rule, each (times, n, C, H, W) in [0, 1], of images in [0, 1].

    One prediction serves all rules; x0_hat is clipped to the range, as any picture of it is.
    """
    degrade, decode = degrader(restorer, images, seed), restorer.image.decode
    degraded, found = [], {rule: [] for rule in rules_of(restorer)}
    for time in at:
        x_t = degrade(time)[0].x
        t = torch.full((len(images),), time, device=images.device)
        prediction = restorer.predict(x_t, t).float()
        degraded.append(decode(x_t).cpu())
        for rule in found:
            found[rule].append(decode(by_rule(restorer, rule, False).x0_hat(prediction, x_t, t)).cpu())
    return torch.stack(degraded), {rule: torch.stack(x) for rule, x in found.items()}


def brightness(restorer: Restorer, n: int, seed: tuple, count: int, device: str | torch.device = "cpu"
               ) -> tuple[list[int], dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Times from T to 0, and by rule the mean of each of n images there, (times, n), 0 black, 1 white:
    as it is, and as it looks where the network's range is shown without being mapped back to [0, 1].

    Ancestral sampling over all steps without clipping, the same noise under every rule.
    """
    means, shown, visited, image = {}, {}, [], restorer.image
    for rule in rules_of(restorer):
        visited, states = decoding(by_rule(restorer, rule, False), ANCESTRAL, n, seed, count, device)
        means[rule] = states.flatten(2).mean(2)
        shown[rule] = unmapped(states, image.low, image.high).flatten(2).mean(2)
    return visited, means, shown


def unmapped(images, low: float, high: float):
    """Images in [0, 1] as they look when their values in [low, high] are drawn as if in [0, 1]."""
    return (low + (high - low) * images).clip(0, 1)
