"""The variational bound on the negative log-likelihood of images, in bits per dimension.

-log p(x_0) <= L_0 + sum_{t=2}^T L_{t-1} + L_T (Ho et al. 2020, eq. 5), in nats:

- L_0 = -E log p(x_0 | x_1): a Gaussian around x0_hat cut into one bin per grey level of the data, the
  outer bins reaching to infinity (Ho et al. 2020, eq. 13).
- L_{t-1} = KL(q(x_{t-1} | x_t, x_0) || q(x_{t-1} | x_t, x0_hat)): equal variances, so that only the
  means count; in the process's basis 0.5 (SNR_{t-1} - SNR_t) (x_0 - x0_hat)^2 for each coefficient
  (Ho et al. 2020, eq. 8; Kingma et al. 2021, eq. 13), whatever the schedule and the gains.
- L_T = KL(q(x_T | x_0) || N(0, I)).

The posterior variance is 0 at t = 1, so p(x_0 | x_1) needs one of its own: noise_1^2 / signal_1^2, the
variance of x_0 estimated from x_1 alone (Ho et al.'s sigma_1^2 = beta_1, over 1 - beta_1). Where
gains differ, signal_1^2 is their mean square. x0_hat is clipped where the restorer clips.

Where the restorer learns a variance (kelvin.restoration.variance) it is that of the second Gaussian of
L_{t-1}, whose KL has then all its terms; L_0 is as above.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from kelvin.common.errors import KelvinError
from kelvin.common.streams import BlockRandom
from kelvin.degradations import Degradation, GaussianProcess
from kelvin.degradations.priors import StandardNormal
from kelvin.restoration.restorer import Restoration, Restorer
from kelvin.restoration.variance import bounds
from kelvin.sampling.trajectories import Progress, silent

STORED = 1 / 510  # a grey level in 8 bits lies this far off at most, in units of [0, 1]


@dataclass(frozen=True)
class Bound:
    """Bits per dimension, float64 on the CPU: for each of n images, and over time for their mean.

    total = l0 + lt + lT, each (n,); lt sums L_{t-1} over t = 2..T. Curve: stratum k holds the times
    first[k]..last[k] (one each unless times were left out), curve[k] is the mean L_{t-1} of one of
    them, error[k] its standard error over images (nan for a single image); each (K,).
    """

    total: torch.Tensor
    l0: torch.Tensor
    lt: torch.Tensor
    lT: torch.Tensor  # noqa: N815 - the paper's name
    first: torch.Tensor
    last: torch.Tensor
    curve: torch.Tensor
    error: torch.Tensor


def why_not(process: Degradation) -> str | None:
    """One sentence where the bound does not exist for a process and its prior, else None."""
    if not isinstance(process, GaussianProcess):
        return ("the variational bound needs a Gaussian process, but the degradation is "
                f"{type(process).__name__}, under which x_t is certain and no density exists")
    if not isinstance(process.prior, StandardNormal):
        return ("the variational bound needs prior.kind = 'normal' (L_T is the distance to N(0, I)), but "
                f"the prior is {type(process.prior).__name__}")
    return None


@torch.no_grad()
def bits_per_dimension(restorer: Restorer, images: torch.Tensor, grey_levels: int, seed: tuple,
                       times: int | None = None, batch: int = 256, progress: Progress = silent
                       ) -> Bound:
    """The bound for images (n, C, H, W) in [0, 1], on the restorer's device.

    grey_levels: of the data set (in its manifest), which the images must lie on to 8 bits. times:
    how many of t = 2..T are visited, one drawn from each of as many strata for each image, which leaves
    every expectation as it is; None: all of them. Every image and stratum has its own seeded noise,
    whatever the batch. `progress` counts the network's evaluations. KelvinError for processes and
    priors without a bound (see `why_not`), and for images between the levels.
    """
    process = restorer.degradation
    if reason := why_not(process):
        raise KelvinError(reason)
    levels, edges = level_of(images, grey_levels), strata(process.steps, times)
    parts = []
    for start in range(0, len(images), batch):
        rows = slice(start, min(start + batch, len(images)))
        parts.append(one_batch(restorer, restorer.image.encode(images[rows]), levels[rows], grey_levels,
                               edges, seed, rows, batch, progress))
    l0, steps, lT = (torch.cat(part, -1) for part in zip(*parts, strict=True))
    lt, curve, n = (edges.diff().double()[:, None] * steps).sum(0), steps.mean(1), len(images)
    variance = (steps - curve[:, None]).square().sum(1) / (n - 1)  # 0 / 0 for a single image
    return Bound(l0 + lt + lT, l0, lt, lT, edges[:-1], edges[1:] - 1, curve, (variance / n).sqrt())


def one_batch(restorer: Restorer, x0: torch.Tensor, level: torch.Tensor, grey_levels: int,
              edges: torch.Tensor, seed: tuple, rows: slice, batch: int, progress: Progress
              ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """L_0 (n,), L_{t-1} at one time of each stratum (K, n), and L_T (n,), in bits per dimension."""
    process, n, K = restorer.degradation, len(x0), len(edges) - 1
    bits = x0[0].numel() * math.log(2)
    spans = [*zip(edges[:-1].tolist(), edges.diff().tolist(), strict=True), (1, 1)]  # at -1 that of t = 1

    def restored(k: Sequence[int]) -> tuple[Restoration, torch.Tensor, torch.Tensor]:
        """Restoration, t and z at a time of each stratum in k; row j n + i is image i in stratum k[j]."""
        draws = [time_and_noise(process, spans[j], seed, rows, x0.device) for j in k]
        t, z = torch.cat([t for t, _ in draws]), torch.cat([z for _, z in draws])
        x_t = process.degrade(x0.repeat(len(draws), 1, 1, 1), t, z)
        progress(len(t))
        return restorer(x_t, t), t, z

    first, t, z = restored([-1])
    l0 = -log_level(level, restorer.image.to_unit(first.x0_hat.double()), decoder_std(process, t, z)
                    / (restorer.image.high - restorer.image.low), grey_levels).flatten(1).sum(1)
    steps, together = [torch.empty(0, n, dtype=torch.float64, device=x0.device)], max(1, batch // n)
    for k in (range(K)[first:first + together] for first in range(0, K, together)):
        restoration, t, z = restored(k)
        kl = step_kl(process, x0.repeat(len(k), 1, 1, 1), restoration.x0_hat, t, z, restoration.v)
        steps.append(kl.view(len(k), n))
    T = torch.full((n,), process.steps, device=x0.device)
    lT = end_kl(process, x0, T, z[:n])
    return tuple((nats / bits).cpu() for nats in (l0, torch.cat(steps), lT))


def strata(T: int, times: int | None) -> torch.Tensor:
    """Edges (K + 1,) of K = `times` strata of t = 2..T: stratum k holds edges[k] <= t < edges[k + 1].

    They widen geometrically: noise_t is about proportional to t where L_{t-1} is largest and steepest,
    so that each spans a like step of log-SNR. None: a stratum for each time.
    """
    K = T - 1 if times is None else times
    if times is not None and not 1 <= K <= T - 1:
        raise KelvinError(f"times = {times} must be 1 to T - 1 = {T - 1}, the terms between L_0 and L_T")
    edges = [2]
    for left in range(K, 0, -1):
        wanted = round(edges[-1] * ((T + 1) / edges[-1]) ** (1 / left))
        edges.append(min(max(wanted, edges[-1] + 1), T + 2 - left))  # at least one time for each
    return torch.tensor(edges)


def time_and_noise(process: GaussianProcess, span: tuple[int, int], seed: tuple, rows: slice,
                   device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """A time of a stratum (its first, how many), uniform in it, and z for each image."""
    first, size = span
    random = BlockRandom(rows.start, rows.stop, *seed, "bound", first).on(device)
    t, z = first + (random.uniform(1)[:, 0].double() * size).long(), process.draw(random)
    return t.to(device), z.to(device)


def snr(process: GaussianProcess, t: torch.Tensor, z: torch.Tensor | None) -> torch.Tensor:
    """Signal-to-noise ratio of each coefficient in the basis, broadcastable to (n, C, H, W); t > 0."""
    return (process.gain(t, z) / process.std(t)).square()


def step_kl(process: GaussianProcess, x0: torch.Tensor, x0_hat: torch.Tensor, t: torch.Tensor,
            z: torch.Tensor | None, v: torch.Tensor | None = None) -> torch.Tensor:
    """KL(q(x_{t-1} | x_t, x0) || p(x_{t-1} | x_t)) in nats, (n,), for t >= 2.

    p is q(x_{t-1} | x_t, x0_hat), with the learned variance of v (n, C, H, W), where there is one.
    """
    gap = process.to_basis(x0.double() - x0_hat.double())
    apart = (snr(process, t - 1, z) - snr(process, t, z)) * gap.square()  # squared, over beta-tilde
    if v is None:
        return 0.5 * apart.flatten(1).sum(1)
    small, large = bounds(process, t, t - 1)
    wider = v.double() * (large - small)  # log of the learned variance over beta-tilde
    return 0.5 * (wider - 1 + (-wider).exp() * (1 + apart)).flatten(1).sum(1)


def end_kl(process: GaussianProcess, x0: torch.Tensor, T: torch.Tensor, z: torch.Tensor | None
           ) -> torch.Tensor:
    """KL(q(x_T | x0) || N(0, I)) in nats, (n,)."""
    mean, variance = process.gain(T, z) * process.to_basis(x0.double()), process.std(T).square()
    return 0.5 * (mean.square() + variance - 1 - variance.log()).flatten(1).sum(1)


def decoder_std(process: GaussianProcess, t: torch.Tensor, z: torch.Tensor | None) -> torch.Tensor:
    """Standard deviation of p(x_0 | x_1), (n, 1, 1, 1), in the model's range; t is 1 throughout."""
    return process.std(t) / process.gain(t, z).square().mean((1, 2, 3), keepdim=True).sqrt()


