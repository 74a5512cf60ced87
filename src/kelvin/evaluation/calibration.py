"""The scale of every table: floor and ceiling as a record, and images of known kinds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from kelvin.metrics.fmd import Scale

if TYPE_CHECKING:
    from kelvin.datasets.store import PreparedStore


def scale_record(scale: Scale, prefix: str) -> dict[str, Any]:
    """A scale as it stands in calibration.json."""
    return {f"{prefix}n": scale.n, f"{prefix}floor": scale.band.mean,
            f"{prefix}floor_sd": scale.band.sd, f"{prefix}floor_draws": len(scale.band.values),
            f"{prefix}ceiling": scale.ceiling}


def gaussian_images(train: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """n draws of the Gaussian fitted to the training pixels, clipped: the simplest generator."""
    flat = train.reshape(len(train), -1).astype(np.float64)
    mean, centred = flat.mean(0), flat - flat.mean(0)
    # a random mixture of centred rows has exactly their covariance: no d x d matrix is needed
    images = mean + rng.standard_normal((n, len(flat))) @ centred / np.sqrt(len(flat) - 1)
    return np.clip(np.round(images), 0, 255).astype(np.uint8).reshape(n, *train.shape[1:])


def calibrating_rows(n: int, seed: int, store: PreparedStore, heldout: np.ndarray
                     ) -> dict[str, tuple[str, Callable[[], np.ndarray]]]:
    """name -> (title, images): the calibrating rows of tables of generation; heldout: n real images."""
    rng = np.random.default_rng(seed)
    train = store.split("train").images

    def some(images: np.ndarray) -> np.ndarray:
        return images[rng.choice(len(images), n, replace=len(images) < n)]

    return {"held-out": ("held-out real images", lambda: heldout),
            "copies": ("copies of training images", lambda: some(train)),
            "pixel-gaussian": ("Gaussian fitted to the pixels",
                               lambda: gaussian_images(train[:5000], n, rng)),
            "black": ("black images", lambda: np.zeros((n, *train.shape[1:]), np.uint8))}
