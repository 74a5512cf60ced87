"""The features that image sets are compared in, when no classifier was trained on them."""

from __future__ import annotations

import os

import numpy as np

from kelvin.features.extractor import Extractor
from kelvin.features.inception import fid_extractor
from kelvin.features.plain import fit_projection, pixel_extractor, random_extractor

PIXEL_DIM, RANDOM_DIM = 64, 64  # as `metrics` of params.yaml has them
FITTED = 20_000  # real images at most that the principal components are fitted to
FEATURES = ("pixels", "random", "inception")


def extractors(real: np.ndarray, names: tuple[str, ...] = FEATURES, seed: int = 0
               ) -> tuple[dict[str, Extractor], str | None]:
    """{name: Extractor} for images of real's size, and why Inception is not among them (or None).

    real (n, C, H, W) uint8: what the principal components of pixels are fitted to, where there are more
    pixels than components.
    """
    shape = real.shape[1:]
    out: dict[str, Extractor] = {}
    if "pixels" in names:
        dim = min(PIXEL_DIM, max(1, len(real) - 1))
        out["pixels"] = pixel_extractor(shape, **fit_projection(real[:FITTED], dim))
    if "random" in names:
        out["random"] = random_extractor(shape, RANDOM_DIM, seed)
    why = None
    if "inception" in names:
        inception, why = fid_extractor(os.environ.get("KELVIN_DATA"))
        if inception is not None:
            out["inception"] = inception
    return out, why
