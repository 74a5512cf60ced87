"""The features that image sets are compared in, when no classifier was trained on them."""

from __future__ import annotations

import os

import numpy as np

from kelvin.common.errors import KelvinError
from kelvin.features.extractor import Extractor, Missing
from kelvin.features.imagenet import NAME as IMAGENET
from kelvin.features.imagenet import imagenet_extractor
from kelvin.features.inception import fid_extractor
from kelvin.features.plain import fit_projection, pixel_extractor, random_extractor
from kelvin.scoring.subsets import chosen

PIXEL_DIM, RANDOM_DIM = 64, 64  # as `metrics` of params.yaml has them
FITTED = 20_000  # real images at most that the principal components are fitted to
SEED = 0  # of features: distances in features of another draw could not be compared
FEATURES = ("pixels", "random", IMAGENET, "inception")


def extractors(real: np.ndarray, count: int, names: tuple[str, ...], required: bool
               ) -> tuple[dict[str, Extractor], Missing]:
    """{name: Extractor} for images of real's size, and what is missing and why.

    real (n, C, H, W) uint8: what the principal components of pixels are fitted to, where there are more
    pixels than components (a draw of 20,000 where there are more). count: images of the reference.
    required: KelvinError where one that is named cannot be had. The features depend on no seed but SEED.
    """
    shape, effnet_why, fid_why = real.shape[1:], None, None
    out: dict[str, Extractor] = {}
    if "pixels" in names:
        dim = min(PIXEL_DIM, max(1, len(real) - 1))
        out["pixels"] = pixel_extractor(shape, **fit_projection(
            real[chosen(len(real), FITTED, SEED)], dim))
    if "random" in names:
        out["random"] = random_extractor(shape, RANDOM_DIM, SEED)
    if IMAGENET in names:
        effnet, effnet_why = imagenet_extractor(shape, count)
        if effnet is not None:
            out[IMAGENET] = effnet
        elif required:
            raise KelvinError(effnet_why)
    if "inception" in names:
        inception, fid_why = fid_extractor(os.environ.get("KELVIN_DATA"))
        if inception is not None:
            out["inception"] = inception
        elif required:
            raise KelvinError(fid_why)
    return out, Missing(fid_why, effnet_why)
