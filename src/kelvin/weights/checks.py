"""What a weight file may hold: a damaged or foreign one is refused before it draws an image."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from kelvin import degradations, networks
from kelvin.artifacts.weights import Weights
from kelvin.common.arguments import MOST_SIDE, shown, whole_number
from kelvin.common.errors import KelvinError
from kelvin.common.streams import BlockRandom
from kelvin.config.registry import OWN_PART
from kelvin.config.schema import ModelConfig
from kelvin.config.sentences import dotted, excerpt, sentences
from kelvin.config.sizes import size_faults
from kelvin.networks import Shape
from kelvin.restoration.restorer import Restorer
from kelvin.weights.images import MODES, Degraded

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
        raise KelvinError(f"its shape = {shown(shape)} should be channels, height and width")
    for name, side in zip(("channels", "height", "width"), shape, strict=True):
        whole_number(name, side, 1, MOST_SIDE)
    if shape[0] not in MODES:
        raise KelvinError(f"its images have {shape[0]} channels; grey ones have 1, colour ones 3")
    whole_number("classes", about.get("classes"), 0, MOST_CLASSES)
    is_entry = isinstance(sampler, Mapping) and isinstance(sampler.get("kind"), str)
    if sampler is not None and not is_entry:
        raise KelvinError(f"its sampler = {shown(sampler)} is no entry of `samplers`")
    if not isinstance(about.get("about", {}), Mapping):
        raise KelvinError("its `about` is no mapping")
    for part in PARTS:
        for name, tensor in getattr(weights, part).items():
            if part == "network" and not tensor.is_floating_point():
                raise KelvinError(f"tensor {name!r} is {tensor.dtype}; weights are floating point")
            if not bool(torch.isfinite(tensor.double() if not tensor.is_complex() else tensor).all()):
                raise KelvinError(f"tensor {name!r} holds values that are not finite: it is damaged")


def refuse_own_parts(about: Mapping[str, Any]) -> None:
    """KelvinError where a file names a part outside Kelvin: to find it, its module is imported."""
    for place, text in texts({key: about.get(key) for key in ("run", "sampler")}):
        if OWN_PART.match(text):
            raise KelvinError(f"its {dotted(place)} = {excerpt(text)} is no part of Kelvin's, and "
                              "loading would run that code: where you trust it, allow it by "
                              "own_parts=True in Python, or --own-parts on the command line")


def texts(content: Any) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Every text in JSON content, with its place; no depth is too deep."""
    waiting: list[tuple[tuple[Any, ...], Any]] = [((), content)]
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, str):
            yield place, value
        items = value.items() if isinstance(value, Mapping) else \
            enumerate(value) if isinstance(value, list) else ()
        waiting += [((*place, key), item) for key, item in items]


def refuse_large(weights: Weights) -> None:
    """KelvinError for numbers beyond what can be computed, and for a network of another size than the
    file's tensors: it would be built before they are compared."""
    about = weights.about
    run = ModelConfig(**{key: value for key, value in about["run"].items()
                         if key in ModelConfig.model_fields})
    process = degradations.degradations.find(run.degradation.kind, "run.degradation")
    if faults := size_faults(run, "run", getattr(process, "temperature", None) == "hot"):
        raise KelvinError(one_line(faults))
    shape = Shape(*about["shape"])
    with torch.device("meta"):  # sizes alone: no memory
        network = networks.build(run.network.model_dump(), replace(shape, outputs=2)
                                 if run.restorer.variance == "learned" else shape, "run.network")
        network = networks.condition(run.conditioning.model_dump(), network, about["classes"],
                                     "run.conditioning")
    needed, there = (sum(tensor.numel() for tensor in tensors.values())
                     for tensors in (network.state_dict(), weights.network))
    if needed != there:
        raise KelvinError(f"its network holds {there:,} numbers, but as it is described it has "
                          f"{needed:,}: the file is damaged")


def refuse_other_process(images: Degraded, process: Mapping[str, str]) -> None:
    """KelvinError where other weights degraded the images, by another process; where z is of others."""
    if odd := [name for name in process if images.process.get(name) != process[name]]:
        theirs = images.process.get(odd[0], "unknown")
        raise KelvinError(f"these images were degraded by another process: its {odd[0]} is "
                          f"{theirs[:200]}, that of these weights is {process[odd[0]][:200]}")
    if images.z is not None and len(images.z) != len(images):
        raise KelvinError(f"{len(images)} images come with the z of {len(images.z)}: give what degrade "
                          "returned, whole")


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


def one_line(lines: Sequence[str]) -> str:
    """The first of several faults, and how many more there are."""
    first, more = lines[0], len(lines) - 1
    return f"{first} ({more} more fault{'s' * (more > 1)})" if more else first


def sentence(error: Exception, path: Path, about: Mapping[str, Any]) -> str:
    """What is wrong, in one line, with the file; of a wrong entry its key and what it should be."""
    lines = str(error).splitlines()
    for cause in (error, error.__cause__):
        if isinstance(cause, ValidationError):
            lines = sentences(cause.errors(include_url=False), dict(about["run"]),
                              lambda at: dotted(("run", *at)))
    line = one_line(lines)
    return line if str(path) in line else f"{path}: {line}"