def level_of(images: torch.Tensor, grey_levels: int) -> torch.Tensor:
    """The level 0..grey_levels - 1 of each pixel; KelvinError where one lies between levels."""
    if grey_levels < 2:
        raise KelvinError(f"grey_levels = {grey_levels}: discrete data have two at least")
    level = (images.double() * (grey_levels - 1)).round()
    off = float((images - level / (grey_levels - 1)).abs().max())
    if not (off <= (STORED if grey_levels < 256 else 0.01 / (grey_levels - 1)) + 1e-6
            and level.min() >= 0 and level.max() < grey_levels):
        raise KelvinError(f"the images do not lie on {grey_levels} grey levels between 0 and 1 (one "
                          f"pixel is {off:.2g} off): give the data set's own number")
    return level


def log_level(level: torch.Tensor, mean: torch.Tensor, std: torch.Tensor, grey_levels: int
              ) -> torch.Tensor:
    """Log probability of each pixel's level under N(mean, std^2), all in units of [0, 1] (float64).

    Level k is the bin (k +- 0.5) / (grey_levels - 1); the outermost reach to infinity. Exact far into
    the tails: the bin is mirrored to where the two log-cdfs differ most.
    """
    low = (((level - 0.5) / (grey_levels - 1) - mean) / std).masked_fill(level == 0, -math.inf)
    high = (((level + 0.5) / (grey_levels - 1) - mean) / std).masked_fill(
        level == grey_levels - 1, math.inf)
    flip = low > 0
    low, high = torch.where(flip, -high, low), torch.where(flip, -low, high)
    below, above = torch.special.log_ndtr(low), torch.special.log_ndtr(high)
    return above + torch.log(-torch.expm1(below - above))
