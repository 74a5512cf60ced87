"""The classifier's folder, and that of the statistics of the real data by every extractor."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from kelvin.artifacts.reading import ArrayFile, damaged, read_json
from kelvin.artifacts.weights import Tensors, read_tensors, write_tensors
from kelvin.common.files import write_arrays, write_json

if TYPE_CHECKING:
    import numpy as np
    import torch


class ClassifierRecord(TypedDict):
    """record.json. accuracy: on n test images; hash: of the weights that make the features; features,
    channels, classes, shape (C, H, W): of the network; loss: the mean of each epoch."""

    accuracy: float
    n: int
    hash: str
    features: int
    channels: list[int]
    classes: int
    shape: list[int]
    loss: list[float]


@dataclass(frozen=True)
class ClassifierFolder:
    """data/models/<dataset>/classifier."""

    path: Path

    @property
    def record_file(self) -> Path:
        return self.path / "record.json"

    @property
    def weights_file(self) -> Path:
        return self.path / "weights.safetensors"

    def record(self) -> ClassifierRecord:
        return read_json(self.record_file, "classifier", ClassifierRecord)

    def write_record(self, record: ClassifierRecord) -> None:
        write_json(self.record_file, record)

    def weights(self) -> "dict[str, torch.Tensor]":
        return read_tensors(self.weights_file, "classifier")

    def write_weights(self, tensors: Tensors) -> None:
        write_tensors(self.weights_file, tensors)


class About(TypedDict):
    """about.json. reference: which part the reference_n images are of; data: digest of the store; test_n:
    held-out images; extractor: the classifier's hash; extractors: dim, preprocessing, hash and key of
    each; fid_why, effnet_why: why FID's Inception, and EfficientNet, are not among them, null where they
    are."""

    reference: str
    reference_n: int
    data: str
    test_n: int
    extractor: str
    classifier_accuracy: float
    fid_why: str | None
    effnet_why: str | None
    extractors: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Statistics:
    """One extractor's <name>.npz: mean float64 (d,) and cov float64 (d, d) over the n reference images;
    features float32 of k of them (kept, (k, d)) and of the test images (heldout, (m, d)); black float
    (1, d): of one black image."""

    n: "np.ndarray"
    mean: "np.ndarray"
    cov: "np.ndarray"
    kept: "np.ndarray"
    heldout: "np.ndarray"
    black: "np.ndarray"


SHAPES = {"n": ("i", 0), "mean": ("f", 1), "cov": ("f", 2), "kept": ("f", 2), "heldout": ("f", 2),
          "black": ("f", 2)}


@dataclass(frozen=True)
class ReferenceFolder:
    """data/models/<dataset>/reference."""

    path: Path

    def about(self) -> About:
        return read_json(self.path / "about.json", "reference", About)

    def write_about(self, about: About) -> None:
        write_json(self.path / "about.json", about)

    def projection(self) -> "dict[str, np.ndarray]":
        """Of pixels: nothing, or mean float64 (d,) and components float64 (d, k)."""
        file = ArrayFile(self.path / "projection.npz", "reference")
        return {name: file.take(name, "f", ndim) for name, ndim in (("mean", 1), ("components", 2))
                if name in file}

    def write_projection(self, projection: "dict[str, np.ndarray]") -> None:
        write_arrays(self.path / "projection.npz", **projection)

    def statistics_file(self, extractor: str) -> Path:
        return self.path / f"{extractor}.npz"

    def statistics(self, extractor: str) -> Statistics:
        path = self.statistics_file(extractor)
        file = ArrayFile(path, "reference")
        statistics = Statistics(*(file.take(name, *shape) for name, shape in SHAPES.items()))
        d, rows = len(statistics.mean), (statistics.kept, statistics.heldout, statistics.black)
        if statistics.cov.shape != (d, d) or {x.shape[1] for x in rows} != {d}:
            raise damaged(path, f"its arrays are not all of {d} features", "reference")
        return statistics

    def write_statistics(self, extractor: str, statistics: Statistics) -> None:
        write_arrays(self.statistics_file(extractor), **vars(statistics))
