"""Seeded, stratified train / validation / test parts of exact sizes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from kelvin.common.errors import KelvinError

TRAIN, VALIDATION, TEST = range(3)


def make_split(
    labels: np.ndarray,
    class_names: Sequence[str],
    validation: float | int,
    test: float | int | None,
    seed: int,
    given_test: np.ndarray | None = None,
) -> np.ndarray:
    """uint8 (n,): 0 train, 1 validation, 2 test, every class on every side.

    test and validation are a count (int) or a share (float in (0, 1), rounded): test of all
    images, validation of those that are left; validation 0 draws none. A given test part is kept
    as it is. How many images go to validation does not change which go to the test.
    """
    if given_test is None and test is None:
        raise KelvinError("test: the source gives no test part; set a number or a share of images")
    if given_test is not None and test is not None:
        raise KelvinError("test: the source gives its own test part; remove the entry")
    split = np.zeros(len(labels), np.uint8)
    _refuse_small_classes(labels, class_names, validation, given_test)
    # RandomState's stream is frozen by numpy's policy (NEP 19): a split outlives an upgrade.
    rank = _ranks(labels, len(class_names), np.random.RandomState(seed))
    if given_test is not None:
        split[given_test] = TEST
    else:
        spare = 2 if validation else 1
        split[_first(labels, rank, np.ones(len(labels), bool), "test", test, spare)] = TEST
    if validation:
        rest = split != TEST
        split[_first(labels, rank, rest, "validation", validation, spare=1)] = VALIDATION
    return split


def make_group_split(
    labels: np.ndarray,
    class_names: Sequence[str],
    groups: np.ndarray,
    validation: float | int,
    test: float | int | None,
    seed: int,
    given_test: np.ndarray | None = None,
) -> np.ndarray:
    """As `make_split`, but of whole groups: what one person wrote, or one object, lies on one side.

    groups (n,). Sizes are as near to what is asked for as whole groups in a seeded order come; no part
    is empty, and every class is in the training and the test part. A given test part is kept.
    """
    if given_test is None and test is None:
        raise KelvinError("test: the source gives no test part; set a number or a share of images")
    if given_test is not None and test is not None:
        raise KelvinError("test: the source gives its own test part; remove the entry")
    names, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    # RandomState's stream is frozen by numpy's policy (NEP 19): a split outlives an upgrade.
    order = np.random.RandomState(seed).permutation(len(names))
    split = np.zeros(len(labels), np.uint8)
    if given_test is not None:
        split[given_test] = TEST
        order = order[np.isin(order, group[~given_test])]
        sizes = np.bincount(group[~given_test], minlength=len(names))
    for part, number, size in (("test", TEST, None if given_test is not None else test),
                               ("validation", VALIDATION, validation)):
        if not size:
            continue
        wanted, reached = _count(size, int(sizes[order].sum()), part), np.cumsum(sizes[order])
        count = 1 + int(np.abs(reached - wanted).argmin())
        if count >= len(order):
            raise KelvinError(f"{part}: {size} takes all of the {len(order)} groups that are left; "
                              "choose less, more groups, or split_by: images")
        split[np.isin(group, order[:count]) & (split != TEST)] = number
        order = order[count:]
    for part, number in (("training", TRAIN), ("test", TEST)):
        lost = np.setdiff1d(np.unique(labels), labels[split == number])
        if len(lost):
            raise KelvinError(f"split_by: groups leaves no image of class {class_names[lost[0]]!r} in "
                              f"the {part} part; choose another seed, more groups, or split_by: images")
    return split


def _ranks(labels: np.ndarray, classes: int, random: np.random.RandomState) -> np.ndarray:
    """Each image's place in its class's shuffled order."""
    rank = np.empty(len(labels), np.int64)
    for label in range(classes):
        members = np.flatnonzero(labels == label)
        rank[members] = random.permutation(len(members))
    return rank


def _first(
    labels: np.ndarray, rank: np.ndarray, pool: np.ndarray, part: str, size: float | int, spare: int
) -> np.ndarray:
    """Mask of the images of the pool that come first in their class, shared out by class."""
    counts = np.bincount(labels[pool])
    present = counts > 0
    highest = np.where(present, counts - spare, 0)
    wanted = _count(size, int(pool.sum()), part)
    if not present.sum() <= wanted <= highest.sum():
        raise KelvinError(
            f"{part}: {size} means {wanted} images of {pool.sum()} in {present.sum()} classes; "
            f"for every class on every side choose {present.sum()} to {highest.sum()}"
        )
    quota = _share_out(wanted, counts, present.astype(np.int64), highest)
    chosen = np.zeros(len(labels), bool)
    for label, number in enumerate(quota):
        members = np.flatnonzero(pool & (labels == label))
        chosen[members[np.argsort(rank[members])[:number]]] = True
    return chosen


def _count(size: float | int, available: int, part: str) -> int:
    if isinstance(size, int):
        return size
    if not 0 < size < 1:
        raise KelvinError(f"{part}: {size} is no share; give a float in (0, 1) or a whole number")
    return round(size * available)


def _share_out(
    total: int, counts: np.ndarray, lowest: np.ndarray, highest: np.ndarray
) -> np.ndarray:
    """Whole numbers as near to proportional as the bounds allow, with the exact sum.

    Largest remainder: start from the floors, then give to whoever is furthest below its share.
    """
    share = counts * (total / counts.sum())
    quota = np.clip(np.floor(share).astype(np.int64), lowest, highest)
    while quota.sum() != total:
        step = 1 if quota.sum() < total else -1
        free = quota < highest if step > 0 else quota > lowest
        quota[np.argmax(np.where(free, step * (share - quota), -np.inf))] += step
    return quota


def _refuse_small_classes(labels: np.ndarray, class_names: Sequence[str], validation: Any,
                          given_test: Any) -> None:
    pool = labels if given_test is None else labels[~given_test]
    needed = 1 + bool(validation) + (given_test is None)
    counts = np.bincount(pool, minlength=len(class_names))
    small = np.flatnonzero(counts < needed)
    if len(small):
        outside = "" if given_test is None else " outside the given test part"
        raise KelvinError(
            f"class {class_names[small[0]]!r} has {counts[small[0]]} images{outside} and needs "
            f"{needed}, one for each side; add images or leave it out by `classes`"
        )
