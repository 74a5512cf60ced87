"""Restorer = network + parameterisation + degradation. Samplers use one thing of it: x0_hat."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch

from kelvin.common.errors import KelvinError
from kelvin.degradations import Degradation, ImageSpec
from kelvin.restoration.guidance import Guided
from kelvin.restoration.parameterisation import PARAMETERISATIONS, check
from kelvin.restoration.rules import EXACT, check_rule, restore
from kelvin.restoration.variance import check as check_variance

Network = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Restoration:
    """x0_hat (n, C, H, W); v of a learned variance (kelvin.restoration.variance), (n, C, H, W), where the
    network gives it; the mean of x_{t-1} (`previous`) where the network predicts that."""

    x0_hat: torch.Tensor
    v: torch.Tensor | None = None
    previous: torch.Tensor | None = None


class Restorer:
    """restorer(x_t, t) -> Restoration; x_t in the model's range, t long (n,), 1..T.

    With `clip`, x0_hat is clipped to the model's range before a sampler sees it, and samplers derive
    the noise from the clipped x0_hat (diffusers' DDIM keeps the unclipped one by default). With
    variance = learned the network gives 2 C channels, the latter half 2 v - 1 (as Nichol and Dhariwal's
    code has it): an output of 0 is halfway between the bounds.
    """

    def __init__(self, network: Network, parameterisation: str, degradation: Degradation,
                 image: ImageSpec, clip: bool, rule: str = EXACT, variance: str = "fixed") -> None:
        check(parameterisation, degradation)
        check_rule(rule, parameterisation, process=degradation)
        check_variance(variance, degradation.temperature, degradation.steps, type(degradation).__name__)
        self.rule, self.target_name, self.variance = rule, parameterisation, variance
        self.network, self.degradation, self.image, self.clip = network, degradation, image, clip
        self.parameterisation = PARAMETERISATIONS[parameterisation]
        self.evaluations = 0  # evaluations of the network for each image of a batch: its NFE

    def conditional(self, labels: torch.Tensor, guidance: float = 1.0) -> Restorer:
        """The restorer of images of these classes, labels (n,); it takes batches of n.

        guidance: 0 unconditional, 1 conditional, above 1 guided (see kelvin.restoration.guidance).
        KelvinError for a network without classes, and for labels beyond them.
        """
        out = copy.copy(self)
        out.network, out.evaluations = Guided(self.network, labels, guidance), 0
        return out

    def predict(self, x_t: torch.Tensor, t: torch.Tensor, labels: torch.Tensor | None = None
                ) -> torch.Tensor:
        """The bare prediction of the network at x_t, t / T and, where there are any, labels (n,)."""
        return self.predict_both(x_t, t, labels)[0]

    def predict_both(self, x_t: torch.Tensor, t: torch.Tensor, labels: torch.Tensor | None = None
                     ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The bare prediction, and v of a learned variance, (n, C, H, W); None where it is fixed."""
        self.evaluations += getattr(self.network, "evaluations", 1)
        condition = () if labels is None else (labels,)
        out = self.network(x_t, t.to(x_t.dtype) / self.degradation.steps, *condition)
        if self.variance == "fixed":
            return out, None
        if out.shape[1] != 2 * x_t.shape[1]:
            raise KelvinError(f"restorer.variance = 'learned' needs a network of {2 * x_t.shape[1]} "
                              f"output channels (shape.out), but this one gives {out.shape[1]}")
        prediction, v = out.chunk(2, 1)
        return prediction, (v.float() + 1) / 2

    def target(self, x0: torch.Tensor, z: torch.Tensor | None, x_t: torch.Tensor, t: torch.Tensor
               ) -> torch.Tensor:
        """The target of `predict` at x_t = degrade(x0, t, z)."""
        return self.parameterisation.target(self.degradation, x0, z, x_t, t)

    def x0_hat(self, prediction: torch.Tensor, x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """x0_hat from a prediction, not clipped."""
        if self.rule != EXACT:
            return restore(self.rule, self.degradation, prediction, x_t, t)
        return self.parameterisation.x0_hat(self.degradation, prediction, x_t, t)

    def __call__(self, x_t: torch.Tensor, t: torch.Tensor) -> Restoration:
        prediction, v = self.predict_both(x_t, t)
        prediction = prediction.float()
        x0_hat = self.x0_hat(prediction, x_t, t)
        if self.clip:
            x0_hat = x0_hat.clamp(self.image.low, self.image.high)
        previous = self.parameterisation.previous
        return Restoration(x0_hat, v, previous and previous(prediction, x_t))
