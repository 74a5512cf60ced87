"""The gate of a verdict: does the network restore as well as linear least squares, at every t?"""

from __future__ import annotations

import torch

from kelvin.restoration.restorer import Restorer
from kelvin.sampling.linear import LinearRestorer
from kelvin.sampling.trajectories import degrader, grid

TIMES = 20  # at most: each costs a fit of the linear restorer


@torch.no_grad()
def one_shot_errors(restorer: Restorer, images: torch.Tensor, fit_images: torch.Tensor, seed: tuple
                    ) -> tuple[list[int], torch.Tensor, torch.Tensor]:
    """Times up to T, and at each the mean squared error by image, (times, n), in units of [0, 1], of
    one-shot restorations by the network and by least squares from 8 bits; both clipped to the range.

    images: held out, in [0, 1]; fit_images: training images for the linear restorer.
    """
    times = grid(restorer.degradation.steps, TIMES)[1:]
    degrade = degrader(restorer, images, seed)
    degrade_fit = degrader(restorer, fit_images, (*seed, "linear"))
    fit, decode = restorer.image.encode(fit_images), restorer.image.decode
    network: list[torch.Tensor] = []
    linear: list[torch.Tensor] = []
    for t in times:
        x_t = degrade(t)[0].x
        at = torch.full((len(images),), t, device=images.device)
        by_least_squares = LinearRestorer(degrade_fit(t)[0].x, fit, restorer.image)(x_t)
        for errors, x0_hat in ((network, restorer(x_t, at).x0_hat), (linear, by_least_squares)):
            errors.append((decode(x0_hat) - images).square().flatten(1).mean(1))
    return times, torch.stack(network).cpu(), torch.stack(linear).cpu()
