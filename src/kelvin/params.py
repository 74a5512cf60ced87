"""params.yaml as typed, validated objects: what a run is after all layers are merged.

Layers, later wins: defaults < datasets.<dataset>.run < scales.<scale>.run < runs.<run>
< runs.<run>.scales.<scale>. A section with a `kind` is replaced whole by a layer that names another
kind, else merged key by key; a list is replaced.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from kelvin.errors import KelvinError
from kelvin.overrides import refuse_masked
from kelvin.registry import sentence
from kelvin.sections import (
    ClassifierConfig,
    Count,
    Images,
    Index,
    Kinded,
    Layer,
    MetricsConfig,
    Name,
    Pretrain,
    RunConfig,
    SamplingConfig,
    Section,
)

__all__ = ["ClassifierConfig", "House", "Images", "Kinded", "MetricsConfig", "Params", "Pretrain",
           "RunConfig", "SamplingConfig", "Study", "code_digest", "fingerprint", "load", "merge",
           "project_root", "read", "validated"]


class Study(Section):
    """A question the report answers from some of the runs."""

    title: str
    kind: Literal["schedules", "hyperparameters", "blur", "widths", "temperature", "steps",
                  "iterations", "metrics", "pretraining", "guidance", "comparison", "folds", "averaging",
                  "grid"]
    question: str
    runs: Annotated[list[Name], Field(min_length=1)]


class Record(Section):
    """A recorded study: which runs and seeds, and what it sets in params.yaml besides."""

    title: str
    folder: str
    runs: Literal["all"] | list[Name] | None
    studies: list[Name]
    replicates: Annotated[list[Index], Field(min_length=1)]
    set: Layer

    @model_validator(mode="after")
    def _runs(self) -> Record:
        if not self.runs and not self.studies:
            raise ValueError("runs or studies must name what is recorded")
        return self


class DatasetLayers(Section):
    images: Images
    classifier: Layer
    metrics: Layer
    run: Layer


class ScaleLayers(Section):
    classifier: Layer
    metrics: Layer
    run: Layer


class House(Section):
    """The file as it is written."""

    dataset: Name
    blend: Name
    scale: Name
    seed: Index
    threads: Count
    replicates: Annotated[list[Index], Field(min_length=1)]
    active: Annotated[list[Name], Field(min_length=1)]
    datasets: dict[Name, DatasetLayers]
    scales: dict[Name, ScaleLayers]
    classifier: Layer
    metrics: Layer
    defaults: Layer
    samplers: dict[Name, Kinded]
    runs: dict[Name, Layer]
    studies: dict[Name, Study]
    records: dict[Name, Record]

    @model_validator(mode="after")
    def _names(self) -> House:
        if self.blend == self.dataset:
            raise ValueError(f"blend and dataset both name {self.dataset!r}: morphing needs images of "
                             "another data set")
        for key, value, known in (("dataset", [self.dataset], self.datasets),
                                  ("blend", [self.blend], self.datasets),
                                  ("scale", [self.scale], self.scales),
                                  ("active", self.active, self.runs)):
            for name in value:
                if name not in known:
                    raise ValueError(f"{key} names {name!r}, which is not defined; known are "
                                     f"{', '.join(sorted(known))}")
        for study, entry in self.studies.items():
            for name in entry.runs:
                if name not in self.runs:
                    raise ValueError(f"studies.{study}.runs names {name!r}, which is not in runs")
        for record, entry in self.records.items():
            listed = [] if entry.runs == "all" else entry.runs or []
            for kind, names, known in (("runs", listed, self.runs),
                                       ("studies", entry.studies, self.studies)):
                if odd := [name for name in names if name not in known]:
                    raise ValueError(f"records.{record}.{kind} names {odd[0]!r}, which is not in {kind}")
        for key, names in (("active", self.active), ("replicates", self.replicates)):
            if len(set(names)) < len(names):
                raise ValueError(f"{key} names an entry twice")
        for name, run in self.runs.items():
            for scale in run.get("scales", {}):
                if scale not in self.scales:
                    raise ValueError(f"runs.{name}.scales names {scale!r}, which is not in scales")
        return self


def read(path: Path | str = "params.yaml") -> dict[str, Any]:
    """The file as plain Python (YAML 1.2, as DVC reads it: 1e-4 is a number)."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe").load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise KelvinError(f"{path} is not there: run from the project's root") from error
    except YAMLError as error:
        raise KelvinError(f"{path} is not YAML: {' '.join(str(error).split())}") from error


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` laid over `below`; a mapping that changes its `kind` replaces the one below."""
    out = dict(below)
    for key, value in above.items():
        old = out.get(key)
        if isinstance(value, Mapping) and isinstance(old, Mapping) \
                and value.get("kind", old.get("kind")) == old.get("kind"):
            out[key] = merge(old, value)
        else:
            out[key] = value
    return out


class Params:
    """A validated params.yaml and the configurations that it resolves to."""

    def __init__(self, raw: Mapping[str, Any]):
        self.house = validated(House, raw, "")
        h = self.house
        dataset, scale = h.datasets[h.dataset], h.scales[h.scale]
        self.images = dataset.images
        layers = {key: merge(merge(getattr(h, key), getattr(dataset, key)), getattr(scale, key))
                  for key in ("classifier", "metrics")}
        self.classifier = validated(ClassifierConfig, layers["classifier"], "classifier")
        self.metrics = validated(MetricsConfig, layers["metrics"], "metrics")
        self.runs = {name: self._run(name) for name in h.runs}

    def layers(self, name: str) -> list[tuple[str, Layer]]:
        """The layers of a run, lowest first, with the place each is written in."""
        h = self.house
        own = {key: value for key, value in h.runs[name].items() if key != "scales"}
        return [("defaults", h.defaults),
                (f"datasets.{h.dataset}.run", h.datasets[h.dataset].run),
                (f"scales.{h.scale}.run", h.scales[h.scale].run),
                (f"runs.{name}", own),
                (f"runs.{name}.scales.{h.scale}", h.runs[name].get("scales", {}).get(h.scale, {}))]

    def _run(self, name: str) -> RunConfig:
        merged: Layer = {}
        for _, layer in self.layers(name):
            merged = merge(merged, layer)
        run = validated(RunConfig, merged, f"runs.{name}")
        for sampler in [*run.sampling.samplers, run.sampling.epoch_sampler]:
            if sampler not in self.house.samplers:
                raise KelvinError(f"runs.{name}.sampling names the sampler {sampler!r}, which is not in "
                                  f"samplers; known are {', '.join(sorted(self.house.samplers))}")
        odd = set(run.sampling.restore_samplers or ()) - set(run.sampling.samplers)
        if odd:
            raise KelvinError(f"runs.{name}.sampling.restore_samplers names {sorted(odd)[0]!r}, which is "
                              f"not among its samplers: {', '.join(run.sampling.samplers)}")
        if run.pretrain and run.pretrain.dataset not in (None, *self.house.datasets):
            raise KelvinError(f"runs.{name}.pretrain.dataset = {run.pretrain.dataset!r} is not in "
                              f"datasets; known are {', '.join(sorted(self.house.datasets))}, and null "
                              "for the run's own")
        if run.training.batch > (run.training.images or run.training.batch):
            raise KelvinError(f"runs.{name}.training.batch = {run.training.batch} is more than "
                              f"training.images = {run.training.images}: no batch would be full")
        return run

    def run(self, name: str) -> RunConfig:
        if name not in self.runs:
            raise KelvinError(f"runs has no entry {name!r}; known are {', '.join(sorted(self.runs))}")
        return self.runs[name]

    def sampler(self, name: str) -> dict[str, Any]:
        return self.house.samplers[name].model_dump()

    def active(self) -> list[tuple[str, int]]:
        """Every (run, replicate) of this pipeline."""
        return [(run, r) for run in self.house.active for r in self.house.replicates]

    def folder(self, kind: str) -> Path:
        """data/<kind>/<dataset>."""
        return Path("data") / kind / self.house.dataset


def validated(model: type[BaseModel], raw: Any, where: str) -> Any:
    try:
        return model(**raw) if isinstance(raw, Mapping) else model.model_validate(raw)
    except ValidationError as error:
        raise KelvinError(f"params.yaml: {sentence(error, where)}") from error


def load(path: Path | str = "params.yaml") -> Params:
    """Read, validate, merge; refuses an edited value that a later layer masks in every run."""
    raw = read(path)
    params = Params(raw)
    refuse_masked(raw, params, Path(path))
    return params


def fingerprint(*parts: Any) -> str:
    """A short name for everything that decides a result: 16 hex digits of a SHA-256."""
    text = json.dumps(parts, sort_keys=True, default=lambda o: o.model_dump())
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def code_digest(*packages: str) -> str:
    """SHA-256 over the source files of sub-packages of kelvin, by name and content."""
    here, digest = Path(__file__).parent, hashlib.sha256()
    for package in packages:
        for file in sorted((here / package).rglob("*.py")) or [here / f"{package}.py"]:
            digest.update(str(file.relative_to(here)).encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


def project_root() -> Path:
    """The repository that owns scratch and tracking: DVC_ROOT under DVC (the parent repository of a
    queued experiment), else the working directory."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve()
