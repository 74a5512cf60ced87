"""S_t, the share of the training images' variance that a degradation leaves, with an error below 2 %.

Where x_t is linear in x0 at given z, x_t = A_t(z) x0 + b_t(z), few differences d stand for all pairs of
images: sum_d ||A d||^2 = E||A (x0 - E x0)||^2 for every A that the degradation has. One difference is
enough where A is diagonal in pixels (`of_pixels`) or in a transform (`of_cosines`, `of_waves`); principal
components serve any A (`of_components`). What is not linear is measured on pairs of images. z is averaged
over draws, as many as the error asks for, or over an even grid where it is one or two numbers; without z,
and linear, nothing is drawn and S_t is exact.
"""

from __future__ import annotations

import math

import torch

from kelvin.common.streams import BatchRandom, generator
from kelvin.degradations.base import Degradation

ERROR = 0.02  # wanted standard error of the signal variance, as a share of it
LEAST = 1e-3  # smaller signal variances need only the absolute error of this one, by default
PAIRS = 256, 8192  # pairs, least and most
HELD = 2**25  # numbers of all pairs together at most: bounds the memory
PIXELS = 1024  # numbers of an image up to which all its principal components are used
COMPONENTS, REST, SOME = 256, 64, 1024  # of larger images: components, remainders, images for both
SLICE = 2**20  # numbers degraded at once: they fit a processor's cache
EVEN = 2, 1024  # most numbers in a z that is spread evenly, not drawn; how many z are spread

Pairs = tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]  # x and y (n, C, H, W), their common z


def of_pixels(x0: torch.Tensor) -> torch.Tensor:
    """(1, C, H, W): the standard deviation of each pixel, for an A that scales pixels."""
    return x0.double().std(0, correction=0, keepdim=True)


def of_cosines(x0: torch.Tensor) -> torch.Tensor:
    """(1, C, H, W): the image whose cosine transform (DCT-II) is the standard deviation of each
    coefficient, for an A that scales those."""
    from scipy.fft import dctn, idctn  # late: blurs alone need it

    spread = dctn(x0.double().numpy(), axes=(2, 3), norm="ortho").std(0, keepdims=True)
    return torch.from_numpy(idctn(spread, axes=(2, 3), norm="ortho"))


def of_waves(x0: torch.Tensor) -> torch.Tensor:
    """(1, C, H, W): the image whose Fourier transform is the standard deviation of each coefficient, for
    an A that scales those (a convolution whose borders wrap)."""
    spectrum = torch.fft.rfft2((x0 - x0.mean(0)).double())
    return torch.fft.irfft2(spectrum.abs().square().mean(0, keepdim=True).sqrt(), s=x0.shape[2:])


def of_components(x0: torch.Tensor) -> torch.Tensor:
    """(k, C, H, W): principal components, each as long as its standard deviation. Of images of more than
    PIXELS numbers the largest COMPONENTS, and REST images without these, scaled to the variance left."""
    flat = (x0 - x0.mean(0)).flatten(1)
    size = flat.shape[1]
    some = flat[torch.randperm(len(flat), generator=generator("components"))[:SOME]].double()
    if size <= PIXELS:
        basis = torch.eye(size, dtype=torch.float64)
    else:
        _, vectors = torch.linalg.eigh(some @ some.T)
        basis, _ = torch.linalg.qr(some.T @ vectors[:, -COMPONENTS:])
    within = (flat @ basis.to(flat.dtype)).double()
    values, vectors = torch.linalg.eigh(within.T @ within / len(flat))
    values = values.clamp(min=0)
    out = values.sqrt()[:, None] * (basis @ vectors).T
    if size > PIXELS:
        rest = some[:REST] - some[:REST] @ basis @ basis.T
        left = (flat.square().sum(dtype=torch.float64) / len(flat) - values.sum()).clamp(min=0)
        out = torch.cat([out, rest * (left / rest.square().sum().clamp(min=1e-12)).sqrt()])
    return out.view(-1, *x0.shape[1:])


