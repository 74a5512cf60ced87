"""Where generation starts: x_T drawn from nothing but a seed.

Other than pure noise, a prior draws a stand-in for an image and degrades it to T with a z of its
own, so that x_T and z fit each other. For a linear process of fixed z this is, in law, a prior fitted
to degraded images.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated

import torch
from pydantic import Field

from kelvin.common.errors import KelvinError
from kelvin.config.registry import Registry
from kelvin.degradations.base import Degradation, ImageSpec, Prior, Random, State

priors = Registry("prior")
Jitter = Annotated[float, Field(ge=0)]


@priors.register("normal")
class StandardNormal(Prior):
    """x_T ~ N(0, I), and z = x_T: the end of a Gaussian process, where no signal is left."""

    def __init__(self, image: ImageSpec, degradation: Degradation) -> None:
        if degradation.temperature != "hot":
            raise KelvinError("prior.kind = 'normal' is where noise alone ends, but the degradation is "
                              f"{type(degradation).__name__}: choose gaussian, mixture or constant")
        self.shape = image.shape

    def draw(self, random: Random) -> State:
        x = random.normal(*self.shape)
        return State(x, x)


class StandIn(Prior):
    """x_T = D(g, T; z) + N(0, jitter^2), g a stand-in for an image; jitter in units of [0, 1].

    Jitter makes starts differ that would all be the same (Bansal et al. 2022, section 5.2 use 0.002).
    """

    def __init__(self, image: ImageSpec, degradation: Degradation, jitter: float) -> None:
        self.image, self.degradation = image, degradation
        self.jitter = jitter * (image.high - image.low)

    @abstractmethod
    def stand_in(self, random: Random) -> torch.Tensor:
        """g, (n, C, H, W) in the model's range."""

    def draw(self, random: Random) -> State:
        device = self.degradation.device
        g, z = self.stand_in(random).to(device), self.degradation.draw(random)
        z = None if z is None else z.to(device)
        T = torch.full((len(g),), self.degradation.steps, device=device)
        x = self.degradation.degrade(g, T, z)
        if self.jitter:
            x = x + self.jitter * random.normal(*self.image.shape).to(device)
        return State(x, z)


@priors.register("constant")
class Constant(StandIn):
    """g is one grey level in [0, 1]: enough where nothing of the image is left at T."""

    def __init__(self, image: ImageSpec, degradation: Degradation, *,
                 level: Annotated[float, Field(ge=0, le=1)], jitter: Jitter) -> None:
        self.level = image.encode(level)
        super().__init__(image, degradation, jitter)

    def stand_in(self, random: Random) -> torch.Tensor:
        return torch.full((random.n, *self.image.shape), self.level)


@priors.register("gaussian")
class FittedGaussian(StandIn):
    """g ~ a Gaussian fitted to training images.

    Full covariance where pixels x channels <= rank, else its `rank` largest principal directions.
    """

    def __init__(self, image: ImageSpec, degradation: Degradation, *,
                 rank: Annotated[int, Field(ge=1)], jitter: Jitter) -> None:
        self.rank, self.average, self.directions = rank, None, None
        super().__init__(image, degradation, jitter)

    def fit(self, x0: torch.Tensor) -> None:
        flat = x0.flatten(1).double()
        average = flat.mean(0)
        covariance = (flat - average).T @ (flat - average) / max(len(flat) - 1, 1)
        values, vectors = torch.linalg.eigh(covariance)
        values, vectors = values.flip(0)[: self.rank], vectors.flip(1)[:, : self.rank]
        # an eigenvector's sign is arbitrary: fix it, so that a seed means the same sample everywhere
        largest = vectors.abs().argmax(0, keepdim=True)
        vectors = vectors * vectors.gather(0, largest).sign()
        self.average, self.directions = average.float(), (vectors * values.clamp(min=0).sqrt()).float()

    def stand_in(self, random: Random) -> torch.Tensor:
        check_fitted(self.average)
        place = random.normal(self.directions.shape[1]) @ self.directions.cpu().T
        return (self.average.cpu() + place).view(-1, *self.image.shape)

    def tensors(self) -> dict[str, torch.Tensor]:
        return {"mean": self.average, "directions": self.directions.contiguous()}

    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        self.average, self.directions = tensors["mean"], tensors["directions"]


@priors.register("mixture")
class ColourMixture(StandIn):
    """g is one colour, drawn from a Gaussian mixture fitted to the images' mean colours.

    Bansal et al. 2022, section 5.2: where T blurs an image to its mean, this is x_T.
    """

    def __init__(self, image: ImageSpec, degradation: Degradation, *,
                 components: Annotated[int, Field(ge=1)], jitter: Jitter) -> None:
        self.components, self.weights = components, None
        super().__init__(image, degradation, jitter)

    def fit(self, x0: torch.Tensor) -> None:
        from sklearn.mixture import GaussianMixture  # late: other priors do without

        if len(x0) < self.components:
            raise KelvinError(f"prior.components = {self.components} needs at least as many training "
                              f"images, not {len(x0)}")
        mixture = GaussianMixture(self.components, random_state=0).fit(x0.mean((2, 3)).double().numpy())
        self.weights, self.means = (torch.from_numpy(a).float()
                                    for a in (mixture.weights_, mixture.means_))
        self.roots = torch.linalg.cholesky(torch.from_numpy(mixture.covariances_)).float()

    def stand_in(self, random: Random) -> torch.Tensor:
        check_fitted(self.weights)
        edges = self.weights.cpu().double().cumsum(0)[:-1].contiguous()
        which = torch.bucketize(random.uniform(1)[:, 0].double(), edges)
        noise = random.normal(self.image.channels)
        colour = self.means.cpu()[which] + (self.roots.cpu()[which] @ noise[..., None])[..., 0]
        return colour[..., None, None].expand(-1, *self.image.shape).contiguous()

    def tensors(self) -> dict[str, torch.Tensor]:
        return {"weights": self.weights, "means": self.means, "roots": self.roots}

    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        self.weights, self.means, self.roots = (tensors[k] for k in ("weights", "means", "roots"))


@priors.register("real")
def real(image: ImageSpec, degradation: Degradation) -> Prior:
    """KelvinError: to start from degraded test images is restoration, which every run reports anyway."""
    raise KelvinError("prior.kind = 'real' starts from degraded real images, which restores and does not "
                      "generate: every run is measured by that too (its restorations); choose gaussian, "
                      "mixture, constant or normal to generate from")


def check_fitted(value: object) -> None:
    """KelvinError where a fitted tensor is missing."""
    if value is None:
        raise KelvinError("the prior is not fitted: fit it to training images, or load weights that "
                          "carry it")
