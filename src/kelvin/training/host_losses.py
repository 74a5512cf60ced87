"""Losses on their way from the device to the host."""

from __future__ import annotations

from collections.abc import Callable

import torch


class HostLosses:
    """`values`: losses of an epoch's updates that have reached the host; losses (batches,) on the device,
    averaged over processes by `reduce`.

    On CUDA, which runs ahead of the host, `ask` does not wait: it starts a copy of the newest losses and
    returns the ones before. Elsewhere it returns the newest.
    """

    def __init__(self, losses: torch.Tensor, reduce: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self.losses, self.reduce, self.is_ahead = losses, reduce, losses.device.type == "cuda"
        self.values: list[float] = []
        self.end = 0
        self.coming: list[tuple[torch.Tensor, torch.cuda.Event | None]] = []

    def ask(self, stop: int) -> list[float]:
        """Copy the losses up to update `stop` of the epoch; returns the values that are new."""
        part = self.reduce(self.losses[self.end:stop])
        there = torch.empty(part.shape, pin_memory=self.is_ahead)
        there.copy_(part, non_blocking=True)
        event = torch.cuda.Event() if self.is_ahead else None
        if event is not None:
            event.record()
        self.end = stop
        self.coming.append((there, event))
        return self.take(1 if self.is_ahead else 0)

    def rest(self) -> list[float]:
        """Wait for all copies; returns the values that are new."""
        return self.take(0)

    def take(self, left: int) -> list[float]:
        new: list[float] = []
        while len(self.coming) > left:
            there, event = self.coming.pop(0)
            if event is not None:
                event.synchronize()
            new += there.tolist()
        self.values += new
        return new
