"""Statistics of real images: computed, cached under a key of their inputs, or read from a file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kelvin.common.errors import KelvinError
from kelvin.common.files import write_arrays
from kelvin.config.digest import fingerprint
from kelvin.features.extractor import Extractor
from kelvin.metrics.moments import Moments, stream_moments
from kelvin.scoring.images import UNREADABLE
from kelvin.scoring.subsets import chosen

LARGEST = 1e100    # of mu and sigma: squares of what is larger overflow
EXTRACTOR = "extractor"  # of statistics that Kelvin wrote
ASYMMETRY = 1e-5   # of a covariance that went through float32, as a share of its largest value


@dataclass(frozen=True)
class Reference:
    """moments: of all real images in an extractor's features. subset (k, d): features of a few."""

    moments: Moments
    subset: np.ndarray


class Cache:
    """References of one set of real images (n, C, H, W); in a folder, or not stored (None)."""

    def __init__(self, folder: str | Path | None, images: np.ndarray) -> None:
        self.folder, self.images = None if folder is None else Path(folder), images
        digest = hashlib.sha256(repr(images.shape).encode() + b"\0")
        digest.update(np.ascontiguousarray(images).data)
        self.data = digest.hexdigest()

    def reference(self, extractor: Extractor, most: int, seed: int) -> Reference:
        """The statistics in an extractor's features, with features of at most `most` images."""
        key = fingerprint(self.data, extractor.hash, extractor.preprocessing, extractor.dim, most, seed)
        path = None if self.folder is None else self.folder / f"{extractor.name}-{key}.npz"
        if path is not None and path.exists() and (
                stored := _read(path, extractor.dim, min(most, len(self.images)))):
            return stored
        features = self._measured(extractor, most, seed)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_arrays(path, **features.moments.to_arrays(), kept=features.subset)
        return features

    def _measured(self, extractor: Extractor, most: int, seed: int) -> Reference:
        wanted = np.zeros(len(self.images), bool)
        wanted[chosen(len(self.images), most, seed)] = True
        subset, start = [], 0

        def batches() -> Iterator[np.ndarray]:
            nonlocal start
            for features in extractor.batches(self.images):
                subset.append(features[wanted[start:start + len(features)]])
                start += len(features)
                yield features

        return Reference(stream_moments(batches()), np.concatenate(subset))


@dataclass(frozen=True)
class Published:
    """mu and sigma of a file, without a count (n is 0). extractor: what made them (see `identity`); None
    where the file does not say."""

    moments: Moments
    extractor: str | None


def identity(extractor: Extractor) -> str:
    """Name, weights and preprocessing: features of extractors that differ in any are not comparable."""
    return f"{extractor.name} {extractor.hash} {extractor.preprocessing}"


def _read(path: Path, dim: int, kept: int) -> Reference | None:
    """A stored reference with `kept` features; None where the file is damaged: it is computed anew."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            stored = Reference(Moments.from_arrays(arrays), np.asarray(arrays["kept"], np.float64))
    except (*UNREADABLE, KelvinError):
        return None
    whole = stored.moments.dim == dim and stored.subset.shape == (kept, dim)
    return stored if whole and np.isfinite(stored.subset).all() else None


def read_statistics(path: Path) -> Published | None:
    """An .npz with `mu` (d,) and `sigma` (d, d), as pytorch-fid and others publish them, and as
    `write_statistics` does.

    None where it is no such file. KelvinError where the shapes do not fit.
    """
    if path.suffix.lower() != ".npz" or not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if not {"mu", "sigma"} <= set(arrays.files):
                return None
            mu, sigma = (arrays[key] for key in ("mu", "sigma"))
            extractor = str(arrays[EXTRACTOR]) if EXTRACTOR in arrays.files else None
    except UNREADABLE as error:
        raise KelvinError(f"{path} cannot be read ({error})") from error
    if mu.dtype.kind not in "fiu" or sigma.dtype.kind not in "fiu":
        raise KelvinError(f"{path}: mu is {mu.dtype} and sigma {sigma.dtype}; both should be real")
    mu, sigma = mu.astype(np.float64), sigma.astype(np.float64)
    if mu.ndim != 1 or not len(mu) or sigma.shape != (len(mu), len(mu)) \
            or not (np.isfinite(mu).all() and np.isfinite(sigma).all()):
        raise KelvinError(f"{path}: mu {mu.shape} and sigma {sigma.shape} should be finite, (d,) and "
                          "(d, d)")
    if max(np.abs(mu).max(), np.abs(sigma).max()) > LARGEST:
        raise KelvinError(f"{path}: mu or sigma holds values above {LARGEST:g}: no features have them")
    largest = max(float(np.abs(sigma).max()), np.finfo(np.float64).tiny)
    if np.abs(sigma - sigma.T).max() > ASYMMETRY * largest:
        raise KelvinError(f"{path}: sigma is not symmetric, so it is no covariance")
    if (lowest := float(np.linalg.eigvalsh(sigma)[0])) < -ASYMMETRY * len(mu) * largest:
        raise KelvinError(f"{path}: sigma has the negative eigenvalue {lowest:.3g}, so it is no "
                          "covariance")
    return Published(Moments(0, mu, sigma), extractor)


def write_statistics(path: str | Path, images: np.ndarray, extractor: Extractor) -> None:
    """mu and sigma of images in an extractor's features, and which it was."""
    moments = stream_moments(extractor.batches(images))
    write_arrays(Path(path), mu=moments.mean, sigma=moments.cov,
                 **{EXTRACTOR: np.array(identity(extractor))})
