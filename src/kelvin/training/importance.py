"""Times of a batch, and what corrects its mean where some times are drawn more often than others."""

from __future__ import annotations

from typing import Any

import torch

from kelvin.training.batches import draw_times

BINS, HISTORY = 64, 10


class Times:
    """Each time as likely as any other: nothing to correct, nothing to remember."""

    def __init__(self, kind: str, steps: int) -> None:
        self.kind, self.steps = kind, steps

    def draw(self, n: int, source: torch.Generator) -> torch.Tensor:
        return draw_times(self.kind, n, self.steps, source)

    def correction(self, t: torch.Tensor) -> torch.Tensor | None:
        return None

    def observe(self, t: torch.Tensor, losses: torch.Tensor) -> None:
        """Nothing to remember."""

    def state(self) -> dict[str, Any]:
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Nothing to put back."""


class ImportanceTimes(Times):
    """p_t in proportion to sqrt(E[L_t^2]), and 1 / (T p_t) on the loss, whose mean over draws stays
    that over uniform times (Nichol and Dhariwal 2021, eq. 18, and section 3.3).

    E[L_t^2] is the mean over the last 10 squared costs of images. The paper keeps them for each of
    4000 t over 500,000 updates; a run of a few hundred updates would never fill T = 1000 of them, so
    that neighbouring t share one history: min(T, 64) bins of equal width, uniform inside. Uniform
    until every bin is full. Every process observes the same losses.
    """

    def __init__(self, steps: int, device: torch.device | str = "cpu") -> None:
        super().__init__("importance", steps)
        self.bins = min(steps, BINS)
        self.size = torch.bincount(self.bin_of(torch.arange(1, steps + 1, device=device)),
                                   minlength=self.bins)
        self.first = 1 + self.size.cumsum(0) - self.size
        self.history = torch.zeros(self.bins, HISTORY, dtype=torch.float64, device=device)
        self.counts = torch.zeros(self.bins, dtype=torch.long, device=device)

    def bin_of(self, t: torch.Tensor) -> torch.Tensor:
        return (t - 1) * self.bins // self.steps

    def shares(self) -> torch.Tensor:
        """Probability of each bin, float64; of a time in it: that over the bin's size."""
        root = self.history.square().mean(1).sqrt()
        if int(self.counts.min()) < HISTORY or not float(root.sum()) > 0:
            root = torch.ones_like(root)
        weights = self.size * root
        return weights / weights.sum()

    def draw(self, n: int, source: torch.Generator) -> torch.Tensor:
        k = torch.multinomial(self.shares(), n, replacement=True, generator=source)
        inside = torch.rand(n, generator=source, dtype=torch.float64, device=k.device) * self.size[k]
        return self.first[k] + inside.long()

    def correction(self, t: torch.Tensor) -> torch.Tensor:
        """1 / (T p_t) at times (n,), float32, on their device; before `observe` still those
        of the last draw."""
        factor = self.size / (self.steps * self.shares())
        return factor.float().to(t.device)[self.bin_of(t)]

    def observe(self, t: torch.Tensor, losses: torch.Tensor) -> None:
        """Costs (n,) at times (n,), not corrected: each bin keeps its last 10, in order."""
        device = self.size.device
        k, losses = self.bin_of(t.to(device)), losses.detach().to(device).double()
        order = torch.argsort(k, stable=True)
        k, losses = k[order], losses[order]
        # of an image among those of the batch in its bin
        rank = torch.arange(len(k), device=device) - torch.searchsorted(k, k)
        count = torch.bincount(k, minlength=self.bins)
        last = rank >= count[k] - HISTORY
        place = (self.counts[k] + rank) % HISTORY
        self.history[k[last], place[last]] = losses[last]
        self.counts += count

    def state(self) -> dict[str, Any]:
        return {"history": self.history.clone(), "seen": self.counts.clone()}

    def load(self, state: dict[str, Any]) -> None:
        self.history, self.counts = (state[key].to(self.size.device, copy=True)
                                     for key in ("history", "seen"))


def times_of(kind: str, steps: int, device: torch.device | str = "cpu") -> Times:
    """The Times of training.times, for a process of T = steps; drawn by a stream of that device."""
    return ImportanceTimes(steps, device) if kind == "importance" else Times(kind, steps)
