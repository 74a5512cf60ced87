"""The results of the active runs: their records, their arrays, and the protocol they share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from kelvin.artifacts.evaluations import (
    Calibration,
    Details,
    EvaluationFolder,
    Record,
    read_calibration,
    read_record,
)
from kelvin.artifacts.features import ClassifierFolder, ClassifierRecord
from kelvin.artifacts.models import EpochSamplesFile, ModelFolder, Process
from kelvin.artifacts.names import weight_of
from kelvin.artifacts.samples import SampleFolder, SamplesFile
from kelvin.common.errors import KelvinError
from kelvin.config.entries import Study
from kelvin.config.plan import ReportPlan
from kelvin.config.schema import RunConfig
from kelvin.datasets.settle import settled_metrics
from kelvin.datasets.store import PreparedStore
from kelvin.metrics.authenticity import COPYING
from kelvin.metrics.comparable import refuse_mixed
from kelvin.metrics.ranking import Entry, Ranking, rank
from kelvin.schedules import NoiseSchedule, build_schedule, growths

TEMPERATURES = ("hot", "warm", "cold")  # families of trained runs


@dataclass(frozen=True)
class Replicate:
    """One training of a run: its record and details, and its arrays, read when asked for."""

    index: int
    record: Record
    details: Details
    model: ModelFolder
    samples_folder: SampleFolder

    @cached_property
    def samples(self) -> SamplesFile:
        return self.samples_folder.samples()

    @cached_property
    def snapshots(self) -> EpochSamplesFile:
        """What training kept after some epochs."""
        return self.model.epoch_samples()

    @cached_property
    def history(self) -> list[dict[str, float]]:
        """The rows of history.csv, one an epoch."""
        return self.model.history(self.record["updates"])

    @cached_property
    def process(self) -> Process:
        """What training measured of the degradation."""
        return self.model.process()


@dataclass(frozen=True)
class Run:
    """A run of params.yaml with its replicates. family: hot, warm, cold, or folder (not trained)."""

    name: str
    title: str
    family: str
    config: RunConfig
    replicates: list[Replicate]
    image: tuple[int, int, int]

    @property
    def first(self) -> Replicate:
        return self.replicates[0]

    @property
    def trained(self) -> bool:
        return self.family != "folder"

    @property
    def record(self) -> dict[str, Any]:
        return self.first.record

    @property
    def records(self) -> list[dict[str, Any]]:
        return [replicate.record for replicate in self.replicates]

    def values(self, key: str) -> list[float]:
        """One record value per replicate."""
        return [record[key] for record in self.records]

    def mean(self, key: str) -> float:
        return float(np.mean(self.values(key)))

    def sampler_mean(self, sampler: str, key: str) -> float:
        return float(np.mean([r.record["samplers"][sampler][key] for r in self.replicates]))

    def restoration_mean(self, method: str, key: str) -> float:
        return float(np.mean([r.record["restoration"][method][key] for r in self.replicates]))

    @cached_property
    def schedule(self) -> NoiseSchedule | None:
        """The noise schedule of a hot run; None for other runs and for growths that have no schedule."""
        if self.family != "hot" or self.config.schedule.kind in growths.kinds():
            return None
        return build_schedule(self.config.schedule.model_dump(), f"runs.{self.name}.schedule")

    @property
    def signal_variance(self) -> np.ndarray:
        """Share of the images' variance left at t = 0..T, (T + 1,): 1 (untouched) to 0 (gone)."""
        return np.array(self.first.process["signal_variance"], float)

    @property
    def copier(self) -> bool:
        """Whether the run copies: by its near copies, or by a C_T that says its samples are nearer to
        training images than these are to one another."""
        c_t = [value for record in self.records if (value := record.get("c_t_within")) is not None]
        return any(self.values("copier")) or (bool(c_t) and float(np.mean(c_t)) < COPYING)

    @property
    def entry(self) -> Entry:
        """The run as it is ranked, by its first sampler."""
        sampler, trained = self.record["sampler"], self.trained
        return Entry(self.name, sampler, self.mean("fmd"),
                     self.first.process["clamped_from"] if trained else None,
                     trained and self.config.conditioning.kind != "none",
                     weight_of(sampler) is not None, self.copier)

    @property
    def steps(self) -> int:
        return self.config.schedule.model_dump()["steps"]


