"""The forward side: schedules, every D(x0, t; z), and the priors generation starts from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kelvin.degradations import (  # noqa: F401 - they enter themselves in the registry
    blur,
    colour,
    masks,
    matrices,
    morph,
    motion,
    noise,
    warm,
    weather,
)
from kelvin.degradations.base import Degradation, ImageSpec, Prior, State, degradations
from kelvin.degradations.gaussian import GaussianProcess, HotProcess
from kelvin.degradations.graded import Graded
from kelvin.degradations.priors import priors
from kelvin.schedules import NoiseSchedule, build_schedule, schedules

__all__ = ["Degradation", "GaussianProcess", "Graded", "HotProcess", "ImageSpec", "NoiseSchedule",
           "Prior", "State", "build", "build_schedule", "degradations", "priors", "schedules"]


def build(image: ImageSpec, degradation: Mapping[str, Any], schedule: Mapping[str, Any],
          prior: Mapping[str, Any]) -> Degradation:
    """The degradation that a run's sections name, with its prior attached."""
    process = degradations.build(degradation, image, schedule)
    process.prior = priors.build(prior, image, process)
    return process
