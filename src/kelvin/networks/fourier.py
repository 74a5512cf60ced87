"""A convolution with a large kernel as a product of spectra: nn.Conv2d's function, sooner on a CPU.

A zero-padded image of H rows under a kernel of k rows is a circular convolution on H + k//2 rows:
what wraps around falls outside the crop. The discrete Fourier transform of so short a circle is two
products with small matrices (columns, then rows), into which zero padding, crop and the kernel's
flip are folded; per frequency, channels mix by one complex matrix product over the batch.

In the letters of the code, with real x and w:  y = Re S (F x)(K w). Given the gradient g of y, and
G = S^T g, transposes without conjugates give all gradients: Re F^T (G W^T) and Re K^T (X^T G).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.autograd.function import once_differentiable

from kelvin.common.errors import KelvinError

# Images transformed together: more spills the spectra from the cache into memory, fewer reads the
# weights' spectrum too often. 64 and 128 were within 5%, 8 lost 25%.
CHUNK = 64

# How many multiply-adds of a plain convolution must replace one of ours; see `pays`.
ADVANTAGE = 2.5


class Waves(NamedTuple):
    """One transform: a complex matrix for the rows, a real one for the columns, each way.

    `rows` (n, U) complex; `into` (m, 2V) takes real columns to V complex frequencies, re and im
    interleaved; `out` (2V, m) takes complex frequencies to the real part of the transposed sum.
    """

    rows: torch.Tensor
    into: torch.Tensor
    out: torch.Tensor

    @classmethod
    def of(cls, rows: torch.Tensor, columns: torch.Tensor, dtype: torch.dtype) -> Waves:
        return cls(rows.to(dtype.to_complex()),
                   torch.view_as_real(columns).flatten(1).to(dtype),
                   torch.view_as_real(columns.conj().resolve_conj()).flatten(1).T.to(dtype))


def frequencies(height: int, width: int, kernel: tuple[int, int]) -> tuple[int, int]:
    """Rows U and columns V of a real image's half spectrum, on circles that hide the wrap-around."""
    return height + kernel[0] // 2, (width + kernel[1] // 2) // 2 + 1


