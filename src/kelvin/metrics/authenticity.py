"""Are samples copied from the training set? Two published answers from nearest training images.

AuthPct (Alaa et al. 2022, "How faithful is your synthetic data?") asks of each sample
whether its training image lies closer to it than to any other training image. C_T (Meehan et al. 2020,
"A non-parametric test to detect data-copying") asks whether samples lie closer to the training set
than held-out images do. It is the global form here, one cell: the paper's sum over the cells of a
clustering sees copying in one place that under-fitting elsewhere hides, but needs hundreds of samples
and held-out images in every cell. Distances are root mean squares over pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from kelvin.common.errors import KelvinError
from kelvin.metrics.nearest import Near, Neighbours

WITHIN = 2000  # training images, at most, whose nearest neighbours set the scale
COPYING = -2.0  # C_T below which samples count as copied; honest ones fall there in 2.3 % of cases


@dataclass(frozen=True)
class Authenticity:
    """auth_pct: share of samples that are authentic, [0, 1]; copies are not. heldout_auth_pct: that of
    held-out images, the yardstick. c_t: standard deviations by which samples lie further from the
    training set than held-out images do; p: how often it would be as low, were samples drawn as those
    were. Far below 0 is no proof of copies: averages and blurs lie near too, and so do new images by the
    people who wrote the training set where others wrote the held-out part. c_t_within: the same against
    training images, each without itself, which asks for no other people. share: the share of exact
    copies among images that are drawn as the training images are, that alone would give c_t_within, 0
    where it is not negative."""

    auth_pct: float
    heldout_auth_pct: float
    c_t: float
    p: float
    c_t_within: float
    share: float


def authenticity(near: Near, real: Neighbours) -> Authenticity:
    """Authenticity of samples given training and held-out images; near: `real.of` the samples."""
    shares = [float(authentic(distance[:, 0], index[:, 0], real).mean())
              for distance, index in (near, real.heldout)]
    distance = near[0][:, 0]
    chosen = np.random.default_rng(0).permutation(len(real.train))[:WITHIN]
    own = real.own(np.sort(chosen))
    within = copying_score(distance, own)[0]
    ordered = np.sort(own)
    below, up_to = (np.searchsorted(ordered, distance, side) for side in ("left", "right"))
    farther = float((below + up_to).mean() / 2 / len(own))  # P(farther), ties a half: 0 if all are copies
    return Authenticity(*shares, *copying_score(distance, real.heldout[0][:, 0]), within,
                        max(0.0, 1 - 2 * farther))


def authentic(distance: np.ndarray, index: np.ndarray, real: Neighbours) -> np.ndarray:
    """Which samples (n,) lie further from their nearest training image than its own neighbour does.

    distance, index: (n,) to and of that image. A training image that has a near-copy has a neighbour
    near by, so that its own near copies pass for authentic.
    """
    if len(real.train) < 2:
        raise KelvinError(f"authenticity needs at least 2 training images, given {len(real.train)}")
    return distance > real.own(index)


def copying_score(sample_distance: np.ndarray, heldout_distance: np.ndarray) -> tuple[float, float]:
    """C_T and its one-sided p-value, given distances (m,) and (n,) to the nearest training image.

    The Mann-Whitney U of the samples over the held-out images (ties count a half), less its mean and
    over its standard deviation (corrected for ties) were both drawn alike; p = Phi(C_T). All tied: 0.
    """
    a = np.asarray(sample_distance, dtype=np.float64).ravel()
    b = np.asarray(heldout_distance, dtype=np.float64).ravel()
    m, n = len(a), len(b)
    if min(m, n) < 2 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise KelvinError(f"C_T needs at least 2 finite distances of samples and of held-out images, "
                          f"given {m} and {n}")
    pooled = np.concatenate([a, b])
    _, place, ties = np.unique(pooled, return_inverse=True, return_counts=True)
    ties = ties.astype(np.float64)
    rank = (np.cumsum(ties) - (ties - 1) / 2)[place]  # of tied values, their mean
    u = rank[:m].sum() - m * (m + 1) / 2
    variance = m * n / 12 * (m + n + 1 - (ties**3 - ties).sum() / ((m + n) * (m + n - 1)))
    score = 0.0 if variance <= 0 else float((u - m * n / 2) / np.sqrt(variance))
    return score, float(ndtr(score))