class EvenRandom:
    """n points spread evenly (scrambled Sobol), in place of draws, of one request of few numbers."""

    def __init__(self, n: int, seed: int) -> None:
        self.n, self._seed = n, seed

    def uniform(self, *tail: int) -> torch.Tensor:
        engine = torch.quasirandom.SobolEngine(math.prod(tail), scramble=True, seed=self._seed)
        return engine.draw(self.n).view(self.n, *tail).clamp(max=1 - 2**-24)

    def normal(self, *tail: int) -> torch.Tensor:
        return torch.special.ndtri(self.uniform(*tail).clamp(min=2**-24))


def enough_pairs(process: Degradation, x0: torch.Tensor, stand_ins: torch.Tensor | None,
                 least: float = LEAST) -> Pairs:
    """Pairs (x, y, z) by which S_t is `measured` to ERROR at each severity that `process` now has.

    x0: training images (n, C, H, W), 2 or more. stand_ins: differences that stand for all pairs of them,
    several only where there is no z; None: pairs of images. least: S_t below it is held to its error.
    """
    source = generator("signal variance")
    z = process.draw(BatchRandom(1, generator("is there z?")))
    if stand_ins is not None and (z is None or z.numel() <= EVEN[0]):
        x, z = (stand_ins, None) if z is None else (
            stand_ins.expand(EVEN[1], -1, -1, -1), process.draw(EvenRandom(EVEN[1], 0)))
        middle = x0.mean(0, keepdim=True).expand(len(x), -1, -1, -1)
        return middle + x.to(x0.dtype), middle, z
    most = max(2, min(PAIRS[1], HELD // (2 * x0[0].numel())))
    n = min(PAIRS[0], most)
    while True:
        if stand_ins is None:
            first = torch.randint(len(x0), (n,), generator=source)
            step = 1 + torch.randint(len(x0) - 1, (n,), generator=source)
            x, y = x0[first], x0[(first + step) % len(x0)]
        else:
            y = x0.mean(0, keepdim=True).expand(n, -1, -1, -1)
            x = y + stand_ins.to(x0.dtype)
        pairs = x, y, process.draw(BatchRandom(n, source))
        short = (relative_error(*gaps(process, *pairs), least) / ERROR).square().max().item()
        if short <= 1 or n == most:
            return pairs
        n = min(most, int(1.1 * short * n) + 1)


def relative_error(left: torch.Tensor, whole: torch.Tensor, least: float) -> torch.Tensor:
    """Standard error of the ratio of sums S_t, as a share of S_t or of `least`; of `gaps`, (T + 1,)."""
    total = whole.sum().clamp(min=1e-12)
    share = left.sum(1) / total
    error = (left - share[:, None] * whole).square().sum(1).sqrt() / total
    return error / share.clamp(min=least)


def measured(process: Degradation, x: torch.Tensor, y: torch.Tensor, z: torch.Tensor | None
             ) -> torch.Tensor:
    """S_t, (T + 1,) float64, over pairs (x, y) that share z."""
    left, whole = gaps(process, x, y, z)
    return left.sum(1) / whole.sum().clamp(min=1e-12)


def gaps(process: Degradation, x: torch.Tensor, y: torch.Tensor, z: torch.Tensor | None
         ) -> tuple[torch.Tensor, torch.Tensor]:
    """Squared distances of pairs (x, y) that share z: at each t (T + 1, n), and before (n,); float64."""
    out = []
    for times in torch.arange(process.steps + 1).split(max(1, SLICE // x.numel())):
        t = times.repeat_interleave(len(x))
        x_k, y_k, z_k = (None if a is None else a.repeat(len(times), *(1,) * (a.ndim - 1))
                         for a in (x, y, z))
        gap = process.degrade(x_k, t, z_k) - process.degrade(y_k, t, z_k)
        out.append(gap.square().flatten(1).sum(1, dtype=torch.float64).view(len(times), -1))
    return torch.cat(out), (x - y).square().flatten(1).sum(1, dtype=torch.float64)
