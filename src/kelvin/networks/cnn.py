"""The CNN of studies A and B."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from kelvin.networks.base import Shape, networks
from kelvin.networks.embeddings import TimeEmbedding
from kelvin.networks.fourier import FourierConv2d

Width = Annotated[int, Field(ge=1)]


class Block(nn.Sequential):
    """conv (zero padding, same size) -> LayerNorm over (C, H, W) -> GELU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, shape: Shape) -> None:
        super().__init__(FourierConv2d(inputs, outputs, kernel, padding=kernel // 2),
                         nn.LayerNorm((outputs, shape.height, shape.width)), nn.GELU())


@networks.register("cnn")
class CNN(nn.Module):
    """Blocks at full resolution, time embedding added after the first, a last conv 3x3."""

    contiguous = True  # in fp32 its large kernels are products of spectra: see kelvin.networks.fourier

    def __init__(self, shape: Shape, *, hidden: Annotated[list[Width], Field(min_length=1)],
                 kernel: Annotated[int, Field(ge=1)]) -> None:
        super().__init__()
        widths = [shape.channels, *hidden]
        self.blocks = nn.ModuleList(Block(a, b, kernel, shape)
                                    for a, b in zip(widths, widths[1:], strict=False))
        self.time = TimeEmbedding(hidden[0])
        self.out = nn.Conv2d(hidden[-1], shape.out, 3, padding=1)

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        x = self.blocks[0](x) + self.time(time)[:, :, None, None]
        for block in self.blocks[1:]:
            x = block(x)
        return self.out(x)
