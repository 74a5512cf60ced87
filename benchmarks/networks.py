"""Benchmark rows of training: unet-resnet against two published U-Nets of as many parameters.

The peers are run as their users run them: default settings, layout and fp32. Ours runs as Kelvin
trains it: precision and layout by the rule of docs/devices.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from kelvin.common.hardware import resolve
from kelvin.networks import Shape, build, flops_per_image, parameter_count

SHAPE, BATCH = Shape(1, 28, 28), 128
OURS = {"kind": "unet-resnet", "channels": 16, "multipliers": [1, 2, 6, 12], "blocks": [1, 1, 1, 2],
        "attention": [7]}


@dataclass(frozen=True)
class Side:
    """One training step, and in words what it trains."""

    step: Callable[[], None]
    about: str


def side(network: nn.Module, name: str, mixed: str, memory_format: torch.memory_format) -> Side:
    about = (f"{name} {parameter_count(network) / 1e6:.2f} M parameters, "
             f"{flops_per_image(network, SHAPE) / 1e6:.0f} MFLOPs an image, "
             f"{'bf16' if mixed == 'bf16' else 'fp32'}")
    network = network.to(memory_format=memory_format).train()
    x, t = torch.randn(BATCH, 1, 28, 28).contiguous(memory_format=memory_format), torch.rand(BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), 2e-4, fused=True)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed == "bf16"):
            loss = (network(x, t).float() - x).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return Side(step, about)


def ours() -> Side:
    network = build(OURS, SHAPE)
    precision = resolve("auto", torch.device("cpu"), network, SHAPE)
    return side(network, "unet-resnet", precision.mixed, precision.memory_format)


class Diffusers(nn.Module):
    """UNet2DModel's defaults, with the first three of its four default blocks; one layer a block is
    what brings (32, 64, 128) to 2.79 M parameters (two: 4.02 M)."""

    def __init__(self):
        super().__init__()
        from diffusers import UNet2DModel

        self.model = UNet2DModel(
            sample_size=28, in_channels=1, out_channels=1, block_out_channels=(32, 64, 128),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"))

    def forward(self, x, time):
        return self.model(x, 1000 * time).sample


class DenoisingDiffusion(nn.Module):
    """denoising-diffusion-pytorch's Unet, dim 32, multipliers 1, 2, 4; everything else its default."""

    def __init__(self):
        super().__init__()
        from denoising_diffusion_pytorch import Unet

        self.model = Unet(dim=32, dim_mults=(1, 2, 4), channels=1)

    def forward(self, x, time):
        return self.model(x, 1000 * time)


PEERS = {"diffusers": (Diffusers, "diffusers UNet2DModel"),
         "denoising-diffusion-pytorch": (DenoisingDiffusion, "denoising-diffusion-pytorch Unet")}


def training_sides(peer: str) -> tuple[Side, Side]:
    """Ours and the peer; ImportError where the peer is not installed."""
    torch.manual_seed(0)
    network, name = PEERS[peer]
    return ours(), side(network(), name, "no", torch.contiguous_format)
