"""Feature extractors: images in [0, 1] to feature vectors, in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from kelvin.common.errors import KelvinError
from kelvin.metrics.checks import check_features, check_images


@dataclass(frozen=True)
class Extractor:
    """A named map from images (b, C, H, W) in [0, 1] to features (b, dim).

    preprocessing: what is done to the images first, in words. hash: of the weights. Statistics
    computed with an extractor go stale unless their name covers both. function: float32 array to
    array, one batch at a time. components: Frechet distances are taken in so many principal components
    of the features, fitted to the reference; None: in the features themselves.
    """

    name: str
    dim: int
    preprocessing: str
    hash: str
    function: Callable
    components: int | None = None

    def batches(self, images: np.ndarray, batch_size: int = 256) -> Iterator[np.ndarray]:
        """Features of one batch after another, float64 (b, dim): memory does not grow with n.

        images: (n, C, H, W), uint8 or float [0, 1]; converted and checked a batch at a time.
        """
        for start in range(0, len(images), batch_size):
            part = check_images(images[start : start + batch_size], "images to extract from")
            features = check_features(self.function(part), f"{self.name}'s features", 1, self.dim)
            if len(features) != len(part):
                raise KelvinError(
                    f"{self.name}: {len(features)} rows of features for {len(part)} images, "
                    "it must make one row each."
                )
            yield features

    def __call__(self, images: np.ndarray, batch_size: int = 256) -> np.ndarray:
        """Features of all images, (n, dim) float64."""
        check_images(images[:1], "images to extract from")
        return np.concatenate(list(self.batches(images, batch_size)))


@dataclass(frozen=True)
class Missing:
    """Why extractors with weights from elsewhere are not there: one sentence, None where they are."""

    fid: str | None = None
    effnet: str | None = None
