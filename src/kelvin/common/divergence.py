"""Trainings whose numbers are no longer finite: refused in one sentence, before anything is saved."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from kelvin.common.errors import KelvinError

# columns of history.csv, in words
WORDS = {"running_loss": "the loss", "grad_norm": "the gradient norm",
         "train_loss": "the loss on training images", "val_loss": "the validation loss",
         "val_loss_ema": "the validation loss of the averaged weights"}


def diverged(phase: str, what: str, *cures: str) -> KelvinError:
    """The sentence of every training that diverged; phase: what was trained."""
    return KelvinError(f"{phase} diverged: {what}; try {', or '.join(cures)}")


def not_finite(row: Mapping[str, float], *networks: nn.Module) -> str | None:
    """The first number that is not finite, of an epoch's row of history.csv and the weights after it;
    None where all are finite."""
    for name, words in WORDS.items():
        if name in row and not np.isfinite(row[name]):
            return f"{words} is {row[name]}"
    return None if all(map(has_finite_weights, networks)) else "weights are not finite"


def has_finite_weights(network: nn.Module) -> bool:
    """Are all weights and buffers finite? Waits for the device once."""
    states = [torch.isfinite(x).all() for x in network.state_dict().values() if x.is_floating_point()]
    return not states or bool(torch.stack(states).all())
