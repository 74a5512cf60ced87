"""The sections of params.yaml as types: what each knob may be, and what must hold between them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from kelvin.common.errors import KelvinError
from kelvin.config import vary as grids
from kelvin.config.sentences import FOLDER, NAME, dotted, sentences


def at_most(limit: int, why: str) -> AfterValidator:
    """A bound that says its reason."""
    def check(value: int) -> int:
        if value > limit:
            raise ValueError(f"at most {limit:,}, since {why}")
        return value
    return AfterValidator(check)


def once(values: list[Any]) -> list[Any]:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"it names {value!r} twice")
    return values


LONG = at_most(10_000_000, "more takes years")
FITS = at_most(65_536, "a square table of that side must fit into memory")
Count = Annotated[int, Field(ge=1), LONG]
Width = Annotated[int, Field(ge=1), FITS]
Features = Annotated[int, Field(ge=1), at_most(16_384, "their covariance would take more than 2 GiB")]
Drawn = Annotated[int, Field(ge=2), LONG]  # images
Index = Annotated[int, Field(ge=0), LONG]
Positive = Annotated[float, Field(ge=1e-12, le=1e6)]  # float32 tells it from 0, its square from infinity
Weight = Annotated[float, Field(ge=0, le=1e6)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]  # the sum of seed and replicate is one of 32 bits
Name = Annotated[str, Field(pattern=NAME, max_length=80)]
Layer = dict[str, Any]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Kinded(Section):
    """A part by name; its options are checked by the registry that holds the part."""

    model_config = ConfigDict(extra="allow")
    kind: str


class FoldsConfig(Section):
    """k-fold cross-validation; the kind of fold is the run's choice."""

    k: Annotated[int, Field(ge=2), at_most(1000, "each is a training of its own")]
    seed: Seed


Share = Annotated[float, Field(gt=0, lt=1)]


Side = Annotated[int, Field(ge=4), at_most(4096, "no network fits a machine")]


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
    classes: Annotated[list[int | str], Field(min_length=1)] | None = None
    validation: Count | Share = 0.1
    test: Count | Share | None = None
    split_by: Literal["images", "groups"] = "images"
    seed: Seed = 0
    licence: str = "not stated"
    on_error: Literal["refuse", "skip"] = "refuse"
    order: Literal["listed", "shuffled"]
    groups: Any = None
    labels: str | None = None
    folds: FoldsConfig | None = FoldsConfig(k=5, seed=0)

    @model_validator(mode="before")
    @classmethod
    def _order(cls, raw: Any) -> Any:
        # a tree lists class by class: its first images must be of all classes
        if isinstance(raw, Mapping) and "order" not in raw:
            return {**raw, "order": "shuffled" if raw.get("source") == "folder" else "listed"}
        return raw

    @field_validator("groups")
    @classmethod
    def _rule(cls, value: Any) -> Any:
        types = {"pattern": str, "csv": str, "blocks": int}
        if value in (None, "folder"):
            return value
        if isinstance(value, dict) and len(value) == 1 and all(
                type(option) is types.get(key) for key, option in value.items()):
            if value.get("blocks", 2) < 2:
                raise ValueError("blocks should be at least 2: groups are told apart by them")
            try:
                re.compile(value.get("pattern", ""))
            except re.error as error:
                raise ValueError(f"its pattern is no regular expression: {error}") from error
            return value
        raise ValueError("it should be null, folder, {pattern: regex}, {csv: file} or {blocks: count}")

    @model_validator(mode="after")
    def _place(self) -> Images:
        wanted, other = ("path", "name") if self.source == "folder" else ("name", "path")
        if not getattr(self, wanted):
            raise ValueError(f"source: {self.source} needs a {wanted}")
        if getattr(self, other) is not None:
            raise ValueError(f"source: {self.source} takes a {wanted} and no {other}")
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


Draws = Annotated[int, Field(ge=2), at_most(10_000, "each is a distance of its own")]


class SmallProtocol(Section):
    """Study A's own FMD: few samples against the head of the test set, band from its tail."""

    images: Drawn
    reference: Drawn
    draws: Draws


class KernelDistance(Section):
    """KID: kernel (gamma <a, b> + coef0)^degree, gamma null for 1 / features; seeded subsets."""

    degree: Annotated[int, Field(ge=1), at_most(64, "powers above it overflow")]
    gamma: Positive | None
    coef0: Weight
    subset: Annotated[int, Field(ge=3), FITS]
    subsets: Annotated[int, Field(ge=1), at_most(10_000, "each is a distance of its own")]


class Discrepancy(Section):
    """MMD: Gaussian kernels at multiples of the median distance; permutations behind its p-value."""

    multiples: Annotated[list[Positive], Field(min_length=1)]
    permutations: Annotated[int, Field(ge=1), at_most(100_000, "their labels are held in memory")]
    rows: Annotated[int, Field(ge=2), at_most(20_000, "each is compared with each, in each permutation")]


def odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError(f"a window has a middle: take {value - 1} or {value + 1}")
    return value


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
    extractors: Annotated[list[Literal["pixels", "random"]], AfterValidator(once)]
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
    multiples: Annotated[list[Positive], Field(min_length=1)] = [0.5, 1.0, 2.0]


