"""Copies of real images in a set, sought among all real images."""

from __future__ import annotations

import numpy as np

from kelvin.metrics.nearest import distinct, find_copies, nearest
from kelvin.scoring.subsets import chosen

JUDGES = 5_000  # real images whose distances to all others say how near real images are
QUANTILE = 0.01
LEAST = 10  # distinct real images: fewer say nothing of how near they are to one another
PIXELS = 2**26  # pixels of either side held as floats at once: 256 MB each


class Originals:
    """Real images (n, C, H, W) uint8 that copies are sought among, each once however often it occurs: a
    real image that occurs twice has the distance 0 to another, and nothing is nearer than that.

    Time grows with images times real images times pixels; memory does not grow with either number.
    """

    def __init__(self, images: np.ndarray, seed: int) -> None:
        self.images, self.rows = images, distinct(images)
        self.judged = len(self.rows) >= LEAST
        if self.judged:
            judges = images[self.rows[chosen(len(self.rows), JUDGES, seed)]]
            self._own = self._distances(judges, 3)[:, 1:]  # the nearest of all is the image itself

    def share(self, images: np.ndarray) -> float | None:
        """Share in [0, 1] of images (n, C, H, W) that are copies (`find_copies`, held against the real
        images themselves); None where fewer than 10 real images are distinct."""
        if not self.judged:
            return None
        return float(find_copies(self._distances(images, 2), self._own, QUANTILE).mean())

    def _distances(self, images: np.ndarray, k: int) -> np.ndarray:
        """(n, k), rising: those of `nearest` to all distinct real images, worked out in parts."""
        step, parts = max(k, PIXELS // images[0].size), []
        for start in range(0, len(images), step):
            some = images[start:start + step]
            best = np.empty((len(some), 0))
            for at in range(0, len(self.rows), step):
                real = self.images[self.rows[at:at + step]]
                near = nearest(some, real, min(k, len(real)))[0]
                best = np.sort(np.concatenate([best, near], 1), 1)[:, :k]
            parts.append(best)
        return np.concatenate(parts)
