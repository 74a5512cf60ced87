"""The scale of a Frechet distance: 0 is held-out real images, 1 is black images, at one n.

A Frechet distance of n samples is biased upward by an amount that depends on n, so the floor is
drawn from real images at the same n, and a score at another n is refused. The floor comes from
images the reference has not seen: drawn from the reference it would be far too low.
"""

from dataclasses import dataclass

import numpy as np

from kelvin.common.errors import KelvinError
from kelvin.metrics.checks import check_features
from kelvin.metrics.frechet import frechet_from_features
from kelvin.metrics.moments import Moments, moments


@dataclass(frozen=True, eq=False)
class Band:
    """Frechet distances of random draws of real images: mean, standard deviation, values."""

    mean: float
    sd: float
    values: np.ndarray


@dataclass(frozen=True)
class Score:
    """A Frechet distance on the scale. Negative values are kept: `below_floor` flags them.

    Samples nearer to the reference than held-out real images may be copies of training images:
    read such a score beside the distance to the nearest training image.
    """

    value: float
    normalised: float
    below_floor: bool


@dataclass(frozen=True, eq=False)
class Scale:
    """A reference with its floor and ceiling, for samples of exactly n images."""

    reference: Moments
    n: int
    band: Band
    ceiling: float

    def score(self, features: np.ndarray) -> Score:
        """The Score of n samples' features (n, d)."""
        if len(features) != self.n:
            raise KelvinError(
                f"{len(features)} samples on a scale made for n = {self.n}: Frechet distances are "
                "comparable at one n only."
            )
        value = frechet_from_features(features, self.reference)
        normalised = normalise(value, self.band.mean, self.ceiling)
        return Score(value, normalised, normalised < 0)


def score_band(test_features: np.ndarray, reference: Moments, n: int, draws: int, seed: int) -> Band:
    """The Band of `draws` seeded random draws of n held-out features, each without replacement.

    Draws overlap, so over N images the standard deviation is about sqrt(1 - n/N) of that of fresh
    images.
    """
    x = check_features(test_features, "held-out features", n + 1, reference.dim)
    if n < 2 or draws < 2:
        raise KelvinError(f"a band needs 2 draws of 2 images at least, asked {draws} of {n}.")
    rng = np.random.default_rng(seed)
    chosen = (rng.choice(len(x), n, replace=False) for _ in range(draws))
    values = np.array([frechet_from_features(x[rows], reference) for rows in chosen])
    return Band(float(values.mean()), float(values.std(ddof=1)), values)


def black_ceiling(black_features: np.ndarray, reference: Moments) -> float:
    """Frechet distance of equal images to the reference: |f - m|^2 + tr S.

    black_features: of one wholly black image (d,), or of copies of it (n, d); their covariance
    is zero.
    """
    x = check_features(np.atleast_2d(black_features), "black image's features", 1, reference.dim)
    if not np.allclose(x, x[0], rtol=1e-4, atol=1e-4 * np.abs(x).max()):
        raise KelvinError("the black image's features differ from row to row: give copies of one.")
    gap = x[0] - reference.mean
    return float(gap @ gap + np.trace(reference.cov))


def normalise(value: float, floor: float, ceiling: float) -> float:
    """(value - floor) / (ceiling - floor): 0 = held-out real images, 1 = black; never clipped."""
    if not ceiling > floor:
        raise KelvinError(
            f"the ceiling {ceiling:.4g} is not above the floor {floor:.4g}: the extractor does not "
            "tell black images from real ones."
        )
    return (value - floor) / (ceiling - floor)


def make_scale(reference: Moments, heldout_features: np.ndarray, n: int, draws: int, seed: int,
               black_features: np.ndarray) -> Scale:
    """The Scale of a reference, from held-out real features and a black image's features."""
    band = score_band(heldout_features, reference, n, draws, seed)
    return Scale(reference, n, band, black_ceiling(black_features, reference))


def small_scale(test_features: np.ndarray, k: int, n: int, draws: int, seed: int,
                black_features: np.ndarray) -> Scale:
    """Study A's scale: reference test[:k], floor from `draws` draws of n out of test[k:]."""
    x = check_features(test_features, "test features", minimum=k + n + 1)
    if k < 2:
        raise KelvinError(f"k = {k} test images make no reference, at least 2 are needed.")
    return make_scale(moments(x[:k]), x[k:], n, draws, seed, black_features)
