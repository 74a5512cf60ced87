"""Hot diffusion: Gaussian noise after a schedule, and the straight line from image to noise."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from kelvin.common.errors import KelvinError
from kelvin.degradations.base import OF_ANY, ImageSpec, degradations
from kelvin.degradations.gaussian import HotProcess
from kelvin.schedules import build_schedule, growths, tie_of


@degradations.register("gaussian-noise")
class GaussianNoise(HotProcess):
    """x_t = sqrt(alpha-bar_t) x0 + sqrt(1 - alpha-bar_t) z (Ho et al. 2020, eq. 4)."""

    parameterisations = ("eps", "v", "velocity", "scaled-eps", *OF_ANY)

    def __init__(self, image: ImageSpec, schedule: Mapping) -> None:
        self.image, self.schedule = image, build_schedule(schedule)
        self.steps = self.schedule.steps
        alpha_bar = torch.from_numpy(self.schedule.alpha_bar)
        self.signal, self.noise = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()


@degradations.register("interpolation")
class Interpolation(HotProcess):
    """x_t = (1 - u_t) x0 + u_t z: rectified flow (Liu et al. 2023, eq. 1; Lipman et al. 2023).

    Tied to a noise schedule 1 - u_t = sqrt(alpha-bar_t): the same signal, with noise u_t.
    """

    parameterisations = ("velocity", *OF_ANY)  # at T no signal is left for eps to be turned into x0

    def __init__(self, image: ImageSpec, schedule: Mapping) -> None:
        self.image = image
        if schedule["kind"] in growths.kinds():
            u = torch.from_numpy(growths.build(schedule))
        elif tie_of(schedule) != "variance":
            raise KelvinError("schedule.tie = 'recoverability' has no meaning for interpolation: its "
                              "noise is its own; set tie to variance")
        else:
            u = 1 - torch.from_numpy(build_schedule(schedule).alpha_bar).sqrt()
        self.steps, self.signal, self.noise = len(u) - 1, 1 - u, u
