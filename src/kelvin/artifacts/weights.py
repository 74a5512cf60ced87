"""Weight files: a network's tensors beside those of its process and prior, and what they belong to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kelvin.artifacts.reading import damaged, reading
from kelvin.common.errors import KelvinError
from kelvin.common.files import replaced

if TYPE_CHECKING:
    import torch

Tensors = Mapping[str, "torch.Tensor"]
# one entry of a file's metadata holds all: safetensors writes several in any order, and equal weights
# would have other checksums
ABOUT = "kelvin"
PRIOR, PROCESS, LINEAR = "prior.", "degradation.", "linear."


@dataclass(frozen=True)
class Weights:
    """Tensors by name. about: run (resolved sections of the model), shape (C, H, W), classes; of a
    published file also sampler and about."""

    network: Tensors
    prior: Tensors
    process: Tensors
    about: Mapping[str, Any]
    linear: Tensors = field(default_factory=dict)  # of the target linear+ (kelvin.restoration.linear_map)


def write_weights(path: Path, weights: Weights) -> None:
    """A safetensors file that says what it is; the same bytes for the same content."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.network.items()}
    for prefix, part in ((PRIOR, weights.prior), (PROCESS, weights.process),
                         (LINEAR, weights.linear)):
        tensors |= {prefix + name: tensor.cpu().contiguous() for name, tensor in part.items()}
    write_tensors(path, tensors, {ABOUT: json.dumps(weights.about, sort_keys=True)})


def read_weights(path: Path) -> Weights:
    """What `write_weights` wrote; KelvinError where the file is missing, damaged or another's."""
    from safetensors import SafetensorError, safe_open

    cure = "run make repro, or git checkout where it is published"
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if ABOUT not in metadata:
            raise KelvinError(f"{path} is not a weight file of Kelvin: its metadata has no entry "
                              f"{ABOUT!r}; 'make repro' and kelvin.pipeline.release write it")
        about = json.loads(metadata[ABOUT])
        if not isinstance(about, dict):
            raise ValueError(f"its description is no mapping, but {type(about).__name__}")
    except FileNotFoundError as error:
        raise KelvinError(f"{path}: no such weight file") from error
    except (SafetensorError, OSError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, KelvinError):
            raise
        raise KelvinError(f"{path} is not a weight file of Kelvin, or it is damaged "
                          f"({(str(error) or type(error).__name__).splitlines()[0]}); {cure}") from error
    parts = {prefix: {name.removeprefix(prefix): tensors.pop(name) for name in list(tensors)
                      if name.startswith(prefix)} for prefix in (PRIOR, PROCESS, LINEAR)}
    return Weights(tensors, parts[PRIOR], parts[PROCESS], about, parts[LINEAR])


def write_tensors(path: Path, tensors: Tensors, metadata: dict[str, str] | None = None) -> None:
    """A bare safetensors file, whole or absent."""
    from safetensors.torch import save_file

    with replaced(path) as part:
        save_file(dict(tensors), part, metadata=metadata)


def read_tensors(path: Path, stage: str) -> dict[str, torch.Tensor]:
    """A bare safetensors file that the stage instance `stage` wrote."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        with reading(path, stage):
            return load_file(path)
    except SafetensorError as error:
        raise damaged(path, error, stage) from error
