"""Where generation starts: x_T drawn from nothing but a seed."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from kelvin.degradations.base import Degradation, ImageSpec, Prior, State
from kelvin.errors import KelvinError
from kelvin.registry import Registry

priors = Registry("prior")


@priors.register("normal")
class StandardNormal(Prior):
    """x_T ~ N(0, I), and z = x_T: what a Gaussian process ends in when its signal has gone."""

    def __init__(self, image: ImageSpec, degradation: Degradation):
        self.shape = image.shape

    def draw(self, random):
        x = random.normal(*self.shape)
        return State(x, x)


@priors.register("gaussian")
class FittedGaussian(Prior):
    """A Gaussian fitted to degraded training images, plus N(0, jitter^2) to break symmetry.

    Full covariance where pixels x channels <= rank, else its `rank` largest principal directions.
    jitter is in pixel units of [0, 1] (Bansal et al. 2022, section 5.2 use 0.002).
    """

    def __init__(self, image: ImageSpec, degradation: Degradation, *,
                 rank: Annotated[int, Field(ge=1)], jitter: Annotated[float, Field(ge=0)]):
        self.image, self.degradation, self.rank = image, degradation, rank
        self.jitter = jitter * (image.high - image.low)
        self.mean = self.directions = None

    def fit(self, x_T):
        flat = x_T.flatten(1).double()
        mean = flat.mean(0)
        covariance = (flat - mean).T @ (flat - mean) / max(len(flat) - 1, 1)
        values, vectors = torch.linalg.eigh(covariance)
        values, vectors = values.flip(0)[: self.rank], vectors.flip(1)[:, : self.rank]
        # an eigenvector's sign is arbitrary: fix it, so that a seed means the same sample everywhere
        largest = vectors.abs().argmax(0, keepdim=True)
        vectors = vectors * vectors.gather(0, largest).sign()
        self.mean, self.directions = mean.float(), (vectors * values.clamp(min=0).sqrt()).float()

    def draw(self, random):
        if self.mean is None:
            raise KelvinError("the prior is not fitted: fit it to degraded training images, or load "
                              "weights that carry it")
        place = random.normal(self.directions.shape[1]) @ self.directions.cpu().T
        x = (self.mean.cpu() + place).view(-1, *self.image.shape)
        x = x + self.jitter * random.normal(*self.image.shape)
        return State(x, self.degradation.draw(random))

    def tensors(self):
        return {"mean": self.mean, "directions": self.directions.contiguous()}

    def load(self, tensors):
        self.mean, self.directions = tensors["mean"], tensors["directions"]
