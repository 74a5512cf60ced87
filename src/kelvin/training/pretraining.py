"""Pre-training: the same network trained on other images first, and where a run starts from it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from kelvin.artifacts.starts import Note, StartFolder
from kelvin.common.errors import KelvinError
from kelvin.common.hardware import Precision
from kelvin.common.trees import leaves
from kelvin.config.schema import RunConfig
from kelvin.networks import Shape
from kelvin.restoration import assemble
from kelvin.restoration.restorer import Restorer
from kelvin.training.checkpoint import Checkpoint
from kelvin.training.loop import Trainer

FITS = ("network", "schedule", "degradation", "restorer")  # sections that weights are made for
Tensors = dict[str, torch.Tensor]


class Pretrainer(Trainer):
    """A training that keeps its EMA weights after each of several numbers of epochs, in `snapshots`.

    The rate stays constant after the warm-up, which is as long as the run's own would be on these
    images: a shorter pre-training is the beginning of a longer one. EMA weights are kept, since a
    trained model is used with them; raw weights of a constant rate still hold the noise of the last
    batches.
    """

    phase = "pre-training"

    def __init__(self, run: RunConfig, restorer: Restorer, train: np.ndarray, held: np.ndarray,
                 seed: int, precision: Precision, checkpoint: Checkpoint, epochs: Sequence[int]) -> None:
        options = {"epochs": max(epochs), "sample_every": max(epochs), "ema_more": []}
        longest = run.model_copy(update={"training": run.training.model_copy(update=options)})
        super().__init__(longest, restorer, train, held, seed, {}, precision, checkpoint)
        self.warm_up = run.training.warmup * self.batches * run.training.epochs
        self.wanted = set(epochs)
        self.snapshots: dict[int, dict] = {}

    def learning_rate(self, update: int) -> float:
        rate = self.config.training.lr
        return rate * min(1.0, (update + 1) / self.warm_up) if self.warm_up else rate

    def epoch(self, epoch: int, bar: tqdm) -> dict[str, float]:
        row = super().epoch(epoch, bar)
        if epoch in self.wanted:
            self.snapshots[epoch] = {name: tensor.detach().cpu().clone().contiguous()
                                     for name, tensor in self.ema.network.state_dict().items()}
        return row

    def keep_samples(self, epoch: int) -> None:
        """None: only weights are needed."""

    def state(self, epoch: int) -> dict[str, Any]:
        return super().state(epoch) | {"kept": self.snapshots}

    def resume(self) -> int:
        first = super().resume()
        if first > 1:
            self.snapshots = self.checkpoint.load()["kept"]
        return first


def digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over names, shapes and values."""
    checksum = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        checksum.update(f"{name}{tuple(tensor.shape)}".encode())
        checksum.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return checksum.hexdigest()


def made_for(run: RunConfig, shape: Shape) -> dict[str, Any]:
    """The configuration that pre-trained weights must share with the run."""
    return {**{key: getattr(run, key).model_dump() for key in FITS},
            "image": {"channels": shape.channels, "height": shape.height, "width": shape.width}}


def save_start(folder: Path, tensors: Tensors) -> str:
    """Write the weights; returns their digest."""
    StartFolder(folder).write_weights(tensors)
    return digest(tensors)


def load_start(folder: Path, name: str, run: RunConfig, shape: Shape, network: torch.nn.Module
               ) -> Note:
    """Put pre-trained weights into the network; returns the note beside them.

    Only weights are loaded: process and prior are fitted to the run's own images, and the optimizer
    starts afresh. KelvinError where the weights are missing, damaged, or were made for another network,
    degradation, pixel range, image size or pre-training.
    """
    again = "run dvc repro pretrain, which makes them for this run"
    start = StartFolder(folder)
    weights = start.weights_file
    if not (start.note_file.exists() and weights.exists()):
        raise KelvinError(f"{folder} holds no weights for runs.{name} to start from; {again}")
    note, tensors = start.note(), start.weights()
    if not note["pretrain"]:
        raise KelvinError(f"{start.note_file} says of no weights that runs.{name} could start from; "
                          f"{again}")
    there = dict(leaves({"pretrain": note["pretrain"], **note["made_for"]}))
    wanted = dict(leaves({"pretrain": run.pretrain.model_dump(), **made_for(run, shape)}))
    for key in [*wanted, *(there.keys() - wanted.keys())]:
        have, want = there.get(key, "absent"), wanted.get(key, "absent")
        if have != want:
            raise KelvinError(f"{weights} was made with {'.'.join(key)} = {have}, but "
                              f"runs.{name} has {want}; {again}")
    if digest(tensors) != note["sha256"]:
        raise KelvinError(f"{weights} is not what {start.note_file.name} describes; {again}")
    assemble.load_weights(network, tensors, weights)
    return note
