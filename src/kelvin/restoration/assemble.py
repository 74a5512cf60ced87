"""From a run's configuration, or its saved weights, to a Restorer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from kelvin import degradations, networks
from kelvin.common.errors import KelvinError
from kelvin.config.schema import ModelConfig
from kelvin.degradations import ImageSpec
from kelvin.networks import Shape
from kelvin.restoration import linear_map
from kelvin.restoration.parameterisation import LINEAR as LINEAR_TARGET
from kelvin.restoration.restorer import Restorer

if TYPE_CHECKING:
    from kelvin.datasets.store import PreparedStore

# one entry of a file's metadata holds all: safetensors writes several in any order, and equal weights
# would have other checksums
ABOUT = "kelvin"
# how the prior's and the degradation's tensors are named beside the network's
PRIOR, PROCESS, LINEAR = "prior.", "degradation.", "linear."


def shape_of(store: PreparedStore) -> Shape:
    return Shape(*store.split("train").shape[1:])


def average_file(folder: Path, decay: float) -> Path:
    """Where the weights of a further average (training.ema_more) lie."""
    return folder / f"ema-{decay:g}.safetensors"


def image_spec(run: ModelConfig, shape: Shape) -> ImageSpec:
    return ImageSpec(shape.channels, shape.height, shape.width, run.restorer.low, run.restorer.high)


def build(run: ModelConfig, shape: Shape, where: str = "run", classes: int = 0) -> Restorer:
    """An untrained restorer for images of that shape; its prior is not fitted yet.

    classes: of the data set; only a conditional network asks.
    """
    image = image_spec(run, shape)
    process = degradations.build(image, run.degradation.model_dump(), run.schedule.model_dump(),
                                 run.prior.model_dump())
    learned = run.restorer.variance == "learned"
    network = networks.build(run.network.model_dump(), replace(shape, outputs=2) if learned else shape,
                             f"{where}.network")
    network = networks.condition(run.conditioning.model_dump(), network, classes,
                                 f"{where}.conditioning")
    return Restorer(network, run.restorer.parameterisation, process, image, run.restorer.clip,
                    run.restorer.rule, run.restorer.variance)


def save(path: Path, network: torch.nn.Module, restorer: Restorer, run: ModelConfig,
         shape: Shape) -> None:
    """Weights, fitted prior and resolved configuration in one safetensors file."""
    tensors = {name: tensor.detach().cpu().contiguous()
               for name, tensor in network.state_dict().items()}
    tensors |= {LINEAR + name: tensor.cpu().contiguous()
                for name, tensor in linear_map.tensors(restorer.degradation).items()}
    for prefix, part in ((PRIOR, restorer.degradation.prior), (PROCESS, restorer.degradation)):
        tensors |= {prefix + name: tensor.cpu().contiguous()
                    for name, tensor in part.tensors().items()}
    write(path, tensors, {"run": run.model_dump(mode="json", include=set(ModelConfig.model_fields)),
                          "shape": [shape.channels, shape.height, shape.width],
                          "classes": getattr(network, "classes", 0)})


def write(path: Path, tensors: Mapping[str, torch.Tensor], about: Mapping[str, Any]) -> None:
    """A safetensors file that says what it is; the same bytes for the same content."""
    save_file(dict(tensors), path, metadata={ABOUT: json.dumps(about, sort_keys=True)})


def about(path: Path) -> dict[str, Any]:
    """What a file that `write` wrote says of itself; ValueError where another wrote it."""
    with safe_open(path, "pt") as file:
        metadata = file.metadata() or {}
    if ABOUT not in metadata:
        raise ValueError(f"its metadata has no entry {ABOUT!r}; 'make repro' and "
                         "kelvin.pipeline.release write it")
    return json.loads(metadata[ABOUT])


def load(path: Path | str, device: str | torch.device = "cpu") -> Restorer:
    """The restorer saved at `path`, ready to sample; KelvinError on a file that does not fit."""
    path = Path(path)
    try:
        said, tensors = about(path), load_file(path)
        run = ModelConfig(**{key: value for key, value in said["run"].items()
                             if key in ModelConfig.model_fields})
        shape, classes = Shape(*said["shape"]), said["classes"]
    except FileNotFoundError as error:
        raise KelvinError(f"{path}: no such weight file") from error
    except (SafetensorError, KeyError, ValueError) as error:
        raise KelvinError(f"{path} is not a weight file of Kelvin: {error}") from error
    restorer = build(run, shape, classes=classes)

    def own(prefix: str) -> dict[str, torch.Tensor]:
        return {name.removeprefix(prefix): tensors.pop(name) for name in list(tensors)
                if name.startswith(prefix)}

    restorer.degradation.prior.load(own(PRIOR))
    restorer.degradation.load(own(PROCESS))
    if run.restorer.parameterisation == LINEAR_TARGET:
        linear_map.load(restorer.degradation, own(LINEAR))
    load_weights(restorer.network, tensors, path)
    restorer.network.eval().requires_grad_(False).to(device)
    restorer.degradation.to(device)
    return restorer


def load_weights(network: torch.nn.Module, tensors: dict[str, torch.Tensor], path: Path) -> None:
    """Put tensors into a network; one sentence when names or shapes differ."""
    own = network.state_dict()
    odd = sorted(own.keys() ^ tensors.keys()) or [
        name for name in own if own[name].shape != tensors[name].shape]
    if odd:
        name = odd[0]
        shapes = [tuple(side[name].shape) if name in side else "absent" for side in (tensors, own)]
        raise KelvinError(f"{path}: tensor {name!r} is {shapes[0]} in the file but {shapes[1]} in the "
                          "network; the file belongs to another network or image size")
    network.load_state_dict(tensors)
