"""The U-Net of Ho et al. 2020 (Denoising Diffusion Probabilistic Models, appendix B)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from kelvin.networks.base import Shape, networks
from kelvin.networks.blocks import (
    ResBlock,
    Resolutions,
    SelfAttention,
    Share,
    Width,
    attending,
    norm,
    pad_to_multiple,
    refuse_tiny,
)
from kelvin.networks.embeddings import TimeEmbedding

# Of every group norm, of four channels each at least: a norm of one alone undoes the time's shift.
GROUPS = 32


class Enlarge(nn.Module):
    """Twice the size by repeated pixels, then a convolution 3x3."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))


@networks.register("ddpm-unet")
class DDPMUNet(nn.Module):
    """Defaults are the paper's for CIFAR-10: 128 channels times 1, 2, 2, 2, two ResNet blocks a level
    down and three up, a skip from every layer, attention at 16x16, dropout 0.1, 35.7 M parameters.

    The time embedding is Kelvin's own. Images of any size: padded, and cropped back.
    """

    def __init__(self, shape: Shape, *, channels: Width = 128,
                 multipliers: Annotated[list[Width], Field(min_length=1)] = [1, 2, 2, 2],  # noqa: B006
                 blocks: Width = 2, attention: Resolutions = [16],  # noqa: B006
                 dropout: Share = 0.1) -> None:
        super().__init__()
        levels, widths, embedding = len(multipliers), [channels * m for m in multipliers], 4 * channels
        refuse_tiny(shape, levels - 1, "multipliers")
        self.multiple, groups = 2 ** (levels - 1), max(1, min(GROUPS, channels // 4))
        attends = attending(shape, levels, attention, self.multiple)
        self.time = TimeEmbedding(embedding)

        def block(inputs: int, level: int) -> nn.ModuleList:
            """A ResNet block, and attention where the level attends."""
            out = widths[level]
            attention = [SelfAttention(out, groups=groups)] if attends[level] else []
            return nn.ModuleList([ResBlock(inputs, out, embedding, dropout, groups), *attention])

        self.stem = nn.Conv2d(shape.channels, channels, 3, padding=1)
        self.down, self.up, skips, width = nn.ModuleList(), nn.ModuleList(), [channels], channels
        for level, out in enumerate(widths):
            for _ in range(blocks):
                self.down.append(block(width, level))
                skips.append(width := out)
            if level < levels - 1:
                self.down.append(nn.ModuleList([nn.Conv2d(width, width, 3, stride=2, padding=1)]))
                skips.append(width)
        self.bottom = nn.ModuleList([ResBlock(width, width, embedding, dropout, groups),
                                     SelfAttention(width, groups=groups),
                                     ResBlock(width, width, embedding, dropout, groups)])
        for level in reversed(range(levels)):
            for _ in range(blocks + 1):
                self.up.append(block(width + skips.pop(), level))
                width = widths[level]
            if level:
                self.up.append(nn.ModuleList([Enlarge(width)]))
        self.norm, self.out = norm(width, groups), nn.Conv2d(width, shape.out, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[-2:]
        x, embedding = self.stem(pad_to_multiple(x, self.multiple)), F.silu(self.time(time))

        def through(layers: Iterable[nn.Module], x: torch.Tensor) -> torch.Tensor:
            for layer in layers:
                x = layer(x, embedding) if isinstance(layer, ResBlock) else layer(x)
            return x

        skips = [x]
        for layers in self.down:
            x = through(layers, x)
            skips.append(x)
        x = through(self.bottom, x)
        for layers in self.up:
            enlarging = isinstance(layers[0], Enlarge)
            x = through(layers, x if enlarging else torch.cat([x, skips.pop()], 1))
        return self.out(F.silu(self.norm(x)))[..., :height, :width]
