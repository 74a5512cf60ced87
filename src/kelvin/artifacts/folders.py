"""Where results lie, relative to the project."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DATA, REPORTS = Path("data"), Path("reports")
RECORDS = REPORTS / "runs"
RECORDED = REPORTS / "reference"  # recorded studies (kelvin.pipeline.record)
MANIFEST = "manifest.json"  # of a prepared data set (kelvin.datasets.store)
SUMMARY, METRICS, COST = "summary.json", "metrics.json", "cost.json"  # of the report, in REPORTS


def run_name(run: str, replicate: int) -> str:
    """<run>-<replicate>: a folder, a file of reports/runs, an instance of a stage."""
    return f"{run}-{replicate}"


@dataclass(frozen=True)
class DatasetFolders:
    """The folders of one data set."""

    dataset: str

    @property
    def prepared(self) -> Path:
        return DATA / "prepared" / self.dataset

    @property
    def manifest(self) -> Path:
        return self.prepared / MANIFEST

    @property
    def classifier(self) -> Path:
        return DATA / "models" / self.dataset / "classifier"

    @property
    def reference(self) -> Path:
        return DATA / "models" / self.dataset / "reference"

    @property
    def starts(self) -> Path:
        return DATA / "starts" / self.dataset

    @property
    def calibration(self) -> Path:
        return RECORDS / self.dataset / "calibration.json"

    def run(self, run: str, replicate: int) -> RunFolders:
        return RunFolders(self.dataset, run_name(run, replicate))


@dataclass(frozen=True)
class RunFolders:
    """The folders of one run and replicate, and its record. name: <run>-<replicate>."""

    dataset: str
    name: str

    @property
    def start(self) -> Path:
        return DATA / "starts" / self.dataset / self.name

    @property
    def model(self) -> Path:
        return DATA / "models" / self.dataset / self.name

    @property
    def samples(self) -> Path:
        return DATA / "samples" / self.dataset / self.name

    @property
    def evaluation(self) -> Path:
        return DATA / "evaluations" / self.dataset / self.name

    @property
    def record(self) -> Path:
        return RECORDS / self.dataset / f"{self.name}.json"
