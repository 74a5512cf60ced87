"""The blocks that networks are made of, each once."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from kelvin.common.errors import KelvinError
from kelvin.networks.base import Shape

Width = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Resolutions = list[Width] | Literal["bottom"]  # where to attend: sides in pixels, or the lowest level


class GroupNorm(nn.GroupNorm):
    """nn.GroupNorm that leaves channels_last images in their layout on CUDA.

    CUDA's own kernel takes contiguous images alone: it copies them first, and the next convolution copies
    them back. A compiled network needs no help.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.device.type == "cuda" and is_channels_last(x) and not torch.compiler.is_compiling():
            return group_norm_in_place(x, self.num_groups, self.weight, self.bias, self.eps)
        return super().forward(x)


def is_channels_last(x: torch.Tensor) -> bool:
    """Is x (n, C, H, W) in channels_last layout alone? Images of one channel or pixel are both."""
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def group_norm_in_place(x: torch.Tensor, groups: int, weight: torch.Tensor, bias: torch.Tensor,
                        eps: float) -> torch.Tensor:
    """F.group_norm of x (n, C, H, W), in 32 bits and in the layout of x: moments of each group, and one
    scale and shift for each channel (Wu and He 2018, eq. 1 and 6)."""
    n, channels = x.shape[:2]
    x = x.float()
    variance, mean = torch.var_mean(x.unflatten(1, (groups, -1)), (2, 3, 4), correction=0)
    size = channels // groups
    scale = (variance + eps).rsqrt().repeat_interleave(size, 1, output_size=channels) * weight
    shift = bias - mean.repeat_interleave(size, 1, output_size=channels) * scale
    return torch.addcmul(shift.view(n, channels, 1, 1), x, scale.view(n, channels, 1, 1))


def norm(channels: int, groups: int = 8) -> nn.GroupNorm:
    """Group norm with the largest group count of at most `groups` that divides the channels."""
    return GroupNorm(max(g for g in range(1, groups + 1) if channels % g == 0), channels)


def dropout(share: float) -> nn.Module:
    """Dropout; for a share of 0 the identity, which draws no random numbers."""
    return nn.Dropout(share) if share else nn.Identity()


class ResBlock(nn.Module):
    """norm -> SiLU -> conv, shifted by the time embedding, norm -> SiLU -> conv, plus the input
    (Ho et al. 2020)."""

    def __init__(self, inputs: int, outputs: int, embedding: int, share: float = 0.0,
                 groups: int = 8) -> None:
        super().__init__()
        self.norm1, self.conv1 = norm(inputs, groups), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2, self.conv2 = norm(outputs, groups), nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shift = nn.Linear(embedding, outputs)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.dropout = dropout(share)
        nn.init.zeros_(self.conv2.weight)  # a block starts as the identity
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        h = self.conv1(F.silu(self.norm1(x))) + self.shift(embedding)[:, :, None, None]
        return self.skip(x) + self.conv2(self.dropout(F.silu(self.norm2(h))))


class ConvBlock(nn.Module):
    """`convolutions` times conv 3x3 -> batch or group norm -> activation; the time embedding is added
    to what comes out."""

    def __init__(self, inputs: int, outputs: int, embedding: int, normed: Literal["batch", "group"],
                 convolutions: int = 1, share: float = 0.0,
                 activation: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i in range(convolutions):
            layers += [nn.Conv2d(outputs if i else inputs, outputs, 3, padding=1, bias=False),
                       nn.BatchNorm2d(outputs) if normed == "batch" else norm(outputs), activation()]
        self.layers = nn.Sequential(*layers, dropout(share))
        self.shift = nn.Linear(embedding, outputs)

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        return self.layers(x) + self.shift(embedding)[:, :, None, None]


class SelfAttention(nn.Module):
    """Every pixel attends to every pixel: x + projection(softmax(q k^T / sqrt(d)) v), on normed x.

    The projection starts at zero, so that the block starts as the identity.
    """

    def __init__(self, channels: int, heads: int = 1, groups: int = 8) -> None:
        super().__init__()
        if channels % heads:
            raise KelvinError(f"network.heads = {heads} must divide the {channels} channels that attend")
        self.heads, self.norm = heads, norm(channels, groups)
        self.qkv, self.out = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, c, height, width = x.shape
        pixels = self.norm(x).permute(0, 2, 3, 1).reshape(n, height * width, c)
        q, k, v = (part.unflatten(2, (self.heads, -1)).transpose(1, 2)
                   for part in self.qkv(pixels).chunk(3, 2))
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return x + self.out(attended).view(n, height, width, c).permute(0, 3, 1, 2)


def downsample(inputs: int, outputs: int, how: Literal["max-pool", "strided"]) -> nn.Module:
    """Half the size, odd sides rounded up: by the maximum of 2x2 pixels (then as many channels as came
    in) or by a strided convolution 3x3."""
    if how == "strided":
        return nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)
    return nn.MaxPool2d(2, ceil_mode=True)


class Upsample(nn.Module):
    """Twice the size by repeated pixels, after a convolution: at a quarter of the cost of one behind."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.interpolate(self.conv(x), scale_factor=2, mode="nearest")


def pad_to_multiple(x: torch.Tensor, multiple: int) -> torch.Tensor:
    """x (n, C, H, W), its last rows and columns repeated until both sides are multiples."""
    height, width = x.shape[-2:]
    pad = (-width % multiple, -height % multiple)
    return F.pad(x, (0, pad[0], 0, pad[1]), mode="replicate") if any(pad) else x


def crop_to(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """x without the last rows and columns by which it exceeds a skip."""
    return x[..., :like.shape[-2], :like.shape[-1]]


def pad_to(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """x, its last rows and columns repeated up to the size of a skip that is a little larger."""
    height, width = (a - b for a, b in zip(like.shape[-2:], x.shape[-2:], strict=True))
    return F.pad(x, (0, width, 0, height), mode="replicate") if height or width else x


def refuse_tiny(shape: Shape, halvings: int, what: str) -> None:
    """KelvinError where padding would more than double a side: those levels would see no image."""
    side = min(shape.height, shape.width)
    if 2 * side <= 2**halvings:
        raise KelvinError(f"network.{what}: {halvings + 1} levels halve the image {halvings} times, "
                          f"which {shape.height}x{shape.width} pixels do not bear; give fewer")


def attending(shape: Shape, levels: int, resolutions: Resolutions, multiple: int = 1) -> list[bool]:
    """Which levels attend: those whose longer side, of images padded to `multiple`, is among the
    resolutions, or the lowest alone. KelvinError for a resolution that no level has."""
    if resolutions == "bottom":
        return [level == levels - 1 for level in range(levels)]
    side = -(-max(shape.height, shape.width) // multiple) * multiple
    sides = [-(-side // 2**level) for level in range(levels)]
    for resolution in resolutions:
        if resolution not in sides:
            raise KelvinError(f"network.attention names {resolution}, but the levels on "
                              f"{shape.height}x{shape.width} images have sides of "
                              f"{', '.join(map(str, sides))} pixels; name some of these, none ([]) "
                              "or the lowest (bottom)")
    return [side in resolutions for side in sides]
