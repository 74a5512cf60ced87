"""k folds of a data set, drawn once and stored beside it, so that every run holds out the same.

The folds divide the development part: the training images, then the validation images, each in
the store's order. The test part is never in a fold. Three kinds:

- grouped: all images of one group (a physical object) are in one fold, folds as even in classes and
  size as the groups allow;
- stratified: images dealt out class by class, whatever their groups;
- leaky: images shuffled and dealt out, as study E did with the frames of a turntable: images of one
  object then lie on both sides, kept so that the harm can be shown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kelvin.common.errors import KelvinError

if TYPE_CHECKING:
    from kelvin.datasets.store import PreparedStore

KINDS = ("grouped", "stratified", "leaky")
FILE = "folds.json"


@dataclass(frozen=True)
class Folds:
    """The contents of folds.json: the number of folds, their seed, and each image's fold by kind."""

    k: int
    seed: int
    kinds: Mapping[str, np.ndarray]

    def fold(self, kind: str) -> np.ndarray:
        """int16 (n_train + n_validation,): the fold, 0..k-1, that holds each development image out."""
        if kind not in self.kinds:
            raise KelvinError(f"folds of kind {kind!r} are unknown; choose from {', '.join(KINDS)}")
        return self.kinds[kind]


@dataclass(frozen=True)
class Held:
    """What a replicate trains on, holds out, and is tested on; int64 indices, ascending.

    train, validation: into the development part (training images, then validation images).
    test: into the test part, images of groups that were held out (grouped folds only, else empty).
    seen: into the test part, images of groups that were trained on. Test images of groups that are
    nowhere in the development part are in neither.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    seen: np.ndarray


def make_folds(labels: np.ndarray, groups: np.ndarray, k: int, seed: int) -> Folds:
    """All kinds of folds of the development part; labels and groups (n,) in its order.

    The same input gives the same folds. Raises KelvinError where there are fewer groups than folds.
    """
    if k < 2:
        raise KelvinError(f"folds: k = {k} holds nothing out; choose 2 or more, or folds: null")
    count = len(np.unique(groups))
    if count < k:
        fewer = f"k up to {count}, " if count > 1 else ""
        raise KelvinError(
            f"folds: k = {k}, but the images outside the test part form only {count} "
            f"group{'s' * (count > 1)}; choose {fewer}other groups, or folds: null"
        )
    makers = {"grouped": _grouped, "stratified": _stratified, "leaky": _leaky}
    kinds = {
        # RandomState's stream is frozen by numpy's policy (NEP 19): folds outlive an upgrade.
        kind: makers[kind](labels, groups, k, np.random.RandomState(seed)).astype(np.int16)
        for kind in KINDS
    }
    return Folds(k, seed, kinds)


def folds_text(folds: Folds) -> str:
    """The contents of folds.json."""
    head = {"k": folds.k, "seed": folds.seed, "order": "training images, then validation images"}
    return json.dumps(head | {kind: fold.tolist() for kind, fold in folds.kinds.items()}) + "\n"


def read_folds(folder: Path | str) -> Folds:
    """The folds of the prepared store in this folder."""
    path = Path(folder) / FILE
    try:
        held = json.loads(path.read_text("utf-8"))
        kinds = {kind: np.array(held[kind], np.int16) for kind in KINDS}
        return Folds(int(held["k"]), int(held["seed"]), kinds)
    except FileNotFoundError as error:
        raise KelvinError(
            f"{path}: the data set has no folds; set datasets.<name>.folds: {{k: 5, seed: 0}} "
            "and run `prepare`"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise KelvinError(f"{path}: damaged ({error!r}); run `prepare` again") from error


def held_out(store: PreparedStore, kind: str, r: int) -> Held:
    """Fold r of this kind held out of a PreparedStore; only its groups and parts are read."""
    folds = read_folds(store.folder)
    fold = folds.fold(kind)
    if not 0 <= r < folds.k:
        raise KelvinError(
            f"{store.folder}: replicate {r} would hold out fold {r}, but its folds are 0 to "
            f"{folds.k - 1}; choose among these or prepare more folds"
        )
    development, groups = development_rows(store.parts), store.groups
    if len(fold) != len(development):
        raise KelvinError(
            f"{store.folder}: {FILE} has {len(fold)} images where the store has {len(development)} "
            "outside its test part; run `prepare` again"
        )
    train, validation = np.flatnonzero(fold != r), np.flatnonzero(fold == r)
    test_groups = groups[store.parts == 2]
    unseen = np.isin(test_groups, groups[development[validation]])
    seen = np.isin(test_groups, groups[development[train]])
    test = unseen & ~seen if kind == "grouped" else np.zeros(len(test_groups), bool)
    return Held(train, validation, np.flatnonzero(test), np.flatnonzero(seen))


def development_rows(parts: np.ndarray) -> np.ndarray:
    """Rows in the store of the development part: the training images, then the validation images."""
    return np.concatenate([np.flatnonzero(parts == 0), np.flatnonzero(parts == 1)])


def _grouped(labels: np.ndarray, groups: np.ndarray, k: int, random: np.random.RandomState) -> np.ndarray:
    """Largest group first, each to the fold that has the fewest images of the group's classes.

    Ties go to the smallest fold, so no fold stays empty while there are k groups. Groups of one size
    come in a seeded order.
    """
    _, group = np.unique(groups, return_inverse=True)
    sizes = np.bincount(group)
    if sizes.max() == 1:  # nothing to keep together: dealing out is as even as it gets
        return _stratified(labels, groups, k, random)
    _, label = np.unique(labels, return_inverse=True)
    weights = 1 / np.bincount(label)
    order = random.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    members = np.split(np.argsort(group, kind="stable"), np.cumsum(sizes)[:-1])
    held, fold_of = np.zeros((k, len(weights))), np.empty(len(sizes), np.int64)
    for g in order:
        counts = np.bincount(label[members[g]], minlength=len(weights))
        crowded = held @ (counts * weights)
        fold_of[g] = np.lexsort((held.sum(axis=1), crowded))[0]
        held[fold_of[g]] += counts
    return fold_of[group]


def _stratified(labels: np.ndarray, groups: np.ndarray, k: int,
                random: np.random.RandomState) -> np.ndarray:
    """Images dealt out class by class: no class and no fold differs by more than one image."""
    order = random.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    return _dealt(order, k)


def _leaky(labels: np.ndarray, groups: np.ndarray, k: int, random: np.random.RandomState) -> np.ndarray:
    return _dealt(random.permutation(len(labels)), k)


def _dealt(order: np.ndarray, k: int) -> np.ndarray:
    fold = np.empty(len(order), np.int64)
    fold[order] = np.arange(len(order)) % k
    return fold
