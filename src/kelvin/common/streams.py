"""Seeds and random streams: what a draw depends on is named, and batch size is never part of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import torch

from kelvin.common.philox import ImageRandom

BLOCK = 16  # images that share one generator; a published sample grid depends on it


def derive_seed(*parts: object) -> int:
    """A 63-bit seed from the names of what is drawn, e.g. derive_seed(0, "train", epoch)."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(*parts: object) -> torch.Generator:
    """A CPU generator seeded by `derive_seed(*parts)`; CPU on every machine, so that draws agree."""
    return torch.Generator().manual_seed(derive_seed(*parts))


def stream_on(device: torch.device) -> torch.Generator:
    """A generator for draws on a device, to be seeded: of CUDA itself, which would wait for those of the
    host; of the CPU for any other device."""
    return torch.Generator(device if device.type == "cuda" else "cpu")


class BatchRandom:
    """One stream for one training batch of n images, on the device of its generator."""

    def __init__(self, n: int, source: torch.Generator) -> None:
        self.n, self._source = n, source

    def normal(self, *tail: int) -> torch.Tensor:
        """Standard normal draws, shape (n, *tail)."""
        return torch.randn(self.n, *tail, generator=self._source, device=self._source.device)

    def uniform(self, *tail: int) -> torch.Tensor:
        """Draws from [0, 1), shape (n, *tail)."""
        return torch.rand(self.n, *tail, generator=self._source, device=self._source.device)


class BlockRandom:
    """Streams for images start..stop of a set, one generator for each fixed block of images.

    Image i gets the same numbers whatever batch it is drawn in: a block is always drawn whole and
    cut to the part that was asked for.
    """

    def __init__(self, start: int, stop: int, *seed_parts: object) -> None:
        self.n, self._range, self._seed_parts = stop - start, (start, stop), seed_parts
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

    def state(self) -> list[torch.Tensor]:
        """Where the streams stand, for `load`."""
        return [source.get_state() for source, _ in self._spans]

    def load(self, state: list[torch.Tensor]) -> None:
        for (source, _), where in zip(self._spans, state, strict=True):
            source.set_state(where)

    def on(self, device: torch.device) -> BlockRandom | ImageRandom:
        """What gives a sampler's steps their noise: itself; on CUDA a stream of the device by the same
        name, since draws of the host would keep it waiting at every step."""
        if device.type != "cuda":
            return self
        return ImageRandom(*self._range, derive_seed(*self._seed_parts, "steps"), device)

    def _blocks(self, draw: Callable, tail: tuple[int, ...]) -> torch.Tensor:
        return torch.cat([draw(BLOCK, *tail, generator=source)[span]
                          for source, span in self._spans])
