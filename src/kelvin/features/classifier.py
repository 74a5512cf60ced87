"""The trained classifier as a file, and as what it serves for: features and class probabilities."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kelvin.artifacts.features import ClassifierFolder, ClassifierRecord
from kelvin.common.errors import KelvinError
from kelvin.config.schema import ClassifierConfig
from kelvin.features.classifier_network import Classifier
from kelvin.features.classifier_training import features_and_probabilities
from kelvin.networks import Shape


@dataclass(frozen=True)
class Judge:
    """A trained classifier with its record (accuracy, hash of the feature layer).

    others: classifiers of other seeds, that judge beside it.
    """

    network: Classifier
    record: ClassifierRecord
    others: tuple[Judge, ...] = ()

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Features (n, d) and probabilities (n, K) of images (n, C, H, W), uint8 or [0, 1]."""
        return features_and_probabilities(self.network, images)


def feature_hash(network: Classifier) -> str:
    """SHA-256 of the weights that make the features, by name, 16 hex digits."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.body.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def save(folder: Path, network: Classifier, config: ClassifierConfig, history: list[float],
         test_images: np.ndarray, test_labels: np.ndarray) -> ClassifierRecord:
    """Write weights.safetensors and record.json; returns the record."""
    _, probabilities = features_and_probabilities(network, test_images)
    first = network.body[0]
    record: ClassifierRecord = {
        "accuracy": float((probabilities.argmax(1) == test_labels).mean()),
              "n": len(test_labels), "hash": feature_hash(network), "features": config.features,
              "channels": config.channels, "classes": network.head.out_features,
              "shape": [first.in_channels, *test_images.shape[2:]], "loss": history}
    files = ClassifierFolder(folder)
    files.write_weights({name: tensor.detach().cpu().contiguous()
                         for name, tensor in network.state_dict().items()})
    files.write_record(record)
    return record


def other_folder(folder: Path, k: int) -> Path:
    """Where classifier k = 1, 2, ... of another seed lies, beside the first."""
    return folder / f"other-{k}"


def load(folder: Path) -> Judge:
    """The classifier in `folder` with those of other seeds below it; KelvinError where one is missing or
    its weights do not fit."""
    files = ClassifierFolder(folder)
    record = files.record()
    network = Classifier(Shape(*record["shape"]), record["channels"], record["features"],
                         record["classes"])
    try:
        network.load_state_dict(files.weights())
    except RuntimeError as error:
        raise KelvinError(f"{folder} holds no usable classifier ({str(error).splitlines()[0]}); run "
                          "dvc repro classifier") from error
    if feature_hash(network) != record["hash"]:
        raise KelvinError(f"{folder}: the weights are not those of record.json; run dvc repro -f "
                          "classifier")
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    others = []
    while other_folder(folder, len(others) + 1).exists():
        others.append(load(other_folder(folder, len(others) + 1)))
    return Judge(network.eval(), record, tuple(others))
