"""A small U-Net: ResNet blocks with group norm, two convolutions a block, skips by concatenation."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from kelvin.networks.base import Shape, networks
from kelvin.networks.embeddings import TimeEmbedding

Width = Annotated[int, Field(ge=1)]


def norm(channels: int) -> nn.GroupNorm:
    """Group norm with the largest group count of at most 8 that divides the channels."""
    return nn.GroupNorm(max(g for g in range(1, 9) if channels % g == 0), channels)


class ResBlock(nn.Module):
    """norm -> SiLU -> conv, shifted by the time embedding, norm -> SiLU -> conv, plus the input."""

    def __init__(self, inputs: int, outputs: int, embedding: int):
        super().__init__()
        self.norm1, self.conv1 = norm(inputs), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2, self.conv2 = norm(outputs), nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shift = nn.Linear(embedding, outputs)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        nn.init.zeros_(self.conv2.weight)  # a block starts as the identity
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x, embedding):
        h = self.conv1(F.silu(self.norm1(x))) + self.shift(embedding)[:, :, None, None]
        return self.skip(x) + self.conv2(F.silu(self.norm2(h)))


@networks.register("unet")
class UNet(nn.Module):
    """Widths channels x multipliers, one level each, halved in between; `blocks` blocks a level.

    Images whose sides are not multiples of 2^(levels - 1) are padded at the edge and cropped back.
    """

    def __init__(self, shape: Shape, *, channels: Width,
                 multipliers: Annotated[list[Width], Field(min_length=1)], blocks: Width):
        super().__init__()
        widths = [channels * m for m in multipliers]
        self.multiple = 2 ** (len(widths) - 1)
        self.time = TimeEmbedding(4 * channels)
        self.stem = nn.Conv2d(shape.channels, widths[0], 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        skips, width = [], widths[0]
        for level, out in enumerate(widths):
            if level:
                self.down.append(nn.Conv2d(width, width, 3, stride=2, padding=1))
            for _ in range(blocks):
                self.down.append(ResBlock(width, out, 4 * channels))
                skips.append(width := out)
        self.middle = ResBlock(width, width, 4 * channels)
        for level, out in reversed(list(enumerate(widths))):
            for _ in range(blocks):
                self.up.append(ResBlock(width + skips.pop(), out, 4 * channels))
                width = out
            if level:  # narrowed before it is enlarged: a quarter of the cost
                self.up.append(nn.Conv2d(width, width := widths[level - 1], 3, padding=1))
        self.norm, self.out = norm(width), nn.Conv2d(width, shape.channels, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x, time):
        height, width = x.shape[-2:]
        pad = (-width % self.multiple, -height % self.multiple)
        if any(pad):
            x = F.pad(x, (0, pad[0], 0, pad[1]), mode="replicate")
        embedding = F.silu(self.time(time))
        x = self.stem(x)
        skips = []
        for layer in self.down:
            if isinstance(layer, ResBlock):
                x = layer(x, embedding)
                skips.append(x)
            else:
                x = layer(x)
        x = self.middle(x, embedding)
        for layer in self.up:
            if isinstance(layer, ResBlock):
                x = layer(torch.cat([x, skips.pop()], 1), embedding)
            else:
                x = F.interpolate(layer(x), scale_factor=2, mode="nearest")
        return self.out(F.silu(self.norm(x)))[..., :height, :width]
