"""Does a split show in one part what it holds out in another?

Three signs: groups on both sides; identical images on both sides; near-duplicates on both sides, by
a perceptual distance, since an object may have no label. The distance of image a to image b
is the root mean square of the difference of their 8x8 area averages (each channel), over the standard
deviation of a's own: 0 for the same picture, about 1.4 for unrelated ones, and the same under any
change of contrast. Queries are a seeded subsample; what they are compared with is not.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kelvin.datasets.splitting.folds import KINDS, Folds, development_rows

FILE = "leakage.json"
NEAR = 0.05  # copies and next frames of a turntable: 0.02; nearest of MNIST's thin ones: 0.055
QUERIES = 1000
_SIDE = 8  # averages a side
_BLOCK = 256  # queries, and images at most, at a time
_VALUES = 1 << 20  # of images averaged at a time
_CHUNK = 8192  # images compared with a block of queries at a time
_A_FEW = 0.01  # a larger share of near-duplicates than that is no accident
_PAIRS = 5


@dataclass(frozen=True)
class Looks:
    """Features of n images for the check: 8x8 averages float32 (n, d) around their common mean, the
    standard deviation (n,) of each, and a hash (n,) of all its pixels."""

    averages: np.ndarray
    contrast: np.ndarray
    hashes: np.ndarray


def check_leakage(
    images: np.ndarray, groups: np.ndarray, parts: np.ndarray, folds: Folds | None, seed: int
) -> dict:
    """The contents of leakage.json: checks of the test part, the validation part, and each kind of fold.

    images uint8 (n, C, H, W), read in blocks; groups, parts (n,) as in the store.
    """
    looks = look_at(images)
    test = parts == 2
    checks = []
    if test.any():
        name = "test part against training and validation"
        checks.append(compare(name, test, np.flatnonzero(test), groups, looks, seed))
    rows = development_rows(parts)
    inside = Looks(looks.averages[rows], looks.contrast[rows], looks.hashes[rows])
    validation, every = np.flatnonzero(parts[rows] == 1), np.arange(len(rows))
    splits = {"validation part against training": (parts[rows], validation)} if len(validation) else {}
    splits |= {f"{kind} folds": (folds.fold(kind), every) for kind in KINDS} if folds else {}
    for name, (side, held) in splits.items():
        check = compare(name, side, held, groups[rows], inside, seed)
        pairs = [[int(rows[a]), int(rows[b]), gap] for a, b, gap in check["nearest_pairs"]]
        checks.append(check | {"nearest_pairs": pairs})
    return {
        "rows": "of the store",
        "distance": "RMS of the difference of 8x8 averages over the standard deviation of the held-out "
        "image's own",
        "near": NEAR,
        "seed": seed,
        "checks": checks,
    }


def look_at(images: np.ndarray) -> Looks:
    """Averages, contrast and hash of uint8 images (n, C, H, W), in blocks."""
    averages, hashes = [], np.empty(len(images), np.uint64)
    step = min(_BLOCK, max(1, _VALUES // images[0].size))
    for start in range(0, len(images), step):
        block = np.ascontiguousarray(images[start : start + step])
        for i, image in enumerate(block, start):
            hashes[i] = int.from_bytes(hashlib.blake2b(image, digest_size=8).digest(), "little")
        averages.append(_averages(block).reshape(len(block), -1))
    flat = np.concatenate(averages)
    contrast = np.maximum(flat.std(axis=1), 1)  # a grey level: a blank image has no contrast
    return Looks((flat - flat.mean(axis=0)).astype(np.float32), contrast, hashes)


def compare(
    name: str,
    side: np.ndarray,
    held: np.ndarray,
    groups: np.ndarray,
    looks: Looks,
    seed: int,
) -> dict:
    """One check: the rows `held` against all rows on another side; side (n,) labels the sides."""
    random = np.random.RandomState(seed)
    chosen = np.sort(random.permutation(held)[:QUERIES])
    distance, nearest = nearest_across(looks, side, chosen)
    near = distance < NEAR
    order = np.argsort(distance, kind="stable")[: min(_PAIRS, int(near.sum()))]
    check = {
        "split": name,
        "groups": len(np.unique(groups)),
        "images": len(side),
        "shared_groups": int(_on_both(groups, side).sum()),
        "identical_images": int(np.isin(looks.hashes[held], _values_on_both(looks.hashes, side)).sum()),
        "queries": len(chosen),
        "near_duplicates": int(near.sum()),
        "median_distance": float(np.median(distance)),
        "nearest_pairs": [[int(chosen[i]), int(nearest[i]), float(distance[i])] for i in order],
    }
    return check | {"finding": finding(check)}


def nearest_across(
    looks: Looks, side: np.ndarray, queries: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Distance to, and row of, the nearest image on another side than the query's own."""
    queries = np.asarray(queries)
    best, row = np.full(len(queries), np.inf), np.full(len(queries), -1)
    dim = looks.averages.shape[1]
    squares = np.einsum("ij,ij->i", looks.averages, looks.averages)
    for q in range(0, len(queries), _BLOCK):
        mine = queries[q : q + _BLOCK]
        for start in range(0, len(side), _CHUNK):
            part = slice(start, start + _CHUNK)
            gap = squares[mine, None] + squares[part] - 2 * looks.averages[mine] @ looks.averages[part].T
            gap[side[mine, None] == side[part]] = np.inf
            at = gap.argmin(axis=1)
            lowest = gap[np.arange(len(mine)), at]
            better = lowest < best[q : q + _BLOCK]
            best[q : q + _BLOCK][better] = lowest[better]
            row[q : q + _BLOCK][better] = at[better] + start
    return np.sqrt(np.maximum(best, 0) / dim) / looks.contrast[queries], row


def finding(check: dict) -> str:
    """The check in one sentence."""
    groups, images, queries = check["groups"], check["images"], check["queries"]
    shared, identical, near = (
        check["shared_groups"], check["identical_images"], check["near_duplicates"]
    )  # fmt: skip
    grouping = "no groups known" if groups == images else f"{shared} of {groups} groups on both sides"
    if identical or near > _A_FEW * queries:
        verdict = "leaks: what is held out is shown on the other side"
    elif shared:
        verdict = "leaks groups: held-out pictures are new, what they show is not"
    elif near:
        verdict = "a few images look alike, no more than chance may bring"
    else:
        verdict = "no leak found"
    return (
        f"{check['split']}: {grouping}, {identical} identical images, near-duplicates of {near} in "
        f"{queries} held-out images (median distance {check['median_distance']:.3g}); {verdict}"
    )


def _averages(images: np.ndarray) -> np.ndarray:
    """(n, C, H, W) -> float64 (n, C, <=8, <=8), the mean of each cell of an even grid."""
    cells = images.astype(np.float64)
    for axis in (2, 3):
        size = images.shape[axis]
        starts = np.arange(min(_SIDE, size)) * size // min(_SIDE, size)
        lengths = np.diff(np.append(starts, size))
        cells = np.add.reduceat(cells, starts, axis=axis)
        cells /= lengths.reshape([-1 if a == axis else 1 for a in range(4)])
    return cells


def _on_both(values: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Mask over the unique values: which of them occur on more than one side."""
    _, value = np.unique(values, return_inverse=True)
    _, label = np.unique(side, return_inverse=True)
    sides = np.unique(np.stack([value, label]), axis=1)
    return np.bincount(sides[0]) > 1


def _values_on_both(values: np.ndarray, side: np.ndarray) -> np.ndarray:
    return np.unique(values)[_on_both(values, side)]
