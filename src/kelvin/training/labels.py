"""Labels for training a conditional network: some dropped, by a random stream of their own."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from kelvin.common.errors import KelvinError
from kelvin.common.streams import derive_seed, stream_on
from kelvin.restoration.guidance import balanced_labels


class NoLabels:
    """Labels of an unconditional run: none, and no random draws."""

    sources: tuple[torch.Generator, ...] = ()  # the streams it draws from

    def start(self, epoch: int) -> None:
        """Nothing to seed."""

    def draw(self, index: torch.Tensor, share: slice) -> torch.Tensor | None:
        return None

    def held(self, split: str, part: slice) -> None:
        return None

    def for_samples(self, n: int) -> None:
        return None


class Labels(NoLabels):
    """Labels beside the training images, and beside those on which losses are evaluated.

    A training label becomes the null class with probability `drop` (Ho and Salimans 2022, algorithm
    1, there p_uncond); the draws of epoch e come from a stream named by (seed, e) that nothing else
    draws from, so that z and t are those of the unconditional run.
    """

    def __init__(self, train: np.ndarray, held: Mapping[str, np.ndarray], classes: int, drop: float,
                 seed: int, device: torch.device | str = "cpu") -> None:
        for labels in (train, *held.values()):
            if len(labels) and not (labels.min() >= 0 and labels.max() < classes):
                raise KelvinError(f"labels run from {labels.min()} to {labels.max()}, but the network "
                                  f"knows the classes 0 to {classes - 1}")
        self.train = torch.from_numpy(np.array(train)).long().to(device)
        self.of = {split: torch.from_numpy(np.array(labels)).long().to(device)
                   for split, labels in held.items()}
        self.classes, self.drop, self.seed = classes, drop, seed
        self.sources = (stream_on(torch.device(device)),)
        self.start(1)

    def start(self, epoch: int) -> None:
        """Name the stream of this epoch."""
        self.sources[0].manual_seed(derive_seed(self.seed, "labels", epoch))

    def draw(self, index: torch.Tensor, share: slice = slice(None)) -> torch.Tensor:
        """Labels of the images `index` of the training set, dropped at the rate; this process's share."""
        source = self.sources[0]
        uniform = torch.rand(len(index), generator=source, device=source.device).to(index.device)
        return torch.where(uniform >= self.drop, self.train[index], self.classes)[share]

    def held(self, split: str, part: slice) -> torch.Tensor:
        """True labels of images whose loss is evaluated: none is dropped."""
        return self.of[split][part]

    def for_samples(self, n: int) -> torch.Tensor:
        """Labels of n samples drawn during training."""
        return balanced_labels(n, self.classes)
