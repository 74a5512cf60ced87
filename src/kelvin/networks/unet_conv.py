"""Study D's UNet-conv: unet-simple with more convolutions a block, and group norm for batch norm."""

from __future__ import annotations

from kelvin.networks.base import Shape, networks
from kelvin.networks.blocks import Share, Width
from kelvin.networks.unet_simple import SimpleUNet, Widths


@networks.register("unet-conv")
class ConvUNet(SimpleUNet):
    """unet-simple's figure and widths; `convolutions` a block, each with group norm (study D does not
    say how many: two here)."""

    def __init__(self, shape: Shape, *, widths: Widths, convolutions: Width = 2,
                 dropout: Share = 0.0) -> None:
        self.assemble(shape, widths, "group", convolutions, dropout)
