"""Does a model copy? Distance in pixel space to the nearest training images."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kelvin.common.errors import KelvinError
from kelvin.metrics.checks import check_images

Near = tuple[np.ndarray, np.ndarray]  # distance (n, k) and index (n, k), as `nearest` gives them


class Neighbours:
    """Training images, and how near to them held-out images and they themselves lie: whoever asks first
    has it worked out, for all sets of samples that are held against them. A training image that occurs
    several times counts once: the distance 0 between two of them would hide every copy of either.

    train (m, C, H, W), heldout (h, C, H, W): uint8, or in [0, 1].
    """

    def __init__(self, train: np.ndarray, heldout: np.ndarray) -> None:
        self.train, self.images = train, heldout
        self._places = distinct(train)
        self._distinct = train if len(self._places) == len(train) else train[self._places]
        self._own = np.full(len(train), np.nan)

    def of(self, images: np.ndarray) -> Near:
        """The two distinct training images nearest to each of these (n, C, H, W)."""
        distance, index = nearest(images, self._distinct, k=2)
        return distance, self._places[index]

    @cached_property
    def heldout(self) -> Near:
        """Those of the held-out images."""
        return self.of(self.images)

    def own(self, index: np.ndarray) -> np.ndarray:
        """(n,) distances of the training images `index` to the nearest that differ from them."""
        unknown = np.unique(index[np.isnan(self._own[index])])
        if len(unknown):
            self._own[unknown] = self.of(self.train[unknown])[0][:, 1]  # the first is the image itself
        return self._own[index]


@dataclass(frozen=True, eq=False)
class Memorisation:
    """The result of `memorisation`. Distances are root mean squares over pixels, [0, 1].

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


def distinct(images: np.ndarray) -> np.ndarray:
    """Places (m,) of images (n, ...), rising, without those that repeat an earlier one pixel by pixel."""
    first: dict[bytes, int] = {}
    for place, image in enumerate(images):
        first.setdefault(hashlib.blake2b(image.tobytes(), digest_size=16).digest(), place)
    return np.fromiter(first.values(), np.int64, len(first))


def nearest(queries: np.ndarray, train: np.ndarray, k: int = 1, block: int = 1024) -> tuple[np.ndarray,
            np.ndarray]:
    """Distance and index (n, k), nearest first, of the k nearest training images to each query.

    queries (n, C, H, W), train (m, C, H, W), [0, 1]. distance: root mean square over pixels, exact to
    float64. Of training images at one distance the first comes first. Memory: one block x block table
    at a time.
    """
    a, b = check_images(queries, "queries"), check_images(train, "training images", k)
    if a.shape[1:] != b.shape[1:]:
        raise KelvinError(
            f"queries are {a.shape[1:]}, training images {b.shape[1:]}: not one shape."
        )
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    norms = np.einsum("ij,ij->i", b, b)
    blocks = [_nearest_rows(a[i : i + block], b, norms, k, block) for i in range(0, len(a), block)]
    return tuple(np.concatenate(part) for part in zip(*blocks, strict=True))


