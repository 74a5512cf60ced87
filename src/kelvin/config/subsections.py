"""Sections within sections of params.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from kelvin.config.values import FITS, Count, Index, Name, Positive, Section, Weight, at_most, once


class KernelDistance(Section):
    """KID: kernel (gamma <a, b> + coef0)^degree, gamma null for 1 / features; seeded subsets."""

    degree: Annotated[int, Field(ge=1), at_most(10, "powers above it can overflow")]
    gamma: Positive | None
    coef0: Weight
    subset: Annotated[int, Field(ge=3), FITS]
    subsets: Annotated[int, Field(ge=1), at_most(10_000, "each is a distance of its own")]


class Discrepancy(Section):
    """MMD: Gaussian kernels at multiples of the median distance; permutations behind its p-value."""

    multiples: Annotated[list[Positive], Field(min_length=1), AfterValidator(once)]
    permutations: Annotated[int, Field(ge=1), at_most(100_000, "their labels are held in memory")]
    rows: Annotated[int, Field(ge=2), at_most(20_000, "each is compared with each, in each permutation")]


class RestorerConfig(Section):
    """What the network predicts, the pixel range it sees, and the clipping of x0_hat."""

    parameterisation: Literal["eps", "x0", "v", "velocity", "previous", "scaled-eps", "residual",
                              "linear+"]
    rule: Literal["exact", "study-e", "unscaled", "as-eps"]
    low: Annotated[float, Field(ge=-1000, le=1000)]
    high: Annotated[float, Field(ge=-1000, le=1000)]
    clip: bool
    variance: Literal["fixed", "learned"] = "fixed"

    @model_validator(mode="after")
    def _range(self) -> RestorerConfig:
        if self.low >= self.high:
            raise ValueError(f"low = {self.low:g} must lie below high = {self.high:g}")
        return self


class Stop(Section):
    """Early stopping on the EMA weights' validation loss (kelvin.training.stopping)."""

    patience: Count
    gain: Weight


class MMDTerm(Section):
    """Squared MMD of restored from true images in the loss: its weight, 0 for none, and its kernels."""

    weight: Weight = 0.0
    multiples: Annotated[list[Positive], Field(min_length=1), AfterValidator(once)] = [0.5, 1.0, 2.0]


class Pretrain(Section):
    """Weights to start from: trained on a data set (null: the run's own) and some of its classes (null:
    all) for a number of epochs."""

    dataset: Name | None
    classes: Annotated[list[Index], Field(min_length=1), AfterValidator(once)] | None
    epochs: Count
