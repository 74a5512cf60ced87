"""From a run's configuration, or its saved weights, to a Restorer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from kelvin import degradations, networks
from kelvin.artifacts.weights import Weights, read_weights, write_weights
from kelvin.common.errors import KelvinError
from kelvin.config.schema import ModelConfig
from kelvin.degradations import ImageSpec
from kelvin.networks import Shape
from kelvin.restoration import linear_map
from kelvin.restoration.restorer import Restorer

if TYPE_CHECKING:
    from kelvin.datasets.store import PreparedStore


def shape_of(store: PreparedStore) -> Shape:
    return Shape(*store.split("train").shape[1:])


def image_spec(run: ModelConfig, shape: Shape) -> ImageSpec:
    return ImageSpec(shape.channels, shape.height, shape.width, run.restorer.low, run.restorer.high)


def build(run: ModelConfig, shape: Shape, where: str = "run", classes: int = 0) -> Restorer:
    """An untrained restorer for images of that shape; its prior is not fitted yet.

    classes: how many the data set has; used by a conditional network alone.
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
    process = restorer.degradation
    write_weights(path, Weights(network.state_dict(), process.prior.tensors(), process.tensors(), {
        "run": run.model_dump(mode="json", include=set(ModelConfig.model_fields)),
        "shape": [shape.channels, shape.height, shape.width],
        "classes": getattr(network, "classes", 0)}, linear_map.tensors(process)))


def load(path: Path | str, device: str | torch.device = "cpu") -> Restorer:
    """The restorer saved at `path`, ready to sample; KelvinError on a file that does not fit."""
    path = Path(path)
    return restored(read_weights(path), path, device)


def restored(weights: Weights, path: Path, device: str | torch.device = "cpu") -> Restorer:
    """The restorer of weights that were read from `path`."""
    try:
        run = ModelConfig(**{key: value for key, value in weights.about["run"].items()
                             if key in ModelConfig.model_fields})
        shape, classes = Shape(*weights.about["shape"]), weights.about["classes"]
    except (KeyError, ValueError, TypeError) as error:
        raise KelvinError(f"{path} is not a weight file of Kelvin: {error}") from error
    restorer = build(run, shape, classes=classes)
    restorer.degradation.prior.load(dict(weights.prior))
    restorer.degradation.load(dict(weights.process))
    linear_map.load(restorer.degradation, dict(weights.linear))
    load_weights(restorer.network, weights.network, path)
    restorer.network.eval().requires_grad_(False).to(device)
    restorer.degradation.to(device)
    return restorer


def load_weights(network: torch.nn.Module, tensors: Mapping[str, torch.Tensor], path: Path) -> None:
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
