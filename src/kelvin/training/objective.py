"""The training loss of a batch: weighted errors of the target, and the terms that are added to them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from kelvin.common.errors import KelvinError
from kelvin.config.schema import RunConfig
from kelvin.restoration.restorer import Restorer
from kelvin.sampling.likelihood import step_kl
from kelvin.training.weightings import build_weights, check_weighting, loss_per_image


@dataclass(frozen=True)
class PredictedBatch:
    """A batch and the network's prediction for it; images (n, C, H, W), t long (n,)."""

    prediction: torch.Tensor
    x0: torch.Tensor
    z: torch.Tensor | None
    x_t: torch.Tensor
    t: torch.Tensor
    v: torch.Tensor | None = None  # of a learned variance


class Objective:
    """The loss of a batch: the mean over its images of weight_t times the target's error, times a
    correction where times are drawn by importance; plus the terms that are computed over the batch.

    Where the variance is learned, each image also costs training.vlb times T L_{t-1} in bits per
    dimension, whose gradient stops at the variance: x0_hat gets none of it (Nichol and Dhariwal 2021,
    eq. 16, L_hybrid; in their code's units). L_0 has no learned variance and stays out.

    training.mmd adds weight times the squared MMD of x0_hat, not clipped, from x0 over the batch,
    whatever the times in it and however they were drawn (over each process's part of the batch,
    where there are several). KelvinError for options that have no meaning, and for an MMD of fewer
    than two images.
    """

    def __init__(self, run: RunConfig, restorer: Restorer, device: torch.device, images: int) -> None:
        self.options, self.restorer = run.training, restorer
        weighting = self.options.weighting.model_dump()
        check_weighting(weighting, self.options.loss, restorer.degradation, run.degradation.kind)
        if self.options.mmd.weight and images < 2:
            raise KelvinError(f"training.mmd compares sets of images, but a process has {images} of a "
                              "batch: set training.batch to at least two for each process")
        self.weights = build_weights(
            weighting, restorer.degradation, restorer.parameterisation).to(device)

    def losses(self, batch: PredictedBatch) -> torch.Tensor:
        """Error of each image's target, (n,), not weighted."""
        target = self.restorer.target(batch.x0, batch.z, batch.x_t, batch.t)
        return loss_per_image(self.options.loss, batch.prediction, target)

    def per_image(self, batch: PredictedBatch) -> torch.Tensor:
        """Cost of each image, (n,)."""
        costs = self.weights[batch.t] * self.losses(batch)
        return costs if batch.v is None else costs + self.options.vlb * self.bound(batch)

    def bound(self, batch: PredictedBatch) -> torch.Tensor:
        """T L_{t-1} in bits per dimension, (n,), 0 at t = 1; a function of v alone."""
        process = self.restorer.degradation
        x0_hat = self.restorer.x0_hat(batch.prediction.detach().float(), batch.x_t, batch.t)
        nats = step_kl(process, batch.x0, x0_hat, batch.t.clamp(min=2), batch.z, batch.v)
        bits = nats / (batch.x0[0].numel() * math.log(2))
        return (process.steps * bits * (batch.t > 1)).float()

    def together(self, batch: PredictedBatch, costs: torch.Tensor, correction: torch.Tensor | None = None
                 ) -> torch.Tensor:
        """The loss, from the cost of each image and the correction of its time's probability, (n,)."""
        loss = (costs if correction is None else correction * costs).mean()
        mmd = self.options.mmd
        if mmd.weight:
            x0_hat = self.restorer.x0_hat(batch.prediction.float(), batch.x_t, batch.t)
            loss = loss + mmd.weight * batch_mmd(x0_hat, batch.x0, mmd.multiples)
        return loss


def batch_mmd(x: torch.Tensor, y: torch.Tensor, multiples: Sequence[float]) -> torch.Tensor:
    """Unbiased squared MMD of x (m, ...) from y (n, ...), m and n >= 2; differentiable in x.

    Gretton et al. 2012, eq. 3 (U-statistic), mean over Gaussian kernels exp(-d^2 / (2 s^2)) whose
    s are multiples of the median distance within y. Unbiased: it may be negative.
    """
    x, y = x.flatten(1).float(), y.flatten(1).float()
    m, n = len(x), len(y)

    def squared(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        # not cdist: the gradient of its root is undefined at a distance of zero
        lengths = a.square().sum(1)[:, None] + b.square().sum(1)
        return (lengths - 2 * a @ b.T).clamp(min=0)

    xx, yy, xy = squared(x, x), squared(y, y), squared(x, y)
    apart = ~torch.eye(n, dtype=torch.bool, device=y.device)
    median = yy[apart].median().clamp(min=1e-12).detach()
    total = x.new_zeros(())
    for multiple in multiples:
        def kernel(d: torch.Tensor, scale: torch.Tensor = 2 * multiple**2 * median) -> torch.Tensor:
            return (-d / scale).exp()

        kxx, kyy = kernel(xx), kernel(yy)
        total = total + ((kxx.sum() - kxx.diagonal().sum()) / (m * (m - 1))
                         + (kyy.sum() - kyy.diagonal().sum()) / (n * (n - 1))
                         - 2 * kernel(xy).mean())
    return total / len(multiples)
