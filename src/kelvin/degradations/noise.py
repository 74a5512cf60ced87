"""Hot diffusion: Gaussian noise after a schedule."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from kelvin.degradations.base import GaussianProcess, ImageSpec, degradations
from kelvin.degradations.schedules import build_schedule


@degradations.register("gaussian-noise")
class GaussianNoise(GaussianProcess):
    """x_t = sqrt(alpha-bar_t) x0 + sqrt(1 - alpha-bar_t) z, z ~ N(0, I) (Ho et al. 2020, eq. 4)."""

    def __init__(self, image: ImageSpec, schedule: Mapping):
        self.image, self.schedule = image, build_schedule(schedule)
        self.steps = self.schedule.steps
        alpha_bar = torch.from_numpy(self.schedule.alpha_bar)
        self.signal, self.noise = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()

    def draw(self, random):
        return random.normal(*self.image.shape)

    def severity(self):
        """1 - alpha-bar_t: the share of variance that is noise."""
        return 1 - torch.from_numpy(self.schedule.alpha_bar)
