"""Processes that add Gaussian noise: one posterior for ancestral sampling, DDIM and the likelihood."""

from __future__ import annotations

from abc import abstractmethod

import torch

from kelvin.degradations.base import Degradation, Random


class GaussianProcess(Degradation):
    """q(x_t | x0) = N(A_t x0, std_t^2 I), where A_t is diagonal in an orthonormal basis.

    Hot processes have a number for A_t; warm ones a gain per frequency or per pixel, which may depend
    on the known part of z. Subclasses give `gain` and `std`; `to_basis` and `from_basis` are the
    identity by default.
    """

    can_estimate_z = True

    @abstractmethod
    def gain(self, t: torch.Tensor, z: torch.Tensor | None) -> torch.Tensor:
        """The diagonal of A_t in the basis, broadcastable to (n, C, H, W); float64."""

    @abstractmethod
    def std(self, t: torch.Tensor) -> torch.Tensor:
        """Standard deviation of the noise, (n, 1, 1, 1), 0 at t = 0; float64."""

    def to_basis(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def from_basis(self, y: torch.Tensor) -> torch.Tensor:
        return y

    def eps(self, z: torch.Tensor) -> torch.Tensor:
        """The noise within z."""
        return z

    def with_eps(self, z: torch.Tensor | None, eps: torch.Tensor) -> torch.Tensor:
        """z with its noise replaced."""
        return eps

    def mean(self, x0: torch.Tensor, t: torch.Tensor, z: torch.Tensor | None) -> torch.Tensor:
        """A_t x0."""
        return self.from_basis(self.gain(t, z).to(x0.dtype) * self.to_basis(x0))

    def degrade(self, x0: torch.Tensor, t: torch.Tensor, z: torch.Tensor | None) -> torch.Tensor:
        x_t = self.mean(x0, t, z) + self.std(t).to(x0.dtype) * self.eps(z)
        return torch.where((t == 0).view(-1, 1, 1, 1), x0, x_t)

    def estimate_z(self, x_t: torch.Tensor, x0_hat: torch.Tensor, t: torch.Tensor,
                   z: torch.Tensor | None = None) -> torch.Tensor:
        return self.with_eps(z, (x_t - self.mean(x0_hat, t, z)) / self.std(t).to(x_t.dtype))

    def posterior(self, x_t: torch.Tensor, x0: torch.Tensor, t: torch.Tensor, s: torch.Tensor,
                  eta: float = 1.0, z: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean of q_eta(x_s | x_t, x0) for s < t, and its standard deviation in the basis.

        eta = 1 is the posterior of the Markov chain (Ho et al. 2020, eq. 7; per frequency Hoogeboom
        and Salimans 2023, eq. 9), eta = 0 the deterministic one (Song et al. 2021, DDIM, eq. 7 and
        16; sigma is theirs). A draw is mean + spread(std, noise).
        """
        gain_t, gain_s, std_t, std_s = self.gain(t, z), self.gain(s, z), self.std(t), self.std(s)
        # share = 1 - SNR_t / SNR_s; a coefficient without signal at s has ratio 0
        ratio = torch.where(gain_s > 0, gain_t / gain_s.clamp(min=1e-12), 0.0)
        share = 1 - (ratio * std_s / std_t).square()
        std = eta * std_s * share.clamp(min=0).sqrt()
        direction = (std_s**2 - std**2).clamp(min=0).sqrt().to(x_t.dtype)
        eps = (x_t - self.mean(x0, t, z)) / std_t.to(x_t.dtype)
        mean = self.mean(x0, s, z) + self.from_basis(direction * self.to_basis(eps))
        return mean, std.to(x_t.dtype)

    def spread(self, std: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """White noise (n, C, H, W) of standard deviation `std` in the basis, as an image."""
        return self.from_basis(std * noise)


class HotProcess(GaussianProcess):
    """x_t = signal_t x0 + noise_t z, z ~ N(0, I); `signal` and `noise`: float64 tables, T + 1 each."""

    temperature = "hot"
    signal: torch.Tensor
    noise: torch.Tensor

    def gain(self, t: torch.Tensor, z: torch.Tensor | None) -> torch.Tensor:
        return self.signal[t].view(-1, 1, 1, 1)

    def std(self, t: torch.Tensor) -> torch.Tensor:
        return self.noise[t].view(-1, 1, 1, 1)

    def draw(self, random: Random) -> torch.Tensor:
        return random.normal(*self.image.shape)

    def signal_variance(self) -> torch.Tensor:
        return self.signal.square()

    def log_snr(self) -> torch.Tensor:
        """log(signal^2 / noise^2) for t = 0..T, float64; infinite where one of them is 0."""
        return 2 * (self.signal.log() - self.noise.log())
