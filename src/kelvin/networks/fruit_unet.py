"""Study E's U-Net: double convolutions, a self-attention bridge, bilinear enlargement."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from kelvin.common.errors import KelvinError
from kelvin.networks.base import Shape, networks
from kelvin.networks.blocks import SelfAttention, Share, Width, dropout, norm, pad_to
from kelvin.networks.embeddings import TimeEmbedding


class DoubleConv(nn.Sequential):
    """conv 3x3 -> group norm -> GELU, twice."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), norm(outputs), nn.GELU(),
                         nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), norm(outputs), nn.GELU())


class Level(nn.Module):
    """Two double convolutions, the first with a residual, then the time encoding added."""

    def __init__(self, inputs: int, outputs: int, embedding: int, share: float) -> None:
        super().__init__()
        self.residual, self.second = DoubleConv(inputs, inputs), DoubleConv(inputs, outputs)
        self.dropout, self.shift = dropout(share), nn.Linear(embedding, outputs)

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        x = self.dropout(self.second(x + self.residual(x)))
        return x + self.shift(embedding)[:, :, None, None]


@networks.register("fruit-unet")
class FruitUNet(nn.Module):
    """`channels` first (32), three levels of 2x2 max-pooling (64, 128, 128 at the bottom), the bridge,
    three levels up by bilinear enlargement to the skip's size and concatenation, a convolution 1x1.

    What is enlarged is padded to the skip's size, so that odd sides pass (100x100 becomes 50, 25, 12).
    Fewer levels on small images: none makes a side shorter than 2 (two levels on 8x8).
    """

    def __init__(self, shape: Shape, *, channels: Width = 32, heads: Width = 4,
                 dropout: Share = 0.0) -> None:
        super().__init__()
        side = min(shape.height, shape.width)
        levels = min(3, side.bit_length() - 2)
        if levels < 1:
            raise KelvinError(f"network fruit-unet halves its images at least once, which "
                              f"{shape.height}x{shape.width} pixels do not bear; take images of at least "
                              "4x4, or another network")
        widths = [channels * m for m in (1, 2, 4, 4)[: levels + 1]]
        embedding = 4 * channels
        self.time = TimeEmbedding(embedding)
        self.stem = DoubleConv(shape.channels, channels)
        self.down = nn.ModuleList(Level(a, b, embedding, dropout)
                                  for a, b in zip(widths, widths[1:], strict=False))
        self.bridge = nn.Sequential(DoubleConv(widths[-1], widths[-1]), SelfAttention(widths[-1], heads),
                                    DoubleConv(widths[-1], widths[-1]))
        self.up = nn.ModuleList(Level(a + b, b, embedding, dropout)
                                for a, b in zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.out = nn.Conv2d(channels, shape.out, 1)

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        x, embedding, skips = self.stem(x), self.time(time), []
        for level in self.down:
            skips.append(x)
            x = level(F.max_pool2d(x, 2), embedding)
        x = self.bridge(x)
        for level in self.up:
            skip = skips.pop()
            larger = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            x = level(torch.cat([skip, pad_to(larger, skip)], 1), embedding)
        return self.out(x)
