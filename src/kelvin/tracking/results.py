"""What there is to show: the records of the active runs, with what data/ holds of the same training.

A fresh clone has the records alone. Only the standard library is imported here, since `make repro`
asks at its every end whether something is missing.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kelvin.artifacts.evaluations import IDENTITY as HEAD
from kelvin.artifacts.evaluations import Details, EvaluationFolder, Record, read_record
from kelvin.artifacts.folders import DatasetFolders, RunFolders
from kelvin.artifacts.models import ModelFolder, Trained
from kelvin.artifacts.samples import SampleFolder, Sampling
from kelvin.common.errors import KelvinError
from kelvin.common.trees import leaves

if TYPE_CHECKING:
    import numpy as np

IDENTITY = tuple(key for key in HEAD if key != "dataset")  # tags; the experiment is the data set's
FORM = b"2"  # of what is made of a result: in another form it is published anew
# what follows from parameters and protocol: tags, and no metrics, whose charts would show one value
CONSTANT = ("n", "reference_n", "bits_n", "grey_levels", "nfe", "updates", "parameters", "tie",
            "flops_per_image", "training_flops", "clamped_from", "threads", "processes")
NO_CURVE = ("epoch", "updates", "n", "small_n")  # columns of the rows per epoch
GRID = 8  # samples shown a side
SIDE = 40  # pixels that a small image is enlarged to, about


@dataclass(frozen=True)
class Active:
    """What is to be shown: the runs and replicates of one data set, and nothing that an earlier
    experiment left beside them. titles: {active run: its title}; studies: {name: its runs}."""

    dataset: str
    replicates: Sequence[int]
    titles: Mapping[str, str]
    studies: Mapping[str, Sequence[str]]

    def results(self) -> list[Result]:
        """Those that have a record, in the order of their names."""
        runs = (DatasetFolders(self.dataset).run(run, replicate)
                for run in self.titles for replicate in self.replicates)
        return [Result(path) for path in sorted(run.record for run in runs) if path.exists()]


@dataclass(frozen=True)
class Result:
    """One run and replicate, as the pipeline left it in the working directory."""

    path: Path

    @cached_property
    def record(self) -> Record:
        return read_record(self.path)

    @cached_property
    def identity(self) -> dict[str, str]:
        """The tags that name it in MLflow."""
        return {key: str(self.record[key]) for key in IDENTITY}

    @property
    def name(self) -> str:
        return self.folders.name

    @property
    def dataset(self) -> str:
        return self.record["dataset"]

    @property
    def folders(self) -> RunFolders:
        return DatasetFolders(self.dataset).run(self.record["run"], self.record["replicate"])

    @property
    def model(self) -> ModelFolder:
        return ModelFolder(self.folders.model)

    @property
    def samples(self) -> SampleFolder:
        return SampleFolder(self.folders.samples)

    @property
    def evaluation(self) -> EvaluationFolder:
        return EvaluationFolder(self.folders.evaluation)

    @property
    def manifest(self) -> Path:
        return DatasetFolders(self.dataset).manifest

    @cached_property
    def config(self) -> Trained | dict[str, Any]:
        """config.json of the training behind the record; empty where that is not there."""
        config = self.model.config() if self.model.config_file.exists() else {}
        return config if config.get("fingerprint") == self.record["fingerprint"] else {}

    @cached_property
    def sampling(self) -> Sampling:
        """How it was sampled, with the options of its samplers."""
        return self.samples.config()

    @property
    def trained(self) -> bool:
        """Not so for a folder of images that is scored like a run."""
        return self.config["source"] == "train"

    @cached_property
    def files(self) -> list[Path]:
        """What is logged as it stands; without weights and curves for a folder of images."""
        model = self.model
        return [model.config_file, *((model.ema, model.history_file) if self.trained else ())]

    @cached_property
    def complete(self) -> bool:
        """Whether everything of this very training is there, the data set included."""
        if not self.config or not self.manifest.exists():
            return False
        if self.trained and self.config["data"] != self.data_digest:
            return False
        rest = [self.evaluation.details_file, self.samples.samples_file, self.samples.config_file]
        return all(path.exists() for path in [*self.files, *rest])

    @cached_property
    def record_hash(self) -> str:
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    @cached_property
    def content(self) -> str:
        """SHA-256 of the record and, where all is there, of everything else but the weights."""
        digest = hashlib.sha256(FORM + self.path.read_bytes())
        if self.complete:
            for path in [self.evaluation.details_file, *self.files]:
                if path.suffix != ".safetensors":  # named by the fingerprint, and large
                    digest.update(path.read_bytes())
        return digest.hexdigest()

    @cached_property
    def data_digest(self) -> str:
        """PreparedStore.digest, without opening the store."""
        return hashlib.sha256(self.manifest.read_bytes()).hexdigest()

    @cached_property
    def details(self) -> Details | dict[str, Any]:
        return self.evaluation.details() if self.complete else {}

    def parameters(self) -> dict[str, str]:
        """What the run resolves to, in dotted keys; what is not set is left out."""
        trees = [self.config["config"], self.sampling] if self.complete else []
        return {".".join(path): value if isinstance(value, str) else json.dumps(value)
                for tree in trees for path, value in leaves(tree) if value is not None}

    def words(self) -> dict[str, str]:
        """What is no metric: the first sampler, the extractor, why a value is null, the hardware, and
        the constants."""
        every = {**self.details.get("cost", {}), **self.record}
        return {key: str(value) for key, value in every.items()
                if key not in IDENTITY and isinstance(value, (str, int, float))
                and (isinstance(value, str) or key in CONSTANT)}

    def description(self, title: str, studies: Sequence[str]) -> str:
        """One paragraph, which MLflow shows above a run."""
        record = self.record
        between = (f" ({record['fmd_low']:.3g} to {record['fmd_high']:.3g})"
                   if record.get("fmd_low") is not None else "")
        value = f"FMD {record['fmd']:.3g}{between} by {record['sampler']}" \
            if record.get("fmd") is not None else f"sampled by {record['sampler']}"
        of = f" Studies: {', '.join(studies)}." if studies else ""
        return (f"{title}: {value}. Data set {self.dataset}, scale {record['scale']}, replicate "
                f"{record['replicate']}.{of}")

    def final(self) -> dict[str, float]:
        """Every number that was measured, with slashes where MLflow groups charts: the headline measures
        first and by their bare names, then `measures/...`, `samplers/<sampler>/...` and so on,
        `cost/...` last."""
        from kelvin.metrics.measures import MEASURES

        out = {mlflow_name(path): number(value, f"{self.path}: {'.'.join(path)}")
               for path, value in leaves(self.record) if is_measured(path, value)}
        headline = {key: out.pop(key) for key, m in MEASURES.items() if m.headline and key in out}
        out = {key if "/" in key else f"measures/{key}": value for key, value in out.items()}
        return headline | out | {"cost/" + mlflow_name(path): number(value, f"{self.name}: cost")
                                 for path, value in leaves(self.details.get("cost", {}))
                                 if is_measured(path, value) and path[0] not in self.record}

    def curves(self, after: int = 0) -> Iterator[tuple[int, str, float]]:
        """(epoch, key, value) of training's history after an epoch, and of all samples that it kept."""
        if not self.complete:
            return
        rows: list[dict[str, Any]] = list(self.details.get("epochs", []))
        if self.trained:
            rows += [row for row in self.model.history(self.record["updates"]) if row["epoch"] > after]
        for row in rows:
            for key, value in row.items():
                if key not in NO_CURVE and value is not None:
                    where = f"{self.name}: {key} of epoch {row['epoch']:g}"
                    yield int(row["epoch"]), key, number(value, where)

    def pictures(self) -> dict[str, np.ndarray]:
        """Name -> uint8 (height, width, C): a grid of samples, and the strips where there are."""
        samples, sampler = self.samples.samples(), self.record["sampler"]
        images = samples.samples(sampler)[:GRID * GRID]
        grids = {"samples": [images[i:i + GRID] for i in range(0, len(images), GRID)]}
        for name, strip in (("encoding", samples.encoding), ("decoding", samples.decoding(sampler))):
            if strip:
                grids[name] = list(strip.states.swapaxes(0, 1))
        return {name: tiled(rows) for name, rows in grids.items()}


