"""The sections of params.yaml as types: what each knob may be, and what must hold between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from kelvin.config.registry import sentence
from kelvin.errors import KelvinError

Count = Annotated[int, Field(ge=1)]
Index = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Layer = dict[str, Any]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Kinded(Section):
    """A part by name; its options are checked by the registry that holds the part."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)
    kind: str


class FoldsConfig(Section):
    """k-fold cross-validation; the kind of fold is the run's choice."""

    k: Annotated[int, Field(ge=2)]
    seed: Index


class Images(Section):
    """Where a data set comes from and what is made of it (see kelvin.datasets)."""

    source: Literal["sklearn", "torchvision", "folder"]
    name: str | None
    path: str | None
    image_size: Count | Annotated[list[Count], Field(min_length=2, max_length=2)] | None
    channels: Literal[1, 3] | None
    classes: list[int | str] | None
    validation: Annotated[int | float, Field(gt=0)]
    test: Annotated[int | float, Field(gt=0)] | None
    seed: Index
    licence: str
    on_error: Literal["refuse", "skip"]
    order: Literal["listed", "shuffled"] = "listed"
    groups: Any = None
    labels: str | None = None
    folds: FoldsConfig | None = None

    @field_validator("groups")
    @classmethod
    def _rule(cls, value: Any) -> Any:
        types = {"pattern": str, "csv": str, "blocks": int}
        if value in (None, "folder") or isinstance(value, dict) and len(value) == 1 and all(
                type(option) is types.get(key) for key, option in value.items()):
            return value
        raise ValueError("it should be null, folder, {pattern: regex}, {csv: file} or {blocks: count}")


class ClassifierConfig(Section):
    """The network whose penultimate features FMD is measured in."""

    channels: list[Count]
    features: Count
    epochs: Count
    batch: Count
    lr: Positive
    images: Count | None


class SmallProtocol(Section):
    """Study A's own FMD: few samples against the head of the test set, band from its tail."""

    images: Annotated[int, Field(ge=2)]
    reference: Annotated[int, Field(ge=2)]
    draws: Annotated[int, Field(ge=2)]


class KernelDistance(Section):
    """KID: kernel (gamma <a, b> + coef0)^degree, gamma null for 1 / features; seeded subsets."""

    degree: Count
    gamma: Positive | None
    coef0: Annotated[float, Field(ge=0)]
    subset: Annotated[int, Field(ge=3)]
    subsets: Count


class Discrepancy(Section):
    """MMD: Gaussian kernels at multiples of the median distance; permutations behind its p-value."""

    multiples: Annotated[list[Positive], Field(min_length=1)]
    permutations: Count
    rows: Annotated[int, Field(ge=2)]


class MetricsConfig(Section):
    """The protocol, the same for every run of a comparison."""

    images: Annotated[int, Field(ge=8)] | Annotated[float, Field(gt=0, lt=1)]
    limit: Annotated[int, Field(ge=8)] | None
    reference: Literal["train+validation"]
    extractors: list[Literal["pixels", "random"]]
    pixel_dim: Count
    random_dim: Count
    fid_resize: Literal["pytorch-fid", "tf1", "clean"]
    fid_download: bool
    kept: Annotated[int, Field(ge=8)]
    kid: KernelDistance
    mmd: Discrepancy
    floor_draws: Annotated[int, Field(ge=2)]
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    ssim_window: Annotated[int, Field(ge=3)]
    groups: Annotated[int, Field(ge=5)]
    neighbours: Count
    copy_quantile: Annotated[float, Field(gt=0, lt=1)]
    copy_fraction: Annotated[float, Field(gt=0, lt=1)]
    small: SmallProtocol
    seed: Index


class RestorerConfig(Section):
    """What the network predicts, the pixel range it sees, and the clipping of x0_hat."""

    parameterisation: Literal["eps", "x0", "v", "velocity", "previous", "scaled-eps"]
    rule: Literal["exact", "study-e", "unscaled", "as-eps"]
    low: float
    high: float
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
    gain: Annotated[float, Field(ge=0)]


class MMDTerm(Section):
    """Squared MMD of restored from true images in the loss: its weight, 0 for none, and its kernels."""

    weight: Annotated[float, Field(ge=0)] = 0.0
    multiples: Annotated[list[Positive], Field(min_length=1)] = [0.5, 1.0, 2.0]


class TrainingConfig(Section):
    loss: Literal["l1", "l2", "huber"]
    weighting: Kinded
    times: Literal["uniform", "stratified", "importance"] = "uniform"
    flip: bool = False
    mmd: MMDTerm = MMDTerm()
    vlb: Annotated[float, Field(ge=0)] = 1e-3
    epochs: Count
    batch: Count
    images: Count | None
    lr: Positive
    warmup: Fraction
    decay: Literal["constant", "cosine"]
    weight_decay: Annotated[float, Field(ge=0)]
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
            raise ValueError("training.ema_more names a decay twice (six digits are told apart)")
        return self


