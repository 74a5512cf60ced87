"""The results of evaluation: a run's record and details, and the calibration that gives both a scale."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

from kelvin.artifacts.reading import read_json
from kelvin.artifacts.typed import Numbers
from kelvin.common.files import write_json

IDENTITY = ("run", "replicate", "dataset", "scale", "fingerprint")  # what a record begins with


class RowWords(TypedDict, total=False):
    """Keys of a row of measures that are no numbers: names, reasons for null values, lists."""

    title: str
    sampler: str
    method: str
    part: str
    rule: str
    way: str
    features: str
    range: str
    reference: str
    extractor: str
    extractors: dict[str, str]
    classes: list[int] | None
    histogram: list[float]
    fmd_by_classifier: list[float | None]
    why: str | None
    fid_why: str | None
    effnet_why: str | None
    bits_why: str | None
    fmd_debiased_why: str | None
    fmd_validation_why: str | None
    mmd_why: str | None


Row = Annotated[dict[str, Any], Numbers(RowWords)]


class RecordWords(RowWords):
    """Keys of a run's record that are no numbers, besides those of a row."""

    run: str
    replicate: int
    dataset: str
    scale: str
    fingerprint: str
    tie: NotRequired[str | None]
    training_precision: NotRequired[str]
    prior: NotRequired[Row]
    restoration: NotRequired[dict[str, Row]]
    samplers: NotRequired[dict[str, Row]]


Record = Annotated[dict[str, Any], Numbers(RecordWords)]  # measures (docs/metrics.md) beside IDENTITY


class Bias(TypedDict):
    """How a distance falls with n: by the honest protocol and by two studies' rules, extrapolated, and of
    other extractors."""

    over_n: list[Row]
    study_a: Row
    study_d: Row
    fd_infinity: Row
    others: dict[str, list[Row]]


class Details(TypedDict):
    """details.json: what figures are drawn from. histograms: shares of the classes, by name of samples;
    nearest: indices of the samples nearest to a training image, and of those images. Of a trained run:
    rows of restoration (method and t), gates (t), process (t), consistency (sampler and t), epochs,
    log_snr, over_time (part, rule and t), brightness (way and t) and bound (t); cost: of training
    and sampling. bias, slips: where the run draws many images."""

    histograms: dict[str, list[float]]
    nearest: dict[str, list[int]]
    bias: NotRequired[Bias]
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
    bias: Bias
    rows: dict[str, Row]


@dataclass(frozen=True)
class EvaluationFolder:
    """data/evaluations/<dataset>/<run>-<replicate>."""

    path: Path

    @property
    def details_file(self) -> Path:
        return self.path / "details.json"

    def details(self) -> Details:
        return read_json(self.details_file, f"evaluate@{self.path.name}", Details)

    def write_details(self, details: Details) -> None:
        write_json(self.details_file, details)


def read_record(path: Path) -> Record:
    """A run's record (kelvin.artifacts.folders.RunFolders.record)."""
    return read_json(path, f"evaluate@{path.stem}", Record)


def write_record(path: Path, record: Record) -> None:
    write_json(path, record)


def read_calibration(path: Path) -> Calibration:
    return read_json(path, "calibrate", Calibration)


def write_calibration(path: Path, calibration: Calibration) -> None:
    write_json(path, calibration)