class TrainingConfig(Section):
    loss: Literal["l1", "l2", "huber"]
    weighting: Kinded
    times: Literal["uniform", "stratified", "importance"] = "uniform"
    flip: bool = False
    mmd: MMDTerm = MMDTerm()
    vlb: Weight = 1e-3
    epochs: Count
    batch: Count
    images: Count | None
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
            raise ValueError("ema_more names a decay twice (six digits are told apart)")
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


class Pretrain(Section):
    """Weights to start from: trained on a data set (null: the run's own) and some of its classes (null:
    all) for a number of epochs."""

    dataset: Name | None
    classes: Annotated[list[Index], Field(min_length=1)] | None
    epochs: Count


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

    classes: Annotated[list[Index], Field(min_length=1)] | None = None
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
        kept = self.model_dump(include=set(TrainedRun.model_fields))
        kept["sampling"] = self.sampling.model_dump(include=set(EpochSampling.model_fields))
        return TrainedRun(**kept)

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
        if weights and self.conditioning.kind == "none":
            raise ValueError("sampling.guidance weighs a class against none, but conditioning.kind "
                             "is none; set it to classes, or guidance to []")
        if len({f"{w:g}" for w in weights}) < len(weights):
            raise ValueError("sampling.guidance names a weight twice")
        return self


class Study(Section):
    """A question the report answers from some of the runs."""

    title: str
    kind: Name  # a file of kelvin.report.studies
    question: str
    runs: Annotated[list[Name], Field(min_length=1)]


class Record(Section):
    """A recorded study: which runs and seeds, and what it sets in params.yaml besides.

    vary: {dotted key of a run: values}; each of its runs is then a grid (kelvin.config.vary).
    tuned_by: the record that chose its values, whose seeds it must not share. samplers: {run: those that
    it declared, one for each number of evaluations}.
    """

    title: str
    folder: Annotated[str, Field(pattern=FOLDER)]
    runs: Literal["all"] | list[Name] | None
    studies: list[Name] = []
    replicates: Annotated[list[Seed], Field(min_length=1), AfterValidator(once)] = [0]
    set: Layer = {}
    vary: dict[str, list[Any]] = {}
    tuned_by: Name | None = None
    samplers: dict[Name, Annotated[list[Name], Field(min_length=1), AfterValidator(once)]] = {}

    @field_validator("vary")
    @classmethod
    def _grid(cls, value: dict[str, list[Any]]) -> dict[str, list[Any]]:
        grids.check(value)
        return value

    @model_validator(mode="after")
    def _runs(self) -> Record:
        if not self.runs and not self.studies:
            raise ValueError("runs or studies must name what is recorded")
        if self.vary and not isinstance(self.runs, list):
            raise ValueError("vary goes with a list of runs")
        if self.samplers and not (self.vary and self.tuned_by):
            raise ValueError("samplers go with vary and tuned_by, the record that declared them")
        return self


class DatasetLayers(Images):
    """A data set's entry: its images, and what it changes of the classifier, protocol and runs.

    One that says nothing of the protocol has its n bounded by its test set.
    """

    classifier: Layer = {}
    metrics: Layer = {"bounded": True}
    run: Layer = {}

    @property
    def images(self) -> Images:
        """The entry without its layers."""
        return Images(**{name: getattr(self, name) for name in Images.model_fields})


class ScaleLayers(Section):
    classifier: Layer
    metrics: Layer
    run: Layer


class RunLayers(Section):
    """A run as it is written: what differs from the run it is `like`, and what a scale changes of it."""

    model_config = ConfigDict(extra="allow")
    like: Name | None = None
    scales: dict[str, Layer] = {}

    @property
    def own(self) -> Layer:
        """Its keys at every scale."""
        return dict(self.model_extra or {})


class House(Section):
    """The file as it is written."""

    dataset: Name
    blend: Name
    scale: Name
    seed: Seed
    threads: Annotated[int, Field(ge=1), at_most(4096, "no machine has more")]
    replicates: Annotated[list[Seed], Field(min_length=1)]
    active: Annotated[list[Name], Field(min_length=1)]
    datasets: dict[Name, DatasetLayers]
    scales: dict[Name, ScaleLayers]
    classifier: Layer
    metrics: Layer
    defaults: Layer
    samplers: dict[Name, Kinded]
    every: Annotated[list[Name], Field(min_length=1), AfterValidator(once)]
    runs: dict[Name, RunLayers]
    studies: dict[Name, Study]
    records: dict[Name, Record]

    @field_validator("studies", mode="before")
    @classmethod
    def _kinds(cls, studies: Any) -> Any:
        # a study is of the kind that it is named after, unless it says another
        if not isinstance(studies, Mapping):
            return studies
        return {name: {"kind": name, **entry} if isinstance(entry, Mapping) else entry
                for name, entry in studies.items()}


def validated(model: type[BaseModel], raw: Any, where: str) -> Any:
    """`raw` as a `model`; KelvinError with a line for every fault."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        prefix = (where,) if where else ()
        lines = sentences(error.errors(include_url=False), raw, lambda at: dotted((*prefix, *at)))
        raise KelvinError("params.yaml: " + "\n".join(lines)) from error
