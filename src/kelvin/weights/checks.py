"""What a weight file may hold: a damaged or foreign one is refused before it draws an image."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from kelvin.artifacts.weights import Weights
from kelvin.common.arguments import MOST_SIDE, whole_number
from kelvin.common.errors import KelvinError
from kelvin.common.streams import BlockRandom
from kelvin.config.sentences import dotted, sentences
from kelvin.restoration.restorer import Restorer

MOST_CLASSES = 1_000_000
PARTS = ("network", "process", "prior", "linear")
DIGEST = "sha256"  # of a published file's description: see `digest`


def digest(weights: Weights) -> str:
    """SHA-256 of all that a file says: its description, but for the digest in it, and every tensor."""
    about = {key: value for key, value in weights.about.items() if key != DIGEST}
    hashed = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for part in PARTS:
        for name, tensor in sorted(getattr(weights, part).items()):
            hashed.update(f"{part} {name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            hashed.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return hashed.hexdigest()


def refuse_changed(weights: Weights) -> None:
    """KelvinError where a published file is no longer what was published: a single bit would do."""
    if DIGEST in weights.about and weights.about[DIGEST] != digest(weights):
        raise KelvinError("its content is not what was published: it is damaged, or was edited")


def refuse_odd(weights: Weights) -> None:
    """KelvinError for a description of other types, and for tensors that are no finite real numbers."""
    about = weights.about
    shape, sampler = about.get("shape"), about.get("sampler")
    if not isinstance(about.get("run"), Mapping):
        raise KelvinError("its `run` is no mapping: it is damaged, or no weight file of Kelvin")
    if not isinstance(shape, list) or len(shape) != 3:
        raise KelvinError(f"its shape = {repr(shape)[:60]} should be channels, height and width")
    for name, side in zip(("channels", "height", "width"), shape, strict=True):
        whole_number(name, side, 1, MOST_SIDE)
    whole_number("classes", about.get("classes"), 0, MOST_CLASSES)
    if sampler is not None and not isinstance(dict(sampler).get("kind"), str):
        raise KelvinError(f"its sampler = {repr(sampler)[:60]} is no entry of `samplers`")
    if not isinstance(about.get("about", {}), Mapping):
        raise KelvinError("its `about` is no mapping")
    for part in PARTS:
        for name, tensor in getattr(weights, part).items():
            if part == "network" and not tensor.is_floating_point():
                raise KelvinError(f"tensor {name!r} is {tensor.dtype}; weights are floating point")
            if not bool(torch.isfinite(tensor.double() if not tensor.is_complex() else tensor).all()):
                raise KelvinError(f"tensor {name!r} holds values that are not finite: it is damaged")


def refuse_unfit(restorer: Restorer, about: Mapping[str, Any]) -> None:
    """KelvinError where process or prior came from the file with a part missing or of another size.
    about: of the file."""
    process, shape = restorer.degradation, restorer.image.shape
    tensors = process.tensors()
    if getattr(process, "tied", False) and "variance" not in tensors:
        raise KelvinError("its severity is missing: it is damaged")
    steps = about["run"]["schedule"]["steps"]
    for name in sorted({"severity", "variance"} & tensors.keys()):
        if tensors[name].shape != (steps + 1,):
            raise KelvinError(f"tensor {name!r} has the shape {tuple(tensors[name].shape)}, not a value "
                              f"for each of the times 0 to {steps}: it is damaged")
    drawn = process.prior.draw(BlockRandom(0, 1, "a probe")).x
    if tuple(drawn.shape[1:]) != shape:
        raise KelvinError(f"its prior draws images of the shape {tuple(drawn.shape[1:])}, not {shape}: "
                          "it is damaged")


def sentence(error: KelvinError, path: Path, about: Mapping[str, Any]) -> str:
    """The first line of what is wrong, with the file; of a wrong entry its key and what it should be."""
    line = str(error).splitlines()[0]
    if isinstance(error.__cause__, ValidationError):
        run = about["run"]
        line = sentences(error.__cause__.errors(include_url=False), dict(run),
                         lambda at: dotted(("run", *at)))[0]
    return line if str(path) in line else f"{path}: {line}"
