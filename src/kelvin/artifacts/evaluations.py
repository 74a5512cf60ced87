"""What evaluation leaves: a run's record and details, and the calibration that gives both a scale."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from kelvin.artifacts.reading import read_json
from kelvin.common.files import write_json

Row = dict[str, Any]
Record = dict[str, Any]  # flat measures (docs/metrics.md) beside what IDENTITY names
IDENTITY = ("run", "replicate", "dataset", "scale", "fingerprint")  # what a record begins with


class Details(TypedDict):
    """details.json: what figures are drawn from. histograms: shares of the classes, by name of samples;
    nearest: indices of the samples nearest to a training image, and of those images. Of a trained run:
    rows of restoration (method and t), gates (t), process (t), consistency (sampler and t), epochs,
    log_snr, over_time (part, rule and t), brightness (way and t) and bound (t); cost: of training
    and sampling. bias, slips: where the run draws many images."""

    histograms: dict[str, list[float]]
    nearest: dict[str, list[int]]
    bias: NotRequired[dict[str, Any]]
    slips: NotRequired[list[Row]]
    restoration: NotRequired[list[Row]]
    gates: NotRequired[list[Row]]
    process: NotRequired[list[Row]]
    consistency: NotRequired[list[Row]]
    epochs: NotRequired[list[Row]]
    log_snr: NotRequired[list[Row]]
    cost: NotRequired[dict[str, Any]]
    over_time: NotRequired[list[Row]]
    brightness: NotRequired[list[Row]]
    bound: NotRequired[list[Row]]


class Calibration(TypedDict):
    """calibration.json: what is said of the reference (kelvin.artifacts.features.About), floor and
    ceiling of n samples and of study A's few (small_), held-out images over n, and the calibrating
    rows."""

    dataset: str
    reference: str
    reference_n: int
    data: str
    test_n: int
    extractor: str
    classifier_accuracy: float
    fid_why: str | None
    effnet_why: NotRequired[str | None]
    extractors: dict[str, dict[str, Any]]
    n: int
    floor: float
    floor_sd: float
    floor_draws: int
    ceiling: float
    bias: dict[str, Any]
    rows: dict[str, Row]


@dataclass(frozen=True)
class EvaluationFolder:
    """data/evaluations/<dataset>/<run>-<replicate>."""

    path: Path

    @property
    def details_file(self) -> Path:
        return self.path / "details.json"

    def details(self) -> Details:
        return read_json(self.details_file, f"evaluate@{self.path.name}", Details.__required_keys__)

    def write_details(self, details: Details) -> None:
        write_json(self.details_file, details)


def read_record(path: Path) -> Record:
    """A run's record (kelvin.artifacts.folders.RunFolders.record)."""
    return read_json(path, f"evaluate@{path.stem}", IDENTITY)


def write_record(path: Path, record: Record) -> None:
    write_json(path, record)


def read_calibration(path: Path) -> Calibration:
    return read_json(path, "calibrate", Calibration.__required_keys__)


def write_calibration(path: Path, calibration: Calibration) -> None:
    write_json(path, calibration)
