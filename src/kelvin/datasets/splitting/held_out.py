"""A prepared store as one replicate sees it: a fold held out in place of the given split."""

from __future__ import annotations

import hashlib

import numpy as np

from kelvin.datasets.splitting.folds import development_rows, held_out
from kelvin.datasets.store import PreparedStore, Split

GIVEN = "given"
SEEN = "seen"


def apart(count: int, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of `count` held-out images, each ascending: n that stand for samples, and the rest, with which
    samples are compared: real images must not find themselves there."""
    order = np.random.default_rng((seed, 1)).permutation(count)
    return np.sort(order[:n]), np.sort(order[n:])


class FoldView:
    """PreparedStore's `split` with a fold held out.

    train and validation: the fold's. test: every held-out image, of a grouped fold also the test
    part's images of its groups ("unseen"). seen: the test part's images of groups trained on.
    Each part comes in a seeded order, so that its head stands for the whole (stores are sorted by
    class).
    """

    def __init__(self, store: PreparedStore, kind: str, fold: int) -> None:
        held = held_out(store, kind, fold)
        development, test = development_rows(store.parts), np.flatnonzero(store.parts == 2)
        validation = development[held.validation]
        self.store, self.kind, self.fold = store, kind, fold
        self.rows = {"train": development[held.train], "validation": validation,
                     "test": np.concatenate([validation, test[held.test]]), SEEN: test[held.seen]}
        # RandomState's stream is frozen by numpy's policy (NEP 19)
        self.rows = {part: np.random.RandomState(fold).permutation(rows)
                     for part, rows in self.rows.items()}
        self.manifest, self.class_names = store.manifest, store.class_names

    @property
    def digest(self) -> str:
        """SHA-256 of the store's digest and of the rows that are trained on, in their order."""
        return hashlib.sha256(self.store.digest.encode() + self.rows["train"].tobytes()).hexdigest()

    def split(self, part: str) -> Split:
        """The images of 'train', 'validation', 'test' or 'seen'."""
        rows = self.rows[part]
        return Split(self.store.images, self.store.labels[rows], self.store.groups[rows], rows)


def split_for(store: PreparedStore, kind: str, fold: int | None, replicate: int = 0
              ) -> PreparedStore | FoldView:
    """The store itself for 'given', else its fold, without `fold` that of the replicate's number;
    KelvinError where there is no such fold."""
    return store if kind == GIVEN else FoldView(store, kind, replicate if fold is None else fold)
