"""Does a model copy? Distance in pixel space to the nearest training images."""

from dataclasses import dataclass

import numpy as np

from kelvin.errors import KelvinError
from kelvin.metrics.checks import check_images


@dataclass(frozen=True, eq=False)
class Memorisation:
    """What `memorisation` found. Distances are root mean squares over pixels, [0, 1].

    distance, index: (n,) to and of each sample's nearest training image. ratio: median distance of
    samples over that of held-out images; below 1 samples are nearer, by copying or by blurring.
    copies: (n,) bool. copy_fraction: their mean. copier: whether it exceeds `max_fraction`.
    """

    distance: np.ndarray
    index: np.ndarray
    ratio: float
    copies: np.ndarray
    copy_fraction: float
    copier: bool


def nearest(queries, train, k=1, block=1024):
    """Distance and index (n, k), nearest first, of the k nearest training images to each query.

    queries (n, C, H, W), train (m, C, H, W), [0, 1]. distance: root mean square over pixels.
    Memory: one block x block table at a time.
    """
    a, b = check_images(queries, "queries"), check_images(train, "training images", k)
    if a.shape[1:] != b.shape[1:]:
        raise KelvinError(
            f"queries are {a.shape[1:]}, training images {b.shape[1:]}: not one shape."
        )
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    found = [_nearest_rows(a[i : i + block], b, k, block) for i in range(0, len(a), block)]
    return tuple(np.concatenate(part) for part in zip(*found, strict=True))


def _nearest_rows(rows, b, k, block):
    rows = rows.astype(np.float64)
    best = np.empty((len(rows), 0))
    index = np.empty((len(rows), 0), dtype=np.int64)
    for start in range(0, len(b), block):
        part = b[start : start + block].astype(np.float64)
        squared = (rows**2).sum(1)[:, None] + (part**2).sum(1) - 2 * rows @ part.T
        best = np.concatenate([best, squared], 1)
        names = np.broadcast_to(np.arange(start, start + len(part)), squared.shape)
        index = np.concatenate([index, names], 1)
        if best.shape[1] > k:
            kept = np.argpartition(best, k - 1, axis=1)[:, :k]
            best = np.take_along_axis(best, kept, 1)
            index = np.take_along_axis(index, kept, 1)
    # |a|^2 + |b|^2 - 2ab cancels near zero, where copies are: the winners are measured afresh.
    distance = np.sqrt(np.mean((rows[:, None] - b[index].astype(np.float64)) ** 2, axis=2))
    order = np.argsort(distance, axis=1, kind="stable")
    return np.take_along_axis(distance, order, 1), np.take_along_axis(index, order, 1)


def nearest_ratio(sample_distance, heldout_distance):
    """Median distance of samples over median distance of held-out images, each (n,)."""
    middle = np.median(heldout_distance)
    if middle == 0:
        raise KelvinError("most held-out images are in the training set: no distance to compare.")
    return float(np.median(sample_distance) / middle)


def find_copies(samples, heldout, quantile=0.01):
    """Which samples are copies, given distances (n, 2) to the two nearest training images.

    A copy is nearer to its nearest training image than all but `quantile` of held-out images, and
    so is the ratio of its two distances. The second condition (as Yoon et al. 2023, but calibrated
    on held-out images) spares blurred samples, which are near many training images at once. Honest
    samples are called copies at a rate of at most `quantile`. A training set that holds every
    image twice hides its copies, and so do held-out images that are near-copies themselves.
    """
    absolute = samples[:, 0] < np.quantile(heldout[:, 0], quantile)
    return absolute & (_gap(samples) < np.quantile(_gap(heldout), quantile))


def _gap(distance):
    first, second = distance.T
    return np.divide(first, second, out=np.ones_like(first), where=second > 0)


def is_copier(copy_fraction, max_fraction=0.05):
    """Whether more than `max_fraction` of the samples are copies; honest ones make 0.01 or less."""
    return bool(copy_fraction > max_fraction)


def memorisation(samples, train, heldout, quantile=0.01, max_fraction=0.05):
    """Memorisation of training images by samples, judged by held-out real images.

    All are images (n, C, H, W) in [0, 1]; at least 1 / quantile held-out ones are needed.
    """
    if len(heldout) * quantile < 1:
        raise KelvinError(
            f"{len(heldout)} held-out images cannot give their {quantile} quantile: at least "
            f"{int(np.ceil(1 / quantile))} are needed."
        )
    real, _ = nearest(heldout, train, k=2)
    distance, index = nearest(samples, train, k=2)
    copies = find_copies(distance, real, quantile)
    fraction = float(copies.mean())
    ratio = nearest_ratio(distance[:, 0], real[:, 0])
    copier = is_copier(fraction, max_fraction)
    return Memorisation(distance[:, 0], index[:, 0], ratio, copies, fraction, copier)
