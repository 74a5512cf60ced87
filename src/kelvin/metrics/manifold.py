"""Fidelity and diversity apart: balls around points, each reaching its k-th neighbour.

Precision and recall (Kynkaanniemi et al. 2019, eq. 1 and 2) draw them around either set; density and
coverage (Naeem et al. 2020, eq. 5 and 6) around the real points only, so that outliers among the
samples widen nothing, and count how many of them hold a sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from kelvin.common.errors import KelvinError
from kelvin.metrics.checks import check_features

ROUNDING = 1e-13  # of |a|^2 + |b|^2: a squared distance below is a rounding error
MEMORY = 128  # MiB of distances that exist at one time


@dataclass(frozen=True)
class Manifold:
    """precision: share of samples within the real manifold; recall: share of real ones within theirs."""

    precision: float
    recall: float


@dataclass(frozen=True)
class DensityCoverage:
    """density: real balls that hold a sample, in units of k, mean over samples; >= 0, 1 on average for
    samples of the real distribution, above 1 where they keep to the middle of it, as averages do.
    coverage: share of real balls that hold a sample, [0, 1]; it grows with the number of samples: see
    `expected_coverage`."""

    density: float
    coverage: float


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


def density_coverage(real: np.ndarray, generated: np.ndarray, neighbours: int) -> DensityCoverage:
    """Density and coverage of generated (m, d) in the balls of real (n, d) features.

    neighbours: k, below n; the paper takes 5 and 10,000 images of each. A ball includes its border.
    """
    real = check_features(real, "real features")
    generated = check_features(generated, "generated features", 1, real.shape[1])
    if not 1 <= neighbours < len(real):
        raise KelvinError(f"metrics.neighbours = {neighbours} must be at least 1 and less than the "
                          f"{len(real)} real features")
    radius = radii(real, neighbours)
    held, hit = 0, np.zeros(len(real), dtype=bool)
    for block in distances(generated, real):
        inside = block <= radius
        held += np.count_nonzero(inside)
        hit |= inside.any(0)
    return DensityCoverage(float(held / (neighbours * len(generated))), float(hit.mean()))


def balls(real: np.ndarray, generated: np.ndarray, neighbours: int) -> tuple[Manifold, DensityCoverage]:
    """`precision_recall` and `density_coverage` by one table of distances, three fifths of their work."""
    real = check_features(real, "real features")
    generated = check_features(generated, "generated features", 1, real.shape[1])
    if not 1 <= neighbours < min(len(real), len(generated)):
        raise KelvinError(f"{neighbours} neighbours must be at least 1 and less than the "
                          f"{min(len(real), len(generated))} features compared")
    around_real, around_generated = radii(real, neighbours), radii(generated, neighbours)
    first, precise, held = 0, 0, 0
    covered, recalled = np.zeros((2, len(real)), dtype=bool)
    for block in distances(generated, real):
        inside = block <= around_real
        precise += np.count_nonzero(inside.any(1))
        held += np.count_nonzero(inside)
        covered |= inside.any(0)
        recalled |= (block <= around_generated[first:first + len(block), None]).any(0)
        first += len(block)
    return Manifold(precise / len(generated), float(recalled.mean())), DensityCoverage(
        held / (neighbours * len(generated)), float(covered.mean()))


def expected_coverage(n: int, m: int, neighbours: int) -> float:
    """Coverage of n real points by m samples of the same distribution, on average (Naeem et al.
    2020): 1 - (n-1)...(n-k) / ((n+m-1)...(n+m-k)), for any continuous distribution."""
    factors = [(n - i) / (n + m - i) for i in range(1, neighbours + 1)]
    return 1 - float(np.prod(factors))


def within(points: np.ndarray, centres: np.ndarray, neighbours: int) -> float:
    """Share of the points that lie in a ball of some centre."""
    radius = radii(centres, neighbours)
    held = [(block <= radius).any(1) for block in distances(points, centres)]
    return float(np.concatenate(held).mean())


def radii(centres: np.ndarray, neighbours: int) -> np.ndarray:
    """Distance (n,) from each centre to its k-th neighbour, and a little more than rounding errors."""
    # the nearest one is itself; a column left uncopied would keep its whole block in memory
    parts = [np.partition(block, neighbours, axis=1)[:, neighbours].copy()
             for block in distances(centres, centres)]
    return np.concatenate(parts) * (1 + 1e-9) + 1e-12


def distances(points: np.ndarray, centres: np.ndarray) -> Iterator[np.ndarray]:
    """Euclidean distances of all points to all centres in float64, as many rows at once as MEMORY holds;
    exactly 0 between equal points, where |a|^2 + |b|^2 - 2ab would leave rounding errors."""
    points, centres = np.asarray(points, np.float64), np.asarray(centres, np.float64)
    rows = max(1, MEMORY * 2**20 // (8 * len(centres)) // 3)  # the products and their square roots
    squares = (centres**2).sum(1)
    for first in range(0, len(points), rows):
        part = points[first:first + rows]
        block = part @ centres.T
        block *= -2
        own = (part**2).sum(1)
        block += own[:, None]
        block += squares
        np.maximum(block, 0, out=block)
        i, j = np.nonzero(block <= ROUNDING * (own.max() + squares.max()))  # few: the others are far
        equal = block[i, j] <= ROUNDING * (own[i] + squares[j])
        block[i[equal], j[equal]] = 0
        yield np.sqrt(block, out=block)
