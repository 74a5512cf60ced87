"""Principal components of features, from their moments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

from kelvin.metrics.moments import Moments


@dataclass(frozen=True, eq=False)
class Principal:
    """mean (d,); components (d, k): orthonormal, of the largest variance first. Centred, not whitened, so
    that distances remain root sums of squared features."""

    mean: np.ndarray
    components: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Features (n, d) -> (n, k)."""
        return (features - self.mean) @ self.components

    def moments(self, full: Moments) -> Moments:
        """The moments that features with these moments have in the components."""
        return Moments(full.n, (full.mean - self.mean) @ self.components,
                       self.components.T @ full.cov @ self.components)


def principal(moments: Moments, count: int) -> Principal:
    """The first `count` principal components of features with these moments; count <= d."""
    _, vectors = eigh(moments.cov, subset_by_index=[moments.dim - count, moments.dim - 1])
    vectors = vectors[:, ::-1]
    # an eigenvector has no sign of its own: its largest entry is made positive
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(0)[None], 0)
    return Principal(moments.mean, vectors * np.sign(largest))