@lru_cache(maxsize=64)
def transforms(height: int, width: int, kernel: tuple[int, int], dtype: torch.dtype
               ) -> tuple[Waves, Waves, Waves]:
    """The transforms F of an image, S back to an image, K of a kernel: computed in float64."""
    n, m = height + kernel[0] // 2, width + kernel[1] // 2
    u, v = torch.arange(n), torch.arange(m // 2 + 1)

    def wave(positions: range, frequency: torch.Tensor, circle: int) -> torch.Tensor:
        turns = torch.outer(torch.tensor(positions), frequency) % circle  # exact: integers
        angle = -2 * math.pi / circle * turns.double()
        return torch.complex(angle.cos(), angle.sin())

    def taps(k: int) -> range:  # tap j of a correlation moves a pixel by k//2 - j
        return range(k // 2, -(k // 2) - 1, -1)

    twice = torch.where((v == 0) | (2 * v == m), 1.0, 2.0).double()  # the half that is not stored
    rows, columns = wave(range(height), u, n), wave(range(width), v, m)
    return (Waves.of(rows, columns, dtype),
            Waves.of(rows.conj() / n, columns.conj() * twice / m, dtype),
            Waves.of(wave(taps(kernel[0]), u, n), wave(taps(kernel[1]), v, m), dtype))


def spectrum(x: torch.Tensor, waves: Waves) -> torch.Tensor:
    """Real x (a, b, H, W) -> complex (V U, a, b)."""
    a, b, h, w = x.shape
    half = torch.view_as_complex((x.reshape(-1, w) @ waves.into).view(a * b * h, -1, 2))
    half = half.T.reshape(-1, a * b, h)  # one frequency's images together, for the product
    rows = waves.rows.T.expand(len(half), -1, -1)
    return torch.bmm(rows, half.mT).view(-1, a, b)


def image(spectra: torch.Tensor, waves: Waves, out: torch.Tensor) -> torch.Tensor:
    """Complex (V U, a, b) -> the real part of the transposed transform, into out (a, b, H, W)."""
    _, a, b = spectra.shape
    v, (h, u) = len(waves.out) // 2, waves.rows.shape
    half = torch.bmm(spectra.view(v, u, a * b).mT, waves.rows.T.expand(v, -1, -1))
    half = torch.view_as_real(half.view(v, a * b * h).T.contiguous())
    torch.mm(half.view(a * b * h, 2 * v), waves.out, out=out.view(a * b * h, -1))
    return out


class Convolve(torch.autograd.Function):
    """y (n, O, H, W) of x (n, C, H, W), weight (O, C, kh, kw) and bias (O,) or None."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor,
                bias: torch.Tensor | None) -> torch.Tensor:
        height, width = x.shape[2:]
        f, s, k = transforms(height, width, tuple(weight.shape[2:]), x.dtype)
        # The kernel's constant wave, times this, is a constant image: that is how a bias is added.
        ctx.waves, ctx.constant = (f, s, k), 1 / (s.rows[0, 0] * s.into[0, 0]).real.item()
        mixing = spectrum(weight.transpose(0, 1), k)
        y, spectra = x.new_empty(len(x), len(weight), height, width), []
        for images, out in zip(x.split(CHUNK), y.split(CHUNK), strict=True):
            spectra.append(spectrum(images, f))
            product = torch.bmm(spectra[-1], mixing)
            if bias is not None:
                product[0] += bias * ctx.constant
            image(product, s, out)
        ctx.shapes = x.shape, weight.shape
        ctx.save_for_backward(mixing, *spectra)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (mixing, *spectra), (f, s, k) = ctx.saved_tensors, ctx.waves
        wants_x, wants_weight, wants_bias = ctx.needs_input_grad
        (n, c, height, width), (o, _, kh, kw) = ctx.shapes
        of_x = grad.new_empty(n, c, height, width) if wants_x else None
        of_mixing, of_bias = torch.zeros_like(mixing), grad.new_zeros(o)
        for i, (x_waves, g) in enumerate(zip(spectra, grad.split(CHUNK), strict=True)):
            g_waves = spectrum(g, s)
            if wants_x:
                image(torch.bmm(g_waves, mixing.mT), f, of_x[i * CHUNK:(i + 1) * CHUNK])
            if wants_weight:
                of_mixing.baddbmm_(x_waves.mT, g_waves)
            of_bias += g_waves[0].real.sum(0) * ctx.constant
        of_weight = None
        if wants_weight:
            of_weight = image(of_mixing, k, grad.new_empty(c, o, kh, kw)).transpose(0, 1)
        return of_x, of_weight, of_bias if wants_bias else None


def pays(in_channels: int, out_channels: int, kernel: tuple[int, int], height: int, width: int,
         device: torch.device, dtype: torch.dtype) -> bool:
    """Is the product of spectra the faster way? A rule of shapes alone: it never looks at a clock.

    It counts multiply-adds per image, plain against ours (transforms of all channels, and the mixing
    of channels at each frequency), and asks for ADVANTAGE times fewer.
    """
    if device.type != "cpu" or dtype not in (torch.float32, torch.float64):
        return False
    u, v = frequencies(height, width, kernel)
    plain = height * width * kernel[0] * kernel[1] * in_channels * out_channels
    mixing = 4 * u * v * in_channels * out_channels
    transform = 2 * v * width * height + 4 * v * u * height
    return plain > ADVANTAGE * (mixing + (in_channels + out_channels) * transform)


class FourierConv2d(nn.Conv2d):
    """nn.Conv2d of stride 1, odd kernel and zero padding that keeps the size; same state_dict.

    Takes the way that `pays` names; under autocast, on CUDA and in other types that is nn.Conv2d's
    own. Equal to it within float rounding: 1e-5 of the largest value, also in the gradients, which
    can be taken once but not twice.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        same = self.padding == "same" or self.padding == tuple(k // 2 for k in self.kernel_size)
        if not (same and all(k % 2 for k in self.kernel_size) and self.stride == (1, 1)
                and self.dilation == (1, 1) and self.groups == 1 and self.padding_mode == "zeros"):
            raise KelvinError(f"FourierConv2d({self.extra_repr()}) must have odd kernels, stride 1, "
                              "and zero padding that keeps the size: use nn.Conv2d for another.")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if (x.dim() != 4 or len(x) == 0
                or not pays(self.in_channels, self.out_channels, self.kernel_size, *x.shape[2:],
                            x.device, x.dtype)
                or torch.is_autocast_enabled(x.device.type)):
            return super().forward(x)
        return Convolve.apply(x, self.weight, self.bias)