def is_measured(path: tuple[str, ...], value: Any) -> bool:
    return isinstance(value, (int, float)) and path[0] not in IDENTITY and not {*path} & {*CONSTANT}


def mlflow_name(path: tuple[str, ...]) -> str:
    """samplers/ddim-50/fmd. MLflow allows neither @ nor =: ddim-50@w=2 is written ddim-50_w_2."""
    return "/".join(path).replace("@", "_").replace("=", "_")


def tiled(rows: list[np.ndarray]) -> np.ndarray:
    """Rows of uint8 (n, C, H, W) as one picture (height, width, C), small images enlarged."""
    import numpy as np

    channels, height, width = rows[0].shape[1:]
    zoom = max(1, round(SIDE / height))
    size = [len(rows), max(len(row) for row in rows), channels, height * zoom + 2, width * zoom + 2]
    sheet = np.full(size, 255, np.uint8)
    for i, row in enumerate(rows):
        sheet[i, :len(row), :, 1:-1, 1:-1] = row.repeat(zoom, axis=2).repeat(zoom, axis=3)
    sheet = sheet.transpose(0, 3, 1, 4, 2)
    return sheet.reshape(size[0] * size[3], size[1] * size[4], channels)


def number(value: Any, where: str) -> float:
    """A finite float; MLflow would store NaN as 0 without a word."""
    if not math.isfinite(number := float(value)):
        raise KelvinError(f"{where} is {number}, and only finite numbers are tracked; find out which "
                          "stage wrote it, and run that again")
    return number
