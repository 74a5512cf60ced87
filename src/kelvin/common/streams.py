"""Seeds and random streams: what a draw depends on is named, and batch size is never part of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import torch

BLOCK = 16  # images that share one generator; a published sample grid depends on it


def derive_seed(*parts: object) -> int:
    """A 63-bit seed from the names of what is drawn, e.g. derive_seed(0, "train", epoch)."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(*parts: object) -> torch.Generator:
    """A CPU generator seeded by `derive_seed(*parts)`; CPU on every machine, so that draws agree."""
    return torch.Generator().manual_seed(derive_seed(*parts))


class BatchRandom:
    """One stream for one training batch of n images."""

    def __init__(self, n: int, source: torch.Generator) -> None:
        self.n, self._source = n, source

    def normal(self, *tail: int) -> torch.Tensor:
        """Standard normal draws, shape (n, *tail)."""
        return torch.randn(self.n, *tail, generator=self._source)

    def uniform(self, *tail: int) -> torch.Tensor:
        """Draws from [0, 1), shape (n, *tail)."""
        return torch.rand(self.n, *tail, generator=self._source)


class BlockRandom:
    """Streams for images start..stop of a set, one generator for each fixed block of images.

    Image i gets the same numbers whatever batch it is drawn in: a block is always drawn whole and
    cut to the part that was asked for.
    """

    def __init__(self, start: int, stop: int, *seed_parts: object) -> None:
        self.n = stop - start
        self._spans = []
        for block in range(start // BLOCK, (stop - 1) // BLOCK + 1):
            first = block * BLOCK
            span = slice(max(start - first, 0), min(stop - first, BLOCK))
            self._spans.append((generator(*seed_parts, "block", block), span))

    def normal(self, *tail: int) -> torch.Tensor:
        """Standard normal draws, shape (n, *tail)."""
        return self._blocks(torch.randn, tail)

    def uniform(self, *tail: int) -> torch.Tensor:
        """Draws from [0, 1), shape (n, *tail)."""
        return self._blocks(torch.rand, tail)

    def _blocks(self, draw: Callable, tail: tuple[int, ...]) -> torch.Tensor:
        return torch.cat([draw(BLOCK, *tail, generator=source)[span]
                          for source, span in self._spans])