def _nearest_rows(rows: np.ndarray, b: np.ndarray, norms: np.ndarray, k: int,
                  block: int) -> tuple[np.ndarray, np.ndarray]:
    """`nearest` of one block of rows (r, d): products in float32 say which images could be among the k
    nearest whatever the rounding, and only these are measured, in float64, as differences."""
    largest = norms.max()
    # |a . b| is off by d eps/2 |a| |b| at most (Higham 2002, eq. 3.5); twice that, and |b|^2 and sums
    slack = (rows.shape[1] + 4) * np.finfo(np.float32).eps * (
        np.sqrt(np.einsum("ij,ij->i", rows, rows) * largest) + largest)
    best = np.full((len(rows), k), np.inf, dtype=np.float32)
    pairs, doubled = [], -2 * rows
    for start in range(0, len(b), block):
        table = doubled @ b[start : start + block].T
        table += norms[start : start + block]  # |a|^2 is left out: it ranks nothing
        near = np.flatnonzero(table.min(1) <= best[:, -1] + 2 * slack)  # few after the first blocks
        table = table[near] if len(near) < len(rows) else table
        best[near] = np.sort(np.concatenate([best[near], _smallest(table, k)], 1), axis=1)[:, :k]
        row, column = np.nonzero(table <= (best[near, -1] + 2 * slack[near])[:, None])
        pairs.append((near[row], column + start, table[row, column]))
    row, column, value = (np.concatenate(part) for part in zip(*pairs, strict=True))
    left = value <= best[row, -1] + 2 * slack[row]
    row, column = row[left], column[left]
    distance = np.concatenate([_distance(rows[row[i : i + block]], b[column[i : i + block]])
                               for i in range(0, len(row), block)])
    order = np.lexsort((column, distance, row))  # of equal ones the first
    starts = np.searchsorted(row[order], np.arange(len(rows)))
    chosen = order[starts[:, None] + np.arange(k)]
    return distance[chosen], column[chosen]


def _smallest(table: np.ndarray, k: int) -> np.ndarray:
    """The k smallest of each row, or all of them where there are fewer."""
    return table.min(1, keepdims=True) if k == 1 else np.partition(
        table, min(k, table.shape[1]) - 1, axis=1)[:, :k]


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Root mean square of the differences of rows, in float64."""
    return np.sqrt(np.mean((a.astype(np.float64) - b) ** 2, axis=1))


def nearest_ratio(sample_distance: np.ndarray, heldout_distance: np.ndarray) -> float:
    """Median distance of samples over median distance of held-out images, each (n,)."""
    middle = np.median(heldout_distance)
    if middle == 0:
        raise KelvinError("most held-out images are in the training set: no distance to compare.")
    return float(np.median(sample_distance) / middle)


def find_copies(samples: np.ndarray, heldout: np.ndarray, quantile: float = 0.01) -> np.ndarray:
    """Which samples are copies, given distances (n, 2) to the two nearest training images.

    A copy is nearer to its nearest training image than all but `quantile` of held-out images, and
    so is the ratio of its two distances. The second condition (as Yoon et al. 2023, but calibrated
    on held-out images) spares blurred samples, which are near many training images at once. Honest
    samples are called copies at a rate of at most `quantile`. A training set that holds a near-copy of
    every image hides its copies, and so do held-out images that are near-copies themselves.
    """
    absolute = samples[:, 0] < np.quantile(heldout[:, 0], quantile)
    return absolute & (_gap(samples) < np.quantile(_gap(heldout), quantile))


def _gap(distance: np.ndarray) -> np.ndarray:
    first, second = distance.T
    return np.divide(first, second, out=np.ones_like(first), where=second > 0)


def is_copier(copy_fraction: float, max_fraction: float = 0.05) -> bool:
    """Whether more than `max_fraction` of the samples are copies; honest ones make 0.01 or less."""
    return bool(copy_fraction > max_fraction)


def memorisation(near: Near, real: Neighbours, quantile: float = 0.01, max_fraction: float = 0.05
                 ) -> Memorisation:
    """Memorisation of training images by samples, judged by held-out real images.

    near: `real.of` the samples. At least 1 / quantile held-out images are needed.
    """
    if len(real.images) * quantile < 1:
        raise KelvinError(
            f"{len(real.images)} held-out images cannot give their {quantile} quantile: at least "
            f"{int(np.ceil(1 / quantile))} are needed."
        )
    (distance, index), (held_out, _) = near, real.heldout
    copies = find_copies(distance, held_out, quantile)
    fraction = float(copies.mean())
    ratio = nearest_ratio(distance[:, 0], held_out[:, 0])
    copier = is_copier(fraction, max_fraction)
    return Memorisation(distance[:, 0], index[:, 0], ratio, copies, fraction, copier)
