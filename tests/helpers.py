"""Builders that several tests use."""

import torch

from kelvin import degradations
from kelvin.degradations import ImageSpec

BLUR = {"kind": "gaussian-blur", "kernel": 0.45, "sigma": 0.2, "sigma_start": 0.02,
        "growth": "proportional", "sigma_of": "step", "border": "circular", "reading": "composed"}
HEAT = {**BLUR, "border": "heat", "sigma": 0.75, "growth": "geometric", "sigma_of": "total"}
LINEAR = {"kind": "linear", "steps": 1000, "beta_min": 1e-4, "beta_max": 0.02}
NORMAL = {"kind": "normal"}


def image(channels=1, height=8, width=8, low=-1.0, high=1.0):
    return ImageSpec(channels, height, width, low, high)


def noise(spec=None, **schedule):
    return degradations.build(spec or image(), {"kind": "gaussian-noise"}, {**LINEAR, **schedule},
                              NORMAL)


def blur(spec=None, steps=8, **options):
    return degradations.build(spec or image(), {**BLUR, **options}, {"kind": "own", "steps": steps},
                              {"kind": "gaussian", "rank": 64, "jitter": 0.01})


def unit_images(n, spec, seed=0):
    return torch.rand(n, *spec.shape, generator=torch.Generator().manual_seed(seed))
