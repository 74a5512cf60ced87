"""Precision and recall of generated features (Kynkaanniemi et al. 2019, eq. 1 and 2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kelvin.errors import KelvinError
from kelvin.metrics.checks import check_features


@dataclass(frozen=True)
class Manifold:
    """precision: share of samples within the real manifold; recall: share of real ones within theirs."""

    precision: float
    recall: float


def precision_recall(real: np.ndarray, generated: np.ndarray, neighbours: int) -> Manifold:
    """A set's manifold is the union of balls around its points, each reaching its k-th neighbour.

    real (n, d) and generated (m, d) features; neighbours: k, below both n and m. Two equal sets have
    precision and recall 1.
    """
    check_features(real, "real features")
    check_features(generated, "generated features")
    if not 1 <= neighbours < min(len(real), len(generated)):
        raise KelvinError(f"metrics.neighbours = {neighbours} must be at least 1 and less than the "
                          f"{min(len(real), len(generated))} features compared")
    return Manifold(within(generated, real, neighbours), within(real, generated, neighbours))


def within(points: np.ndarray, centres: np.ndarray, neighbours: int) -> float:
    """Share of the points that lie in a ball of some centre."""
    from sklearn.metrics import pairwise_distances_chunked  # late: a second to import

    def reach(block: np.ndarray, start: int) -> np.ndarray:
        return np.partition(block, neighbours, axis=1)[:, neighbours]  # the nearest one is itself

    radius = np.concatenate(list(pairwise_distances_chunked(centres, reduce_func=reach)))

    def covered(block: np.ndarray, start: int) -> np.ndarray:
        return (block <= radius * (1 + 1e-9) + 1e-12).any(1)

    inside = np.concatenate(list(pairwise_distances_chunked(points, centres, reduce_func=covered)))
    return float(inside.mean())
