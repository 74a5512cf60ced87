"""Study D's UNet-simple: one convolution and batch norm a block."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from kelvin.common.errors import KelvinError
from kelvin.networks.base import Shape, networks
from kelvin.networks.blocks import ConvBlock, Share, Upsample, Width, pad_to_multiple, refuse_tiny
from kelvin.networks.embeddings import TimeEmbedding

Widths = Annotated[list[Width], Field(min_length=3)]


@networks.register("unet-simple")
class SimpleUNet(nn.Module):
    """widths, read as down, bottom, up: [64, 128, 128, 64, 32] is

        64 ----------------- 32      H x W
           128 --------- 64          H/2
                  128                H/4

    with max-pooling down, repeated pixels up and skips by concatenation (study D: that for MNIST,
    [128, 256, 256, 128, 64] for CIFAR-10). Images of any size: padded, and cropped back.
    """

    def __init__(self, shape: Shape, *, widths: Widths, dropout: Share = 0.0) -> None:
        self.assemble(shape, widths, "batch", 1, dropout)

    def assemble(self, shape: Shape, widths: list[int], normed: Literal["batch", "group"],
                 convolutions: int, share: float) -> None:
        super().__init__()
        levels = len(widths) // 2
        if len(widths) % 2 == 0:
            raise KelvinError(f"network.widths = {widths} has {len(widths)} entries; it must be an odd "
                              "number: the way down, the bottom, and as many up as down")
        refuse_tiny(shape, levels, "widths")
        self.multiple, embedding = 2**levels, 4 * widths[0]
        self.time = TimeEmbedding(embedding)

        def block(inputs: int, outputs: int) -> ConvBlock:
            return ConvBlock(inputs, outputs, embedding, normed, convolutions, share)

        down, bottom, up = widths[:levels], widths[levels], widths[levels + 1:]
        self.down = nn.ModuleList(block(a, b)
                                  for a, b in zip([shape.channels, *down], down, strict=False))
        self.pool = nn.MaxPool2d(2)
        self.bottom = block(down[-1], bottom)
        self.enlarge = nn.ModuleList(Upsample(a, b) for a, b in zip([bottom, *up], up, strict=False))
        self.up = nn.ModuleList(block(a + b, a) for a, b in zip(up, reversed(down), strict=True))
        self.out = nn.Conv2d(up[-1], shape.out, 1)

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[-2:]
        x, embedding, skips = pad_to_multiple(x, self.multiple), self.time(time), []
        for block in self.down:
            skips.append(block(x, embedding))
            x = self.pool(skips[-1])
        x = self.bottom(x, embedding)
        for enlarge, block in zip(self.enlarge, self.up, strict=True):
            x = block(torch.cat([enlarge(x), skips.pop()], 1), embedding)
        return self.out(x)[..., :height, :width]