class SamplingConfig(Section):
    samplers: Annotated[list[Name], Field(min_length=1)]
    epoch_sampler: Name
    epoch_images: Annotated[int, Field(ge=2)]
    many: Annotated[int, Field(ge=2)] | None
    bound_times: Count
    batch: Count
    strip: Annotated[int, Field(ge=2)]
    restore_images: Annotated[int, Field(ge=2)]
    restore_samplers: list[Name] | None
    guidance: list[Annotated[float, Field(ge=0)]] = []
    restore_times: Annotated[int, Field(ge=2)]
    restore_at: Count | None


class Pretrain(Section):
    """Weights to start from: trained on a data set (null: the run's own) and some of its classes (null:
    all) for a number of epochs."""

    dataset: Name | None
    classes: Annotated[list[Index], Field(min_length=1)] | None
    epochs: Count


class RunConfig(Section):
    """One entry of `runs`, all layers merged."""

    title: str
    classes: Annotated[list[Index], Field(min_length=1)] | None = None  # weight files written before
    pretrain: Pretrain | None = None                                    # these options were stay readable
    source: Literal["train", "folder"]
    path: str | None
    split: Literal["given", "stratified", "grouped", "leaky"]
    fold: Index | None
    schedule: Kinded
    degradation: Kinded
    prior: Kinded
    network: Kinded
    conditioning: Kinded = Kinded(kind="none")
    restorer: RestorerConfig
    training: TrainingConfig
    sampling: SamplingConfig

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
    kind: Literal["schedules", "hyperparameters", "blur", "widths", "temperature", "steps",
                  "iterations", "metrics", "pretraining", "guidance", "comparison", "folds", "averaging",
                  "grid"]
    question: str
    runs: Annotated[list[Name], Field(min_length=1)]


class Record(Section):
    """A recorded study: which runs and seeds, and what it sets in params.yaml besides."""

    title: str
    folder: str
    runs: Literal["all"] | list[Name] | None
    studies: list[Name]
    replicates: Annotated[list[Index], Field(min_length=1)]
    set: Layer

    @model_validator(mode="after")
    def _runs(self) -> Record:
        if not self.runs and not self.studies:
            raise ValueError("runs or studies must name what is recorded")
        return self


class DatasetLayers(Section):
    images: Images
    classifier: Layer
    metrics: Layer
    run: Layer


class ScaleLayers(Section):
    classifier: Layer
    metrics: Layer
    run: Layer


class House(Section):
    """The file as it is written."""

    dataset: Name
    blend: Name
    scale: Name
    seed: Index
    threads: Count
    replicates: Annotated[list[Index], Field(min_length=1)]
    active: Annotated[list[Name], Field(min_length=1)]
    datasets: dict[Name, DatasetLayers]
    scales: dict[Name, ScaleLayers]
    classifier: Layer
    metrics: Layer
    defaults: Layer
    samplers: dict[Name, Kinded]
    runs: dict[Name, Layer]
    studies: dict[Name, Study]
    records: dict[Name, Record]

    @model_validator(mode="after")
    def _names(self) -> House:
        if self.blend == self.dataset:
            raise ValueError(f"blend and dataset both name {self.dataset!r}: morphing needs images of "
                             "another data set")
        for key, value, known in (("dataset", [self.dataset], self.datasets),
                                  ("blend", [self.blend], self.datasets),
                                  ("scale", [self.scale], self.scales),
                                  ("active", self.active, self.runs)):
            for name in value:
                if name not in known:
                    raise ValueError(f"{key} names {name!r}, which is not defined; known are "
                                     f"{', '.join(sorted(known))}")
        for study, entry in self.studies.items():
            for name in entry.runs:
                if name not in self.runs:
                    raise ValueError(f"studies.{study}.runs names {name!r}, which is not in runs")
        for record, entry in self.records.items():
            listed = [] if entry.runs == "all" else entry.runs or []
            for kind, names, known in (("runs", listed, self.runs),
                                       ("studies", entry.studies, self.studies)):
                if odd := [name for name in names if name not in known]:
                    raise ValueError(f"records.{record}.{kind} names {odd[0]!r}, which is not in {kind}")
        for key, names in (("active", self.active), ("replicates", self.replicates)):
            if len(set(names)) < len(names):
                raise ValueError(f"{key} names an entry twice")
        for name, run in self.runs.items():
            for scale in run.get("scales", {}):
                if scale not in self.scales:
                    raise ValueError(f"runs.{name}.scales names {scale!r}, which is not in scales")
        return self


def validated(model: type[BaseModel], raw: Any, where: str) -> Any:
    try:
        return model(**raw) if isinstance(raw, Mapping) else model.model_validate(raw)
    except ValidationError as error:
        raise KelvinError(f"params.yaml: {sentence(error, where)}") from error
