"""Early stopping: which epoch's weights are kept, and when to give up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """Epochs count from 1. best: whose weights are kept; stopped: the last one trained, or None."""

    best: int
    stopped: int | None


def judged(losses: Sequence[float], patience: int, gain: float = 0.0) -> Verdict:
    """The verdict on the validation losses of epochs 1, 2, ... so far; at least one loss.

    An epoch is better when it lies more than `gain` below the best before it,
    as Keras' EarlyStopping has it; training stops after `patience` epochs in a row that were not.
    It follows from the losses alone, so a resumed training judges as an undisturbed one.
    """
    best = 1
    for epoch, loss in enumerate(losses, 1):
        if loss < losses[best - 1] - gain:
            best = epoch
        elif epoch - best >= patience:
            return Verdict(best, epoch)
    return Verdict(best, None)
