"""Cold diffusion by Gaussian blur, composed from per-step kernels or from one total sigma."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field

from kelvin.common.errors import KelvinError
from kelvin.degradations.base import ImageSpec, degradations
from kelvin.degradations.graded import geometric
from kelvin.degradations.matrices import AxisMatrices
from kelvin.degradations.signal import of_cosines

Positive = Annotated[float, Field(gt=0)]


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


def heat_matrices(n: int, sigmas: np.ndarray) -> np.ndarray:
    """exp(sigma^2/2 Laplacian) with reflecting ends, exact in the DCT-II basis: (T, n, n).

    The ideal Gaussian blur of standard deviations `sigmas` (T,) in pixels; sigmas add in squares
    (Rissanen et al. 2023, IHDM, section 3; Hoogeboom and Salimans 2023, eq. 11).
    """
    from scipy.fft import dct  # late: only this border needs it

    basis = dct(np.eye(n), norm="ortho", axis=0)  # rows: frequencies
    decay = np.exp(-0.5 * (sigmas[:, None] * np.pi * np.arange(n) / n) ** 2)
    return basis.T @ (decay[..., None] * basis)


def axis_matrices(n: int, sigmas: np.ndarray, size: int, border: str, sigma_of: str,
                  reading: str) -> np.ndarray:
    """(T + 1, n, n) float64: the identity, then D(., t) along an axis of n pixels, t = 1..T."""
    if border == "heat":
        totals = sigmas if sigma_of == "total" else np.sqrt(np.cumsum(sigmas**2))
        used = sigmas if reading == "single" else totals
        return np.concatenate([np.eye(n)[None], heat_matrices(n, used)])
    if sigma_of == "total":
        sigmas = np.sqrt(np.maximum(np.diff(sigmas**2, prepend=0.0), 1e-12))
    kernels = [kernel_matrix(n, size, s, border) for s in sigmas]
    out = [np.eye(n)]
    for kernel in kernels:
        out.append(kernel @ out[-1] if reading == "composed" else kernel)
    return np.stack(out)


@degradations.register("gaussian-blur")
class GaussianBlur(AxisMatrices):
    """x_t = x0 blurred by kernels 1..t (`composed`, Bansal et al. 2022) or by kernel t (`single`).

    kernel, sigma, sigma_start: in image widths, so that a preset means the same at any size; a
    kernel is rounded to an odd number of taps, at least 3. sigma_of: `step` (sigma of each kernel)
    or `total` (of the composition). border `heat` is the ideal kernel in the DCT basis; it alone has
    a sigma for every severity in between (kelvin.degradations.graded.geometric), and can be tied.
    """

    def __init__(self, image: ImageSpec, schedule: Mapping, *,
                 kernel: Positive, sigma: Positive, sigma_start: Positive,
                 growth: Literal["constant", "proportional", "additive", "geometric"],
                 sigma_of: Literal["step", "total"],
                 border: Literal["circular", "reflect", "zero", "heat"],
                 reading: Literal["composed", "single"]) -> None:
        self.growth, self.sigma, self.sigma_start = growth, sigma, sigma_start
        self.sigma_of, self.border, self.reading = sigma_of, border, reading
        self.own = schedule["kind"] == "own"
        if not self.own and (border, sigma_of, growth) != ("heat", "total", "geometric"):
            raise KelvinError("degradation: a blur whose severity follows another schedule than own "
                              "needs border = heat, sigma_of = total and growth = geometric")
        self.taps = max(3, 2 * round((kernel * image.width - 1) / 2) + 1)
        super().__init__(image, schedule)

    def tabulate(self, u: np.ndarray) -> None:
        if self.own:
            relative = kernel_sigmas(self.growth, self.sigma, self.sigma_start, self.steps)
        else:
            relative = geometric(u[1:], self.sigma_start, self.sigma, self.tied)
        if self.own and self.sigma_of == "total" and np.any(np.diff(relative) <= 0):
            raise KelvinError("degradation.sigma_of = 'total' needs a sigma that grows with t: choose "
                              "growth = geometric, additive or proportional, and sigma > sigma_start")
        self.sigmas = relative * self.image.width
        super().tabulate(u)

    def matrices(self, n: int, u: np.ndarray, axis: str) -> np.ndarray:
        return axis_matrices(n, self.sigmas, self.taps, self.border, self.sigma_of, self.reading)

    def stand_ins(self, x0: torch.Tensor) -> torch.Tensor:
        return of_cosines(x0) if self.border == "heat" else super().stand_ins(x0)
