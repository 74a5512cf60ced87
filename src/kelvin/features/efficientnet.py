"""EfficientNet-Lite0 up to its last average pool, batch norm folded into the convolutions.

Tan and Le 2019: "EfficientNet: rethinking model scaling for convolutional neural networks"; Lite: without
squeeze and excitation, ReLU6 in place of swish, stem and head of fixed width (Google, 2020).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import nn

DIM = 1280
STEM = 32
STAGES = (  # kernel, stride of the first block, expansion, channels, blocks
    (3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4), (3, 1, 6, 320, 1))
STRIDE = 32  # pixels to one position of the last map
EPSILON = 1e-3  # of batch norm


class Convolution(nn.Module):
    """k x k, of all channels or of each its own, then ReLU6 where it is `active`.

    TensorFlow's "same" padding of even sides: at stride 2 one row and column more after than before.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1,
                 active: bool = True) -> None:
        super().__init__()
        before = (kernel - stride) // 2
        self.before, self.after, self.active = before, kernel - stride - before, active
        symmetric = before if before == self.after else 0
        self.layer = nn.Conv2d(inputs, outputs, kernel, stride, symmetric, groups=groups)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.before != self.after:
            x = F.pad(x, (self.before, self.after) * 2)
        x = self.layer(x)
        return F.hardtanh(x, 0, 6, inplace=True) if self.active else x


class Block(nn.Module):
    """Expand, convolve each channel, project (Sandler et al. 2018); with a skip where shapes agree."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        wider = [Convolution(inputs, inner)] if expansion > 1 else []
        self.body = nn.Sequential(*wider, Convolution(inner, inner, kernel, stride, inner),
                                  Convolution(inner, outputs, active=False))
        self.skips = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x) if self.skips else self.body(x)


def blank_network() -> nn.Module:
    """(b, 3, H, W), sides multiples of 32 -> (b, 1280); on torch's meta device, without values."""
    with torch.device("meta"):
        layers: list[nn.Module] = [Convolution(3, STEM, 3, 2)]
        inputs = STEM
        for kernel, stride, expansion, outputs, blocks in STAGES:
            for i in range(blocks):
                layers.append(Block(inputs, outputs, kernel, stride if i == 0 else 1, expansion))
                inputs = outputs
        return nn.Sequential(*layers, Convolution(inputs, DIM), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def pool_network(state: Mapping[str, torch.Tensor]) -> nn.Module:
    """The network with the values of a published file, in evaluation mode.

    state: {name: tensor}, convolutions and batch norms in the order of the network, classes at its end.
    ValueError where their number or a shape is another.
    """
    network = blank_network().to_empty(device="cpu")
    layers = [part.layer for part in network.modules() if isinstance(part, Convolution)]
    for layer, (weight, bias) in zip(layers, _folded(state), strict=True):
        if weight.shape != layer.weight.shape:
            raise ValueError(f"a convolution is {tuple(weight.shape)}, not {tuple(layer.weight.shape)}")
        layer.weight.data, layer.bias.data = weight, bias
    return network.eval().requires_grad_(False)


def _folded(state: Mapping[str, torch.Tensor]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Weight and bias of each convolution with its norm: w g / sqrt(v + e), b - m g / sqrt(v + e)."""
    values = [value.double() for name, value in state.items()
              if "num_batches" not in name and not name.startswith("_fc.")]
    if len(values) % 5:
        raise ValueError(f"{len(values)} arrays are no convolutions with batch norms")
    for weight, scale, shift, mean, variance in zip(*[iter(values)] * 5, strict=True):
        gain = scale / (variance + EPSILON).sqrt()
        yield (weight * gain[:, None, None, None]).float(), (shift - mean * gain).float()
