"""Checks of a metric's input: range, shape, finiteness and count."""

import numpy as np

from kelvin.common.errors import KelvinError


def check_images(images: np.ndarray, name: str, minimum: int = 1) -> np.ndarray:
    """Images as float32 (n, C, H, W) in [0, 1], or a KelvinError that says what is wrong.

    images: uint8 0..255 (divided by 255) or float [0, 1]; anything else is refused, never rescaled,
    because a wrong pixel range gives a plausible and wrong metric. name: what the images are, for
    the sentence. minimum: the fewest images that will do.
    """
    x = np.asarray(images)
    if x.ndim != 4 or 0 in x.shape[1:]:
        raise KelvinError(f"{name}: the shape is {x.shape}, a metric needs images (n, C, H, W).")
    if len(x) < minimum:
        raise KelvinError(f"{name}: {len(x)} images, at least {minimum} are needed.")
    if x.dtype == np.uint8:
        return x.astype(np.float32) / np.float32(255)
    if x.dtype.kind != "f":
        raise KelvinError(
            f"{name}: the pixels are {x.dtype}, a metric needs uint8 or float [0, 1]."
        )
    _refuse_non_finite(x, name, "pixels")
    low, high = (x.min(), x.max()) if x.size else (0, 0)
    if low < 0 or high > 1:
        raise KelvinError(
            f"{name}: pixels lie in [{low:.4g}, {high:.4g}], they must lie in [0, 1]."
        )
    return x.astype(np.float32)


def check_pair(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two equally shaped stacks of images as float64 [0, 1], or a KelvinError."""
    x, y = check_images(x, "first images"), check_images(y, "second images")
    if x.shape != y.shape:
        raise KelvinError(f"images to compare have shapes {x.shape} and {y.shape}, not one shape.")
    return x.astype(np.float64), y.astype(np.float64)


def check_features(features: np.ndarray, name: str, minimum: int = 1,
                   dim: int | None = None) -> np.ndarray:
    """Features as float64 (n, d), finite, at least `minimum` rows of `dim` columns if given."""
    x = np.asarray(features)
    if x.ndim != 2 or x.shape[1] == 0 or x.dtype.kind not in "fiu":
        raise KelvinError(
            f"{name}: {x.dtype} of shape {x.shape}, a metric needs real features (n, d)."
        )
    if dim is not None and x.shape[1] != dim:
        raise KelvinError(f"{name}: {x.shape[1]} features per image, the reference has {dim}.")
    if len(x) < minimum:
        raise KelvinError(f"{name}: {len(x)} rows of features, at least {minimum} are needed.")
    _refuse_non_finite(x, name, "features")
    return x.astype(np.float64)


def _refuse_non_finite(x: np.ndarray, name: str, what: str) -> None:
    bad = x.size - np.count_nonzero(np.isfinite(x))
    if bad:
        raise KelvinError(f"{name}: {bad} of {x.size} {what} are not finite, all must be.")
