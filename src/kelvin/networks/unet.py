"""A small U-Net: ResNet blocks with group norm, two convolutions a block, skips by concatenation."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from kelvin.networks.base import Shape, networks
from kelvin.networks.blocks import ResBlock, Share, Width, norm, pad_to_multiple, refuse_tiny
from kelvin.networks.embeddings import TimeEmbedding


@networks.register("unet")
class UNet(nn.Module):
    """Widths channels x multipliers, one level each, halved in between; `blocks` blocks a level.

    Images whose sides are not multiples of 2^(levels - 1) are padded at the edge and cropped back.
    """

    def __init__(self, shape: Shape, *, channels: Width,
                 multipliers: Annotated[list[Width], Field(min_length=1)], blocks: Width,
                 dropout: Share = 0.0) -> None:
        super().__init__()
        widths = [channels * m for m in multipliers]
        refuse_tiny(shape, len(widths) - 1, "multipliers")
        self.multiple = 2 ** (len(widths) - 1)
        self.time = TimeEmbedding(4 * channels)
        self.stem = nn.Conv2d(shape.channels, widths[0], 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        skips, width = [], widths[0]
        for level, out in enumerate(widths):
            if level:
                self.down.append(nn.Conv2d(width, width, 3, stride=2, padding=1))
            for _ in range(blocks):
                self.down.append(ResBlock(width, out, 4 * channels, dropout))
                skips.append(width := out)
        self.middle = ResBlock(width, width, 4 * channels, dropout)
        for level, out in reversed(list(enumerate(widths))):
            for _ in range(blocks):
                self.up.append(ResBlock(width + skips.pop(), out, 4 * channels, dropout))
                width = out
            if level:  # narrowed before it is enlarged: a quarter of the cost
                self.up.append(nn.Conv2d(width, width := widths[level - 1], 3, padding=1))
        self.norm, self.out = norm(width), nn.Conv2d(width, shape.out, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[-2:]
        embedding = F.silu(self.time(time))
        x = self.stem(pad_to_multiple(x, self.multiple))
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
