"""Cold diffusion by Gaussian blur: every D(x, t) is one small matrix per axis, D(x, t) = R_t x C_t^T.

The matrices of all t are composed once, in float64; a batch of mixed times is one batched product.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field

from kelvin.degradations.base import Degradation, ImageSpec, degradations
from kelvin.degradations.schedules import Steps
from kelvin.errors import KelvinError
from kelvin.registry import Registry

Positive = Annotated[float, Field(gt=0)]
severities = Registry("schedule")


@severities.register("own")
def own(*, steps: Steps) -> int:
    """T steps of the degradation's own growth rule; no noise schedule is involved."""
    return steps


def kernel_sigmas(growth: str, sigma: float, sigma_start: float, steps: int) -> np.ndarray:
    """sigma of step i = 1..T in image widths, by one of the published growth rules."""
    i = np.arange(1, steps + 1)
    if growth == "constant":  # Bansal et al. 2022, MNIST
        return np.full(steps, sigma)
    if growth == "proportional":  # study B: the kernel list is scaled by the time step
        return sigma * i / steps
    if growth == "additive":  # Bansal et al. 2022, CIFAR-10: i/100 + 0.35 pixels
        return sigma_start + (sigma - sigma_start) * (i - 1) / max(steps - 1, 1)
    return sigma_start * (sigma / sigma_start) ** ((i - 1) / max(steps - 1, 1))  # geometric


def kernel_matrix(n: int, size: int, sigma: float, border: str) -> np.ndarray:
    """The (n, n) matrix of a normalised Gaussian kernel of `size` taps along an axis of n pixels.

    sigma in pixels. circular wraps, reflect mirrors without repeating the edge (as numpy and torch
    name it), zero reads black outside.
    """
    offsets = np.arange(size) - size // 2
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    weights /= weights.sum()
    matrix = np.zeros((n, n))
    rows = np.arange(n)
    for offset, weight in zip(offsets, weights, strict=True):
        columns = rows + offset
        if border == "circular":
            columns = columns % n
        elif border == "reflect":  # folded as often as needed: kernels may be wider than the image
            period = max(2 * n - 2, 1)
            columns = np.abs((columns + n - 1) % period - (n - 1)) if n > 1 else columns * 0
        inside = (columns >= 0) & (columns < n)
        np.add.at(matrix, (rows[inside], columns[inside]), weight)
    return matrix


def heat_matrix(n: int, sigma: float) -> np.ndarray:
    """exp(sigma^2/2 Laplacian) with reflecting ends, exact in the DCT-II basis.

    The ideal Gaussian blur of standard deviation sigma pixels; sigmas add in squares (Rissanen et
    al. 2023, IHDM, section 3; Hoogeboom and Salimans 2023, eq. 11).
    """
    from scipy.fft import dct  # late: only this border needs it

    basis = dct(np.eye(n), norm="ortho", axis=0)  # rows: frequencies
    decay = np.exp(-0.5 * (sigma * np.pi * np.arange(n) / n) ** 2)
    return basis.T @ (decay[:, None] * basis)


def axis_matrices(n: int, sigmas: np.ndarray, size: int, border: str, sigma_of: str,
                  reading: str) -> np.ndarray:
    """(T + 1, n, n) float64: the identity, then D(., t) along an axis of n pixels, t = 1..T."""
    if border == "heat":
        totals = sigmas if sigma_of == "total" else np.sqrt(np.cumsum(sigmas**2))
        used = sigmas if reading == "single" else totals
        return np.stack([np.eye(n), *(heat_matrix(n, s) for s in used)])
    if sigma_of == "total":
        sigmas = np.sqrt(np.maximum(np.diff(sigmas**2, prepend=0.0), 1e-12))
    kernels = [kernel_matrix(n, size, s, border) for s in sigmas]
    out = [np.eye(n)]
    for kernel in kernels:
        out.append(kernel @ out[-1] if reading == "composed" else kernel)
    return np.stack(out)


@degradations.register("gaussian-blur")
class GaussianBlur(Degradation):
    """x_t = x0 blurred by kernels 1..t (`composed`, Bansal et al. 2022) or by kernel t (`single`).

    kernel, sigma, sigma_start: in image widths, so that a preset means the same at any size; a
    kernel is rounded to an odd number of taps, at least 3. sigma_of: `step` (sigma of each kernel)
    or `total` (of the composition). border `heat` is the ideal kernel in the DCT basis.
    """

    def __init__(self, image: ImageSpec, schedule: Mapping, *,
                 kernel: Positive, sigma: Positive, sigma_start: Positive,
                 growth: Literal["constant", "proportional", "additive", "geometric"],
                 sigma_of: Literal["step", "total"],
                 border: Literal["circular", "reflect", "zero", "heat"],
                 reading: Literal["composed", "single"]):
        self.image, self.border = image, border
        self.steps = severities.build(schedule, where="schedule")
        relative = kernel_sigmas(growth, sigma, sigma_start, self.steps)
        if sigma_of == "total" and np.any(np.diff(relative) <= 0):
            raise KelvinError("degradation.sigma_of = 'total' needs a sigma that grows with t: choose "
                              "growth = geometric, additive or proportional, and sigma > sigma_start")
        taps = max(3, 2 * round((kernel * image.width - 1) / 2) + 1)
        self.sigmas, self.taps = relative * image.width, taps
        rows, columns = (axis_matrices(n, self.sigmas, taps, border, sigma_of, reading)
                         for n in (image.height, image.width))
        self.rows, self.columns = (torch.from_numpy(m).float() for m in (rows, columns))

    def degrade(self, x0, t, z=None):
        x0 = x0 - self.image.low  # black is the zero of a zero border
        blurred = self.rows[t].to(x0.dtype)[:, None] @ x0 @ self.columns[t].to(x0.dtype).mT[:, None]
        return blurred + self.image.low

    def severity(self):
        """1 - ||D(., t)||_F^2 / n: the share of a white image's variance that the blur removes."""
        kept = self.rows.square().sum((1, 2)) * self.columns.square().sum((1, 2))
        return 1 - kept / (self.image.height * self.image.width)
