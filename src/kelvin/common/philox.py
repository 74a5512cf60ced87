"""Random numbers by counting: Philox4x32-10 (Salmon et al. 2011), on any device.

A number is a function of a seed, an image, a draw and a place in it: it does not depend on which images
are drawn together, and a device draws without the host.
"""

from __future__ import annotations

import math

import torch

MASK = 0xFFFFFFFF
MULTIPLIERS, WEYL = (0xD2511F53, 0xCD9E8D57), (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
Words = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def philox(counter: Words, key: tuple[int, int]) -> Words:
    """Four words of 32 bits for each counter of four, all in int64 tensors that broadcast."""
    a, b, c, d = counter
    k, m = key
    for _ in range(ROUNDS):
        # the product of two words wraps around in int64, whose bits are still those of 64
        p, q = MULTIPLIERS[0] * a, MULTIPLIERS[1] * c
        a, b, c, d = (((q >> 32) & MASK) ^ b ^ k, q & MASK, ((p >> 32) & MASK) ^ d ^ m, p & MASK)
        k, m = (k + WEYL[0]) & MASK, (m + WEYL[1]) & MASK
    return a, b, c, d


class ImageRandom:
    """Streams for images start..stop of a set on a device; image i gets the same numbers whatever batch
    it is drawn in. The k-th draw differs from all others; k is counted on the device, so that a recorded
    draw is a new one at every replay.

    Across devices uniform numbers are equal, normal ones up to the rounding of log, cos and sin.
    """

    def __init__(self, start: int, stop: int, seed: int, device: torch.device | str) -> None:
        self.n, self.device = stop - start, torch.device(device)
        self.draws = torch.zeros(1, 1, dtype=torch.long, device=self.device)
        self.key = (seed & MASK, (seed >> 32) & MASK)
        self.image = torch.arange(start, stop, device=self.device)[:, None]

    def words(self, count: int) -> torch.Tensor:
        """(n, count) words of the next draw."""
        place = torch.arange(-(-count // 4), device=self.device)[None]
        words = torch.stack(torch.broadcast_tensors(*philox(
            (place, self.draws, self.image & MASK, torch.zeros_like(place)), self.key)), -1)
        self.draws.add_(1)
        return words.flatten(1)[:, :count]

    def state(self) -> torch.Tensor:
        """The position of the stream, for `load`."""
        return self.draws.clone()

    def load(self, state: torch.Tensor) -> None:
        self.draws.copy_(state)

    def uniform(self, *tail: int) -> torch.Tensor:
        """Draws from [0, 1), shape (n, *tail), float32: multiples of 2^-24."""
        return ((self.words(math.prod(tail)) >> 8).float() * 2.0**-24).view(self.n, *tail)

    def normal(self, *tail: int) -> torch.Tensor:
        """Standard normal draws, shape (n, *tail), float32 (Box and Muller 1958); at most 6.7."""
        count = math.prod(tail)
        pairs = self.words(count + count % 2).double().view(self.n, -1, 2)
        radius = (-2 * ((pairs[..., 0] + 1) * 2.0**-32).log()).sqrt()
        angle = 2 * math.pi * pairs[..., 1] * 2.0**-32
        both = torch.stack([radius * angle.cos(), radius * angle.sin()], -1).flatten(1)
        return both[:, :count].float().view(self.n, *tail)
