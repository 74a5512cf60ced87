"""The sections that stages read, as types: what each knob may be, and what must hold between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from kelvin.common.errors import KelvinError
from kelvin.config.subsections import Discrepancy, KernelDistance, MMDTerm, Pretrain, RestorerConfig, Stop
from kelvin.config.values import (
    LONG,
    Count,
    Drawn,
    Draws,
    Features,
    Fraction,
    GroupRule,
    Index,
    Kinded,
    Name,
    Positive,
    Section,
    Seed,
    Share,
    Side,
    Weight,
    Width,
    at_most,
    odd,
    once,
)


class FoldsConfig(Section):
    """k-fold cross-validation; the kind of fold is the run's choice."""

    k: Annotated[int, Field(ge=2), at_most(1000, "each is a training of its own")]
    seed: Seed


class Images(Section):
    """Where a data set comes from and what is made of it (see kelvin.datasets).

    `source` with `path` (a folder) or `name` (the others) is enough. None: as the images are; of
    `test`: the part that the source gives, else a share (kelvin.datasets.settle.TEST).
    """

    source: Literal["sklearn", "torchvision", "folder"]
    name: str | None = None
    path: str | None = None
    image_size: Side | Annotated[list[Side], Field(min_length=2, max_length=2)] | None = None  # or [h, w]
    channels: Literal[1, 3] | None = None
    classes: Annotated[list[int | str], Field(min_length=1), AfterValidator(once)] | None = None
    validation: Count | Share = 0.1
    test: Count | Share | None = None
    split_by: Literal["images", "groups"] = "images"
    seed: Seed = 0
    licence: str = "not stated"
    on_error: Literal["refuse", "skip"] = "refuse"
    order: Literal["listed", "shuffled"]
    groups: GroupRule = None
    labels: str | None = None
    folds: FoldsConfig | None = FoldsConfig(k=5, seed=0)

    @model_validator(mode="before")
    @classmethod
    def _order(cls, raw: Any) -> Any:
        # a tree lists class by class: its first images must be of all classes
        if isinstance(raw, Mapping) and "order" not in raw:
            return {**raw, "order": "shuffled" if raw.get("source") == "folder" else "listed"}
        return raw

    @model_validator(mode="after")
    def _place(self) -> Images:
        wanted, other = ("path", "name") if self.source == "folder" else ("name", "path")
        if not getattr(self, wanted):
            raise ValueError(f"source: {self.source} needs a {wanted}")
        if getattr(self, other) is not None:
            raise ValueError(f"source: {self.source} takes a {wanted} and no {other}")
        if self.labels is not None and self.source != "folder":
            raise ValueError(f"source: {self.source} takes no labels; set them to null")
        if self.split_by == "groups" and self.groups is None:
            raise ValueError("split_by: groups needs groups, such as {blocks: 13}")
        return self


class ClassifierConfig(Section):
    """The network whose penultimate features FMD is measured in; None: see kelvin.datasets.settle.

    seeds: how many are trained, from other seeds; the first serves all measures, the FMD of a verdict is
    the median over all.
    """

    seeds: Annotated[int, Field(ge=1), at_most(99, "each is a training of its own")] = 5
    channels: Annotated[list[Width], Field(min_length=1)]
    features: Features | None = None
    epochs: Count | None = None
    batch: Count
    lr: Positive
    images: Count | None


class SmallProtocol(Section):
    """Study A's own FMD: few samples against the head of the test set, band from its tail."""

    images: Drawn
    reference: Drawn
    draws: Draws


def sample_count(images: int | float, test: int) -> int:
    """n of the protocol: metrics.images, a number or a share of `test` test images."""
    n = round(images * test) if isinstance(images, float) else images
    if n >= test:
        raise KelvinError(f"metrics.images = {images} asks for {n} images, but the floor is drawn from "
                          f"{test} test images; take fewer than {test}")
    return n


class MetricsCount(Section):
    """What n depends on."""

    images: int | float | None
    limit: int | None
    bounded: bool


class ReferenceConfig(Section):
    """What the statistics of the real data depend on."""

    limit: Annotated[int, Field(ge=8), LONG] | None
    extractors: Annotated[list[Literal["pixels", "random", "imagenet"]], AfterValidator(once)]
    pixel_dim: Features
    random_dim: Features
    fid_resize: Literal["pytorch-fid", "tf1", "clean"]
    fid_download: bool
    kept: Annotated[int, Field(ge=8), LONG]
    seed: Seed


class MetricsConfig(ReferenceConfig):
    """The protocol, the same for every run of a comparison; None: see kelvin.datasets.settle.

    bounded: n and the small protocol give way where the test set cannot carry them.
    """

    images: Annotated[int, Field(ge=8), LONG] | Share | None = None
    kid: KernelDistance
    mmd: Discrepancy
    floor_draws: Draws
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    ssim_window: Annotated[int, Field(ge=3), AfterValidator(odd)]
    groups: Annotated[int, Field(ge=5), at_most(200, "two at a time are left out: 20,000 distances")]
    neighbours: Count
    copy_quantile: Annotated[float, Field(gt=0, lt=1)]
    copy_fraction: Annotated[float, Field(gt=0, lt=1)]
    small: SmallProtocol | None = None
    bounded: bool = False


