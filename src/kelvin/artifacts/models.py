"""The folder of a trained run, or of a folder of images that is scored like one."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from kelvin.artifacts.reading import ArrayFile, damaged, read_json, read_rows
from kelvin.common.files import write_arrays, write_csv, write_json

if TYPE_CHECKING:
    import numpy as np

LOSSES = ("train_loss", "val_loss", "val_loss_ema")  # columns of history.csv that a record repeats


class Trained(TypedDict):
    """config.json. fingerprint: names the training; source: train or folder; config: resolved, of the
    run; data: digest of the prepared store, or of the folder's images; start: the note of what it started
    from (kelvin.artifacts.starts.Note), null for nothing."""

    run: str
    replicate: int
    fingerprint: str
    dataset: str
    scale: str
    source: str
    config: dict[str, Any]
    data: str
    start: NotRequired[dict[str, Any] | None]


class Cost(TypedDict):
    """cost.json. best_epoch, stopped_epoch: of early stopping, where the run has it."""

    updates: int
    best_epoch: NotRequired[int | None]
    stopped_epoch: NotRequired[int | None]
    parameters: int
    flops_per_image: int
    peak_memory_bytes: int | None
    epoch_seconds: list[float]
    train_seconds: float
    hardware: str
    precision: str
    threads: int
    processes: int


class Process(TypedDict):
    """process.json. signal_variance: the share of the images' variance left at t = 0..T, in [0, 1];
    recoverability: the share of it that linear least squares gets back from 8 bits, at
    recoverability_times (kelvin.degradations.recoverability). Where the process is tied to a noise
    schedule, tie: variance or recoverability; wanted or wanted_recoverability: the wanted share, as
    long as the curve that is tied; clamped_from: the t from which on it is out of reach, null where it
    never is."""

    temperature: str
    signal_variance: list[float]
    recoverability_times: list[int]
    recoverability: list[float]
    tie: str | None
    wanted: list[float] | None
    wanted_recoverability: list[float] | None
    clamped_from: int | None


@dataclass(frozen=True)
class EpochSamples:
    """Samples drawn during training, after E epochs, and one-shot restorations of m held-out images.

    epochs (E,) int64; samples uint8 (E, n, C, H, W); restored uint8 (E, R, m, C, H, W) from `degraded`
    uint8 (R, m, C, H, W) at times (R,) int64; truth uint8 (m, C, H, W).
    """

    epochs: "np.ndarray"
    samples: "np.ndarray"
    restored: "np.ndarray"
    times: "np.ndarray"
    truth: "np.ndarray"
    degraded: "np.ndarray"


@dataclass(frozen=True)
class EpochSamplesFile:
    """`EpochSamples` as they lie in samples.npz, each array read on access."""

    file: ArrayFile

    @cached_property
    def epochs(self) -> "np.ndarray":
        return self.file.take("epochs", "i", 1)

    @property
    def samples(self) -> "np.ndarray":
        return self.file.take("samples", "u", 5)

    @property
    def restored(self) -> "np.ndarray":
        return self.file.take("reconstructions", "u", 6)

    @property
    def times(self) -> "np.ndarray":
        return self.file.take("reconstruct_times", "i", 1)

    @property
    def truth(self) -> "np.ndarray":
        return self.file.take("reconstruct_truth", "u", 4)

    @property
    def degraded(self) -> "np.ndarray":
        return self.file.take("reconstruct_degraded", "u", 5)


@dataclass(frozen=True)
class ModelFolder:
    """data/models/<dataset>/<run>-<replicate>."""

    path: Path

    @property
    def stage(self) -> str:
        return f"train@{self.path.name}"

    @property
    def ema(self) -> Path:
        """The exponential moving average of the weights (kelvin.artifacts.weights)."""
        return self.path / "ema.safetensors"

    @property
    def raw(self) -> Path:
        """The last weights themselves."""
        return self.path / "raw.safetensors"

    def average(self, decay: float) -> Path:
        """The weights of a further average (training.ema_more)."""
        return self.path / f"ema-{decay:g}.safetensors"

    @property
    def config_file(self) -> Path:
        return self.path / "config.json"

    @property
    def history_file(self) -> Path:
        return self.path / "history.csv"

    def config(self) -> Trained:
        return read_json(self.config_file, self.stage, Trained)

    def write_config(self, config: Trained) -> None:
        write_json(self.config_file, config)

    def cost(self) -> Cost:
        return read_json(self.path / "cost.json", self.stage, Cost)

    def write_cost(self, cost: Cost) -> None:
        write_json(self.path / "cost.json", cost)

    def process(self) -> Process:
        return read_json(self.path / "process.json", self.stage, Process)

    def write_process(self, process: Process) -> None:
        write_json(self.path / "process.json", process)

    def history(self, updates: int | None = None) -> list[dict[str, float]]:
        """The rows of history.csv, one an epoch: epoch, updates, lr, losses. KelvinError where the last
        is not that of `updates`, if given: a file may be cut short between two rows."""
        rows = read_rows(self.history_file, self.stage, ("epoch", "updates"))
        if updates is not None and rows[-1]["updates"] != updates:
            last = rows[-1]["updates"]
            raise damaged(self.history_file, f"it ends after {last:g} updates of {updates}", self.stage)
        return rows

    def write_history(self, rows: list[dict[str, float]]) -> None:
        write_csv(self.history_file, rows)

    def epoch_samples(self) -> EpochSamplesFile:
        return EpochSamplesFile(ArrayFile(self.path / "samples.npz", self.stage))

    def write_epoch_samples(self, arrays: EpochSamples) -> None:
        write_arrays(self.path / "samples.npz", epochs=arrays.epochs, samples=arrays.samples,
                     reconstructions=arrays.restored, reconstruct_times=arrays.times,
                     reconstruct_truth=arrays.truth, reconstruct_degraded=arrays.degraded)

    def images(self) -> "np.ndarray":
        """The images of a run that is not trained, uint8 (n, C, H, W)."""
        return ArrayFile(self.path / "samples.npz", self.stage).take("samples", "u", 4)

    def write_images(self, images: "np.ndarray") -> None:
        write_arrays(self.path / "samples.npz", samples=images)
