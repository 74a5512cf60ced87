"""Consistency of cold diffusion: does the restored image, degraded again, give back the state?

||D(x0_hat, t, z) - x_t||: Algorithm 2 (Bansal et al. 2022) carries this gap along to the next state,
Algorithm 1 throws it away.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from kelvin.common.streams import BlockRandom
from kelvin.degradations import GaussianProcess
from kelvin.restoration.restorer import Restoration, Restorer
from kelvin.sampling.trajectories import to, trajectory


class RecordingRestorer(Restorer):
    """A restorer that records its calls: (x_t, t, x0_hat)."""

    def __init__(self, restorer: Restorer) -> None:
        vars(self).update(vars(restorer))  # the same parts, not built again
        self.calls: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []

    def __call__(self, x_t: torch.Tensor, t: torch.Tensor) -> Restoration:
        out = super().__call__(x_t, t)
        self.calls.append((x_t, t, out.x0_hat))
        return out


def applies(restorer: Restorer) -> bool:
    """Only without Gaussian noise: with it z is estimated so that D(x0_hat, t, z) is x_t."""
    return not isinstance(restorer.degradation, GaussianProcess)


@torch.no_grad()
def consistency(restorer: Restorer, section: Mapping[str, Any], n: int, seed: tuple,
                device: str | torch.device = "cpu", labels: torch.Tensor | None = None
                ) -> tuple[list[int], torch.Tensor]:
    """Times from T down and, at each, the RMSE of D(x0_hat, t, z) from x_t by image, (times, n), in units
    of [0, 1], along the trajectories of samples 0..n-1; z is that of the state."""
    recorder = RecordingRestorer(restorer if labels is None else restorer.conditional(labels.to(device)))
    process = restorer.degradation
    random = BlockRandom(0, n, *seed)
    state = to(process.prior.draw(random), device)
    visited, states = trajectory(recorder, section, state, process.steps, random)
    z, errors = state.z, []
    for after in states:
        x_t, t, x0_hat = recorder.calls.pop()
        gap = process.degrade(x0_hat, t, z) - x_t
        unit = gap / (restorer.image.high - restorer.image.low)
        errors.append(unit.square().flatten(1).mean(1).sqrt())
        z = after.z
    return visited[:-1], torch.stack(errors).cpu()
