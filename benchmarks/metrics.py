"""Benchmark rows of the metrics: the Frechet distance at 2048 features, nearest neighbours.

`python benchmarks/metrics.py` streams 50,000 x 2048 features and prints the peak of its memory.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.linalg

from kelvin.metrics.frechet import frechet_distance
from kelvin.metrics.moments import Moments, moments, stream_moments
from kelvin.metrics.nearest import nearest

DIM, ROWS = 2048, 50_000
QUERIES, TRAINING, SHAPE = 500, 10_000, (1, 28, 28)


def frechet_sides() -> tuple[Callable[[], float], Callable[[], float]]:
    """Kelvin's distance and pytorch-fid's of one pair of full-rank moments of 2048 features."""
    from pytorch_fid import fid_score

    class Linalg:
        """scipy 1.18 drops sqrtm's `disp`, which pytorch-fid passes: given back here."""

        @staticmethod
        def sqrtm(a, disp=True):
            return scipy.linalg.sqrtm(a) if disp else (scipy.linalg.sqrtm(a), 0.0)

    fid_score.linalg = Linalg
    rng = np.random.default_rng(0)
    mix = rng.standard_normal((DIM, DIM)) / np.sqrt(DIM)
    a = moments(rng.standard_normal((2 * DIM, DIM)))
    b = moments(rng.standard_normal((2 * DIM, DIM)) @ mix + 0.1)

    def ours() -> float:
        # anew each time: nothing kept from an earlier call may help
        return frechet_distance(a, Moments(b.n, b.mean, b.cov))

    def peer() -> float:
        return fid_score.calculate_frechet_distance(a.mean, a.cov, b.mean, b.cov)

    return ours, peer


def neighbour_sides() -> tuple[Callable[[], tuple], Callable[[], tuple]]:
    """Kelvin's nearest training images, and those by one whole matrix of distances; equal to 1e-6."""
    rng = np.random.default_rng(1)
    queries = rng.random((QUERIES, *SHAPE), dtype=np.float32)
    training = rng.random((TRAINING, *SHAPE), dtype=np.float32)

    def ours() -> tuple:
        distance, index = nearest(queries, training)
        return distance[:, 0], index[:, 0]

    def whole() -> tuple:
        a, b = (x.reshape(len(x), -1).astype(np.float64) for x in (queries, training))
        squared = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
        index = squared.argmin(1)
        return np.sqrt(squared[np.arange(len(a)), index] / a.shape[1]), index

    for left, right in zip(ours(), whole(), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-6)
    return ours, whole


def peak(work: Callable[[], object]) -> float:
    """MiB that numpy held at once during a call, above what it held before."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


def resident(field: str) -> float:
    """MiB of this process by /proc: VmRSS is held now, VmHWM was the most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def stream(rows: int = ROWS, batch: int = 256) -> float:
    """MiB that moments of rows x 2048 features and their distance take above the start."""
    rng, start = np.random.default_rng(0), resident("VmRSS")
    sizes = [min(batch, rows - i) for i in range(0, rows, batch)]
    a = stream_moments(rng.random((size, DIM), dtype=np.float32) for size in sizes)
    frechet_distance(a, Moments(a.n, a.mean + 1, 2 * a.cov))
    return resident("VmHWM") - start


if __name__ == "__main__":
    print(f"{ROWS:,} x {DIM} features in batches of 256 and a distance: "
          f"{stream():,.0f} MiB above the start")
