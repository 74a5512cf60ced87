"""Study D's UNet-resnet: ResNet blocks with group norm, self-attention at chosen resolutions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from kelvin.common.errors import KelvinError
from kelvin.networks.base import Shape, networks
from kelvin.networks.blocks import (
    ResBlock,
    Resolutions,
    SelfAttention,
    Share,
    Upsample,
    Width,
    attending,
    crop_to,
    downsample,
    norm,
    refuse_tiny,
)
from kelvin.networks.embeddings import TimeEmbedding


@networks.register("unet-resnet")
class ResNetUNet(nn.Module):
    """channels x multipliers, a level each, halved in between; `blocks` ResNet blocks on each level's
    way down and one on its way up, where the level's last skip is concatenated.

    `attention`: sides in pixels at which a level attends, e.g. [14, 7], or bottom: the lowest. One
    block a level on the way up, and convolutions before enlarging, keep the work at low resolutions.
    Images of any size: odd sides are halved to the larger half (28, 14, 7, 4), and what is enlarged is
    cropped to its skip.
    """

    def __init__(self, shape: Shape, *, channels: Width,
                 multipliers: Annotated[list[Width], Field(min_length=1)],
                 blocks: Annotated[list[Width], Field(min_length=1)],
                 attention: Resolutions, heads: Width = 1,
                 down: Literal["max-pool", "strided"] = "max-pool", dropout: Share = 0.0) -> None:
        super().__init__()
        levels, widths = len(multipliers), [channels * m for m in multipliers]
        if len(blocks) != levels:
            raise KelvinError(f"network.blocks = {blocks} must have an entry for each of the {levels} "
                              "network.multipliers")
        refuse_tiny(shape, levels - 1, "multipliers")
        embedding = 4 * channels
        groups = max(1, min(8, channels // 2))  # a norm of one channel alone undoes the time's shift
        self.time = TimeEmbedding(embedding)
        self.stem = nn.Conv2d(shape.channels, channels, 3, padding=1)

        def attend(level: int) -> list[nn.Module]:
            return [SelfAttention(widths[level], heads, groups)] if attends[level] else []

        attends = attending(shape, levels, attention)
        self.down, self.shrink = nn.ModuleList(), nn.ModuleList()
        width = channels
        for level, out in enumerate(widths):
            layers: list[nn.Module] = []
            for _ in range(blocks[level]):
                layers += [ResBlock(width, out, embedding, dropout, groups), *attend(level)]
                width = out
            self.down.append(nn.ModuleList(layers))
            if level < levels - 1:
                self.shrink.append(downsample(width, width, down))
        self.bottom = ResBlock(width, width, embedding, dropout, groups)
        self.enlarge, self.up = nn.ModuleList(), nn.ModuleList()
        for level in reversed(range(levels - 1)):
            out = widths[level]
            self.enlarge.append(Upsample(width, out))
            block = ResBlock(2 * out, out, embedding, dropout, groups)
            self.up.append(nn.ModuleList([block, *attend(level)]))
            width = out
        self.norm, self.out = norm(width, groups), nn.Conv2d(width, shape.out, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    @staticmethod
    def through(layers: Iterable[nn.Module], x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        for layer in layers:
            x = layer(x, embedding) if isinstance(layer, ResBlock) else layer(x)
        return x

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        x, embedding, skips = self.stem(x), F.silu(self.time(time)), []
        for layers, shrink in zip(self.down, self.shrink, strict=False):
            skips.append(self.through(layers, x, embedding))
            x = shrink(skips[-1])
        x = self.bottom(self.through(self.down[-1], x, embedding), embedding)
        for enlarge, layers in zip(self.enlarge, self.up, strict=True):
            skip = skips.pop()
            x = self.through(layers, torch.cat([crop_to(enlarge(x), skip), skip], 1), embedding)
        return self.out(F.silu(self.norm(x)))
