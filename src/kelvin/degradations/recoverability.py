"""How much of an image is left for linear least squares once x_t lies in 8 bits.

recoverability_t = 1 - E||x0 - W_t x_t - b_t||^2 / E||x0 - E x0||^2 for the best W_t, b_t: 1 where x_t
determines x0, 0 where the mean image is the best guess. Rounding is white noise of variance step^2 / 12,
step one of 255 parts of the model's range; noise of a Gaussian process has a closed form too. W_t does
not depend on z.
"""

from __future__ import annotations

import torch

from kelvin.common.streams import BatchRandom, generator
from kelvin.degradations.base import Degradation, ImageSpec
from kelvin.degradations.gaussian import GaussianProcess, HotProcess

IMAGES = 2048      # training images for the moments, at most
DRAWS = 8192       # rows with a z of their own, at most: few rows make W_t look too good
SLICE = 2**23      # numbers degraded at once: bounds the memory
SMALL = 256        # pixels x channels up to which a curve has a hundred points, else twenty


def rounding(image: ImageSpec) -> float:
    """Variance of rounding to 8 bits, in the model's range."""
    return ((image.high - image.low) / 255) ** 2 / 12


class Moments:
    """Training images x0 (n, C, H, W) and their z, on which recoverability is measured."""

    def __init__(self, process: Degradation, x0: torch.Tensor) -> None:
        source = generator("recoverability")
        chosen = torch.randperm(len(x0), generator=source)[:IMAGES]
        x0 = x0[chosen]
        z = process.draw(BatchRandom(len(x0), source))
        if z is not None and not isinstance(process, HotProcess):
            x0 = x0.repeat(max(1, DRAWS // len(x0)), 1, 1, 1)
            z = process.draw(BatchRandom(len(x0), source))
        self.x0, self.z = x0, z
        flat = x0.flatten(1).double()
        self.centred = flat - flat.mean(0)
        self.total = float(self.centred.square().sum() / len(flat))

    def noise(self, signal: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
        """Recoverability of signal x0 + white noise, (k,) float64; signal, variance (k,) >= 0."""
        values = torch.linalg.eigvalsh(self.centred.T @ self.centred / len(self.centred)).clamp(min=0)
        power = signal.double().square()[:, None] * values
        shrinkage = torch.where(power > 0, power / (power + variance.double()[:, None]), 0.0)
        return (values * shrinkage).sum(1) / max(self.total, 1e-300)

    def of(self, process: Degradation, times: torch.Tensor) -> torch.Tensor:
        """Recoverability at the times (k,), (k,) float64; exactly 1 at t = 0."""
        times = times.cpu()
        if isinstance(process, HotProcess):
            values = self.noise(process.signal.cpu()[times],
                                process.noise.cpu()[times].square() + rounding(process.image))
        else:
            parts = times.split(max(1, SLICE // self.x0.numel()))
            values = torch.cat([self.measured(process, part) for part in parts])
        return torch.where(times == 0, 1.0, values)

    def measured(self, process: Degradation, times: torch.Tensor) -> torch.Tensor:
        n, k = len(self.x0), len(times)
        t = times.repeat_interleave(n).to(self.x0.device)
        x0, z = (None if a is None else a.repeat(k, *(1,) * (a.ndim - 1)) for a in (self.x0, self.z))
        noise = torch.full((k, 1), rounding(process.image), dtype=torch.float64)
        if isinstance(process, GaussianProcess):
            x_t = process.mean(x0, t, z)
            noise = noise + process.std(times).cpu().double().square().view(k, 1)
        else:
            x_t = process.degrade(x0, t, z)
        A = x_t.view(k, n, -1).double()
        A = A - A.mean(1, keepdim=True)
        own = A.mT @ A / n + torch.diag_embed(noise.expand(k, A.shape[2]))
        shared = A.mT @ self.centred / n
        explained = (shared * torch.linalg.solve(own, shared)).sum((1, 2))
        return explained / max(self.total, 1e-300)


def curve_times(steps: int, pixels: int) -> torch.Tensor:
    """Times from 0 to T at which a curve is measured: all, where they are few and images small."""
    points = 100 if pixels <= SMALL else 20
    return torch.linspace(0, steps, min(steps, points) + 1, dtype=torch.float64).round().long().unique()
