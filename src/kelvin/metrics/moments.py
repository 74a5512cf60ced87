"""Mean and covariance of features, in one pass and in float64."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kelvin.common.errors import KelvinError
from kelvin.metrics.checks import check_features


@dataclass(frozen=True, eq=False)
class Moments:
    """Count n, mean (d,) and unbiased covariance (d, d) of features: all that a reference keeps."""

    n: int
    mean: np.ndarray
    cov: np.ndarray

    @property
    def dim(self) -> int:
        return len(self.mean)

    @cached_property
    def factor(self) -> np.ndarray:
        """F (d, r) with F F^T = cov, r the numerical rank: a square root without its null space."""
        values, vectors = np.linalg.eigh(self.cov)
        keep = values > self.dim * np.finfo(np.float64).eps * max(values[-1], 0.0)
        return vectors[:, keep] * np.sqrt(values[keep])

    def to_arrays(self) -> dict[str, np.ndarray]:
        """A dict of arrays, ready for np.savez."""
        return {"n": np.asarray(self.n), "mean": self.mean, "cov": self.cov}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Moments:
        """The moments that `to_arrays` wrote; shapes are checked."""
        missing = {"n", "mean", "cov"} - set(arrays)
        if missing:
            raise KelvinError(f"stored moments lack {sorted(missing)}; they need n, mean and cov.")
        mean = np.asarray(arrays["mean"], dtype=np.float64)
        cov = np.asarray(arrays["cov"], dtype=np.float64)
        if mean.ndim != 1 or cov.shape != (len(mean), len(mean)):
            raise KelvinError(
                f"stored moments have mean {mean.shape} and cov {cov.shape}, not (d,) and (d, d)."
            )
        return cls(int(arrays["n"]), mean, cov)


class MomentAccumulator:
    """Moments of features that come in batches; memory is d^2 whatever n is.

    Batches are merged as in Chan, Golub and LeVeque (1979), eq. 2.1, so that the result does not
    depend on how the features were cut into batches (tested to 1e-12).
    """

    def __init__(self) -> None:
        self.n, self._mean, self._scatter = 0, 0.0, 0.0

    def update(self, features: np.ndarray) -> None:
        """Add a batch (b, d); an empty batch changes nothing."""
        dim = len(self._mean) if self.n else None
        x = check_features(features, "features", 0, dim)
        if not len(x):
            return
        mean = x.mean(0)
        centred = x - mean
        total, gap = self.n + len(x), mean - self._mean
        self._scatter += centred.T @ centred + np.outer(gap, gap) * (self.n * len(x) / total)
        self._mean = self._mean + gap * (len(x) / total)
        self.n = total

    def result(self) -> Moments:
        """The Moments so far; a KelvinError below two rows, which have no covariance."""
        if self.n < 2:
            raise KelvinError(
                f"a covariance needs at least 2 rows of features, there are {self.n}."
            )
        return Moments(self.n, self._mean, self._scatter / (self.n - 1))


def stream_moments(batches: Iterable[np.ndarray]) -> Moments:
    """Moments of an iterable of feature batches (b, d)."""
    accumulator = MomentAccumulator()
    for batch in batches:
        accumulator.update(batch)
    return accumulator.result()


def moments(features: np.ndarray) -> Moments:
    """Moments of features (n, d), n >= 2."""
    return stream_moments([features])
