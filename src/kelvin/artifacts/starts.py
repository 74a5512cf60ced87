"""What a training starts from: a note, and weights or images to blend towards where it has any."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from kelvin.artifacts.reading import ArrayFile, read_json
from kelvin.artifacts.weights import Tensors, read_tensors, write_tensors
from kelvin.common.files import write_arrays, write_json

if TYPE_CHECKING:
    import numpy as np
    import torch

STAGE = "pretrain"


class Note(TypedDict):
    """start.json. pretrain: the run's section, null where it starts from no weights; fingerprint: names
    the start where it was made; of weights also sha256 over names, shapes and values, updates, images,
    and made_for: what they must have been made with."""

    pretrain: dict[str, Any] | None
    fingerprint: NotRequired[str]
    sha256: NotRequired[str]
    updates: NotRequired[int]
    images: NotRequired[int]
    made_for: NotRequired[dict[str, Any]]


@dataclass(frozen=True)
class StartFolder:
    """data/starts/<dataset>/<run>-<replicate>."""

    path: Path

    @property
    def note_file(self) -> Path:
        return self.path / "start.json"

    @property
    def weights_file(self) -> Path:
        return self.path / "weights.safetensors"

    @property
    def blend_file(self) -> Path:
        return self.path / "blend.npz"

    def note(self) -> Note:
        return read_json(self.note_file, STAGE, Note)

    def write_note(self, note: Note) -> None:
        write_json(self.note_file, note)

    def weights(self) -> "dict[str, torch.Tensor]":
        return read_tensors(self.weights_file, STAGE)

    def write_weights(self, tensors: Tensors) -> None:
        write_tensors(self.weights_file, tensors)

    def blend(self) -> "np.ndarray":
        """Images to blend towards, uint8 (n, C, H, W)."""
        return ArrayFile(self.blend_file, STAGE).take("images", "u", 4)

    def write_blend(self, images: "np.ndarray") -> None:
        write_arrays(self.blend_file, images=images)
