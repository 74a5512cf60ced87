"""Study A's classifier, whose penultimate features FMD is measured in."""

from __future__ import annotations

from math import isqrt

import torch
from torch import nn

from kelvin.common.errors import KelvinError
from kelvin.networks.base import Shape


def pool_side(channels: list[int], features: int) -> int:
    """Side of the pooled map: features = channels[-1] x side^2; KelvinError where there is none."""
    side = isqrt(features // channels[-1])
    if side < 1 or channels[-1] * side**2 != features:
        raise KelvinError(f"classifier.features = {features} must be the last of "
                          f"classifier.channels ({channels[-1]}) times a square number")
    return side


def is_halved(block: int, side: int) -> bool:
    """Whether a block's maps are pooled to half of the side: the first two, down to 8 pixels."""
    return block < 2 and side >= 16  # small images keep their few pixels


def map_side(channels: list[int], side: int) -> int:
    """Side of the last block's maps, of images of that side."""
    for block in range(len(channels)):
        side = side // 2 if is_halved(block, side) else side
    return side


class Classifier(nn.Module):
    """Conv blocks, adaptive average pool, one linear layer (study A: 32, 64, 128, 64; pool to 4x4).

    `features` = channels[-1] x pool^2 is the width of the pooled features: 1024 in the study, less
    where the reference has fewer images than that. Images in [0, 1].
    """

    def __init__(self, shape: Shape, channels: list[int], features: int, classes: int) -> None:
        super().__init__()
        pool = pool_side(channels, features)
        layers, inputs, side = [], shape.channels, min(shape.height, shape.width)
        for index, outputs in enumerate(channels):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.GELU()]
            if is_halved(index, side):
                layers.append(nn.MaxPool2d(2))
                side //= 2
            inputs = outputs
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(pool), nn.Flatten())
        self.head = nn.Linear(features, classes)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Penultimate features, (n, features)."""
        return self.body(2 * images - 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits, (n, classes)."""
        return self.head(self.features(images))