@dataclass(frozen=True)
class StudyResults:
    """A study's active runs in its own order, and the names of those that are not active."""

    name: str
    study: Study
    runs: list[Run]
    missing: list[str]

    @property
    def trained(self) -> list[Run]:
        return [run for run in self.runs if run.trained]


@dataclass(frozen=True)
class Results:
    plan: ReportPlan
    store: PreparedStore
    calibration: Calibration
    classifier: ClassifierRecord
    runs: dict[str, Run]
    studies: list[StudyResults]
    apart: dict[str, Run]  # runs on some classes only: scored by a scale of their own

    @property
    def every(self) -> dict[str, Run]:
        """All active runs; `runs` are those on the whole data set, which share one scale."""
        return self.runs | self.apart

    @property
    def replicates(self) -> list[int]:
        return self.plan.replicates

    def family(self, family: str) -> list[Run]:
        return [run for run in self.runs.values() if run.family == family]

    def ranking(self, family: str) -> Ranking:
        """A family's runs by FMD; clamped, class-conditional, guided ones and copiers apart."""
        return rank(run.entry for run in self.family(family))

    def best(self, family: str) -> Run | None:
        """The run of lowest FMD of those that are ranked; None without any."""
        best = self.ranking(family).best
        return None if best is None else self.runs[best.run]


def collect(plan: ReportPlan) -> Results:
    """Read the active runs.

    KelvinError where a record is missing, belongs to another scale, or was made under another protocol
    than the rest.
    """
    store = PreparedStore(plan.folders.prepared)
    plan = plan.model_copy(update={"metrics": settled_metrics(plan.metrics, store.manifest)})
    calibration = read_calibration(plan.folders.calibration)
    classifier = ClassifierFolder(plan.folders.classifier).record()
    every = {name: read_run(plan, name, store.images.shape[1:]) for name in plan.active}
    runs = {name: run for name, run in every.items() if run.config.classes is None}
    records = {f"{run.name}-{r.index}": r.record for run in runs.values() for r in run.replicates}
    keys = {name: extractor["key"] for name, extractor in calibration["extractors"].items()}
    refuse_mixed({**record, "run": name} for name, record in
                 {"calibration": {**calibration, "extractors": keys}, **records}.items())
    studies = [StudyResults(name, study, [every[r] for r in study.runs if r in every],
                            [r for r in study.runs if r not in every])
               for name, study in plan.studies.items()]
    for study in studies:
        refuse_mixed({**r.record, "run": f"{run.name}-{r.index}"} for run in study.runs
                     for r in run.replicates)
    apart = {name: run for name, run in every.items() if name not in runs}
    return Results(plan, store, calibration, classifier, runs, studies, apart)


def read_run(plan: ReportPlan, name: str, image: Iterable[int]) -> Run:
    config, replicates = plan.run(name), []
    for index in plan.replicates:
        files = plan.folders.run(name, index)
        record = read_record(files.record)
        if record["scale"] != plan.scale:
            raise KelvinError(f"the record of {files.name} was made at scale {record['scale']}, but "
                              f"params.yaml asks for {plan.scale}; run dvc repro")
        details = EvaluationFolder(files.evaluation).details()
        replicates.append(Replicate(index, record, details, ModelFolder(files.model),
                                    SampleFolder(files.samples)))
    family = "folder" if config.source == "folder" else replicates[0].process["temperature"]
    return Run(name, config.title or name, family, config, replicates, tuple(image))
