"""Which of many images stand for all of them."""

from __future__ import annotations

import numpy as np


def chosen(count: int, most: int, seed: int) -> np.ndarray:
    """Places (k,) of at most `most` of `count` images, rising: all of them, or a draw by seed.

    Never the first ones: a tree of classes lists its first classes first.
    """
    return np.sort(np.random.default_rng(seed).permutation(count)[:most])
