"""What one instance of a stage reads: a file under data/plan, and nothing else of params.yaml.

`stages/plan.py` writes these files (kelvin.pipeline.planning); DVC remakes a stage when its file changes.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field

from kelvin.artifacts.folders import DATA, RECORDED, DatasetFolders, RunFolders, run_name
from kelvin.common.errors import KelvinError
from kelvin.common.files import read_json
from kelvin.config.digest import Code
from kelvin.config.entries import Study
from kelvin.config.schema import (
    ClassifierConfig,
    Images,
    MetricsConfig,
    MetricsCount,
    ModelConfig,
    ReferenceConfig,
    RunConfig,
    SamplingConfig,
    SmallProtocol,
    TrainedRun,
)
from kelvin.config.values import Count, Index, Kinded, Name, Section, Seed, SeedSum

FOLDER = DATA / "plan"
ABOUT = "record.json"  # of a recorded study, in its folder
PARAMETERS = FOLDER / "parameters.json"  # the checksum of params.yaml: no stage depends on it
T = TypeVar("T", bound="Plan")


class Plan(Section):
    """code: digest of what the stage can reach by imports; own: modules of a user's own parts."""

    code: str
    own: list[str] = []


class RawImages(Section):
    """A data set and the state of the raw files that it is made from."""

    dataset: Name
    images: Images
    raw: str


class PreparePlan(Plan):
    source: RawImages


class StagePlan(Plan):
    """dataset: names the folders; threads: of the process."""

    dataset: Name
    threads: Count

    @property
    def folders(self) -> DatasetFolders:
        return DatasetFolders(self.dataset)


class ClassifierPlan(StagePlan):
    classifier: ClassifierConfig
    limit: Annotated[int, Field(ge=8)] | None  # test images that its accuracy is measured on
    seed: Seed


class ReferencePlan(StagePlan):
    metrics: ReferenceConfig


class CalibratePlan(StagePlan):
    metrics: MetricsConfig


class Start(Section):
    """What one training starts from: other images to blend towards, weights to pre-train."""

    run: Name
    replicate: Seed
    config: TrainedRun
    source: RawImages | None  # of the images to pre-train on; null: the data set itself
    blend: RawImages | None  # of the images that a morphing run blends towards

    @property
    def name(self) -> str:
        return run_name(self.run, self.replicate)


class CheckedMetrics(MetricsCount):
    """Of the protocol, what a small data set may not carry."""

    small: SmallProtocol | None
    copy_quantile: float
    ssim_window: int
    neighbours: int
    pixel_dim: int


class CheckedTraining(Section):
    batch: Count
    images: Count | None


class CheckedSampling(Section):
    epoch_images: int
    restore_images: int
    restore_times: int
    many: int | None
    starts: list[str]


class CheckedRun(ModelConfig):
    """Of a run, what the images may not bear."""

    source: str
    path: str | None
    split: str
    classes: list[Index] | None
    training: CheckedTraining
    sampling: CheckedSampling


class Checked(Section):
    """What the images must carry, before any run is trained (kelvin.pipeline.checks.images)."""

    metrics: CheckedMetrics
    runs: dict[Name, CheckedRun]
    folds: Count | None  # how many the data set has


class PretrainPlan(StagePlan):
    """scratch: the trainings that start from nothing but a seed."""

    seed: Seed
    scratch: list[str]
    starts: list[Start]
    checked: Checked


class ReplicatePlan(StagePlan):
    run: Name
    replicate: Seed
    seed: SeedSum  # of this replicate

    @property
    def name(self) -> str:
        return run_name(self.run, self.replicate)

    @property
    def results(self) -> RunFolders:
        """The folders of this run and replicate."""
        return self.folders.run(self.run, self.replicate)


class TrainPlan(ReplicatePlan):
    """config: of a trained run; folder: in its place, the images that are scored as if drawn."""

    scale: Name
    config: TrainedRun | None
    epoch_sampler: Kinded | None
    bounded: bool = False  # the run gives way to a small data set (kelvin.datasets.settle)
    limit: int | None = None  # of the images that then count
    path: str | None
    raw: str | None  # the state of the files at `path`


class SamplePlan(ReplicatePlan):
    """samplers: those the run names, with their options."""

    source: str
    classes: list[Index] | None
    split: str
    fold: Index | None
    ema_more: list[float]
    sampling: SamplingConfig
    samplers: dict[Name, Kinded]
    metrics: MetricsCount
    seed_of_subsample: Seed


class EvaluatePlan(ReplicatePlan):
    classes: list[Index] | None
    split: str
    fold: Index | None
    metrics: MetricsConfig


class Varied(Section):
    """A point of a record's grid: the run that it is of, its values by dotted key, and its samplers that
    another record, `tuned_by`, declared."""

    run: Name
    values: dict[str, Any]
    tuned_by: Name | None = None
    samplers: list[Name] = []


class RecordPlan(Section):
    """A recorded study. folder: under reports/reference; made: checksum of what it is about; null: not
    made."""

    title: str
    folder: str
    made: str | None

    @property
    def path(self) -> Path:
        return RECORDED / self.folder


class ReportPlan(Plan):
    """Everything resolved: the page says what was run."""

    dataset: Name
    scale: Name
    active: list[Name]
    replicates: list[Seed]
    runs: dict[Name, RunConfig]
    varied: dict[Name, Varied] = {}
    studies: dict[Name, Study]
    samplers: dict[Name, Kinded]
    metrics: MetricsConfig
    images: Images
    records: dict[Name, RecordPlan] = {}

    def sampler(self, name: str) -> dict[str, Any]:
        return self.samplers[name].model_dump()

    def run(self, name: str) -> RunConfig:
        return self.runs[name]

    @property
    def folders(self) -> DatasetFolders:
        return DatasetFolders(self.dataset)


class TrackPlan(Plan):
    dataset: Name
    replicates: list[Seed]
    studies: dict[Name, list[Name]]  # the runs of each
    titles: dict[Name, str]  # of active runs


def plan_path(stage: str, *item: str) -> Path:
    """data/plan/<stage>.json, or data/plan/<stage>/<item>.json with the item's parts joined by -."""
    return FOLDER / stage / f"{'-'.join(item)}.json" if item else FOLDER / f"{stage}.json"


def checksum(parameters: Path) -> str:
    return hashlib.sha256(parameters.read_bytes()).hexdigest()


def read_plan(model: type[T], script: Path, *item: str) -> T:
    """The plan of the stage instance that `script` runs; KelvinError where there is none, or where
    params.yaml or the stage's code is no longer what was planned."""
    stage, path = script.stem, plan_path(script.stem, *item)
    what = " ".join([stage, *item])
    try:
        plan, planned = model(**read_json(path)), read_json(PARAMETERS)["sha256"]
    except FileNotFoundError as error:
        raise KelvinError(f"{what} is not planned ({path} is not there): run `dvc repro plan`, or name "
                          "a run of `active` and one of `replicates` in params.yaml") from error
    except (ValueError, LookupError, TypeError) as error:
        raise KelvinError(f"{path} is no plan of the stage {stage}: run `dvc repro plan`") from error
    if planned != checksum(Path("params.yaml")):
        raise KelvinError(f"params.yaml was changed since data/plan was written from it, and {what} "
                          "would work by the old one: run `dvc repro plan` first")
    if plan.code != Code().digest(script, tuple(plan.own)):
        raise KelvinError(f"the code of the stage {stage} was changed since data/plan was written, and "
                          "its result would be recorded as the old code's: run `dvc repro plan` first")
    return plan