class TrainingConfig(Section):
    loss: Literal["l1", "l2", "huber"]
    weighting: Kinded
    times: Literal["uniform", "stratified", "importance"] = "uniform"
    flip: bool = False
    mmd: MMDTerm = MMDTerm()
    vlb: Weight = 1e-3
    epochs: Count
    batch: Count
    images: Drawn | None  # of one alone no severity and no prior can be fitted
    lr: Positive
    warmup: Fraction
    decay: Literal["constant", "cosine"]
    weight_decay: Weight
    grad_clip: Positive | None
    ema: Fraction
    ema_more: list[Fraction] = []
    precision: Literal["auto", "fp32", "bf16"]
    compile: Literal["never", "auto", "always"]
    stop: Stop | None
    sample_every: Count
    checkpoint_every: Count

    @model_validator(mode="after")
    def _decays(self) -> TrainingConfig:
        if len({f"{decay:g}" for decay in self.ema_more}) < len(self.ema_more):
            raise ValueError("ema_more names a decay twice (six digits count)")
        if self.ema_more and self.stop:
            raise ValueError("ema_more averages up to the last epoch, and stop goes back to the best "
                             "one: averages of two epochs would be compared; leave one of them out")
        return self


class EpochSampling(Section):
    """What training draws after chosen epochs."""

    epoch_sampler: Name
    epoch_images: Drawn
    batch: Count  # images at once


class SamplingConfig(EpochSampling):
    """samplers: by name, or `every` one of the file's list that the run's degradation can take."""

    samplers: Literal["every"] | Annotated[list[Name], Field(min_length=1), AfterValidator(once)]
    many: Drawn | None
    bound_times: Count
    strip: Annotated[int, Field(ge=2), at_most(1000, "it is one row of a figure")]
    restore_images: Drawn
    restore_samplers: Annotated[list[Name], AfterValidator(once)] | None
    guidance: list[Weight] = []
    starts: Annotated[list[Literal["held-out", "constant"]], AfterValidator(once)] = []
    restore_times: Annotated[int, Field(ge=2), at_most(100_000, "no process has more times")]
    restore_at: Count | None


class ModelConfig(Section):
    """What a restorer is built from."""

    schedule: Kinded
    degradation: Kinded
    prior: Kinded
    network: Kinded
    conditioning: Kinded = Kinded(kind="none")
    restorer: RestorerConfig


class TrainedRun(ModelConfig):
    """What training reads of a run: its weights depend on nothing else of it."""

    classes: Annotated[list[Index], Field(min_length=1), AfterValidator(once)] | None = None
    pretrain: Pretrain | None = None
    split: Literal["given", "stratified", "grouped", "leaky"]
    fold: Index | None
    training: TrainingConfig
    sampling: EpochSampling


class RunConfig(TrainedRun):
    """One entry of `runs`, all layers merged."""

    title: str
    source: Literal["train", "folder"]
    path: str | None
    sampling: SamplingConfig

    def trained(self) -> TrainedRun:
        """The part of it that training reads."""
        values = self.model_dump(include=set(TrainedRun.model_fields))
        values["sampling"] = self.sampling.model_dump(include=set(EpochSampling.model_fields))
        return TrainedRun(**values)

    def drawn_by(self, samplers: list[str]) -> RunConfig:
        """The run with these samplers; of its restore_samplers those among them are kept."""
        restoring = self.sampling.restore_samplers
        names = None if restoring is None else [name for name in restoring if name in samplers]
        return self.model_copy(update={"sampling": self.sampling.model_copy(
            update={"samplers": samplers, "restore_samplers": names})})

    @model_validator(mode="after")
    def _folder(self) -> RunConfig:
        if (self.source == "folder") != (self.path is not None):
            raise ValueError("path goes with source: folder, and only with it")
        if self.split != "given" and self.classes is not None:
            raise ValueError(f"split = {self.split!r} divides the whole data set: leave classes null")
        if self.source == "folder" and self.pretrain is not None:
            raise ValueError("pretrain goes with source: train; a folder of images is not trained")
        return self

    @model_validator(mode="after")
    def _guidance(self) -> RunConfig:
        weights = self.sampling.guidance
        if weights and self.conditioning.kind == "none" and self.source == "train":
            raise ValueError("sampling.guidance weighs a class against none, but conditioning.kind "
                             "is none; set it to classes, or guidance to []")
        if len({f"{w:g}" for w in weights}) < len(weights):
            raise ValueError("sampling.guidance names a weight twice")
        return self
