"""params.yaml as typed, validated objects: what a run is after all layers are merged.

Layers, later wins: defaults < datasets.<dataset>.run < scales.<scale>.run < what `like` names (its
own and its scales.<scale>) < runs.<run> < runs.<run>.scales.<scale>. A section with a `kind` is
replaced whole by a layer that names another kind, else merged key by key; a list is replaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kelvin.config.layers import merge
from kelvin.config.schema import (
    ClassifierConfig,
    House,
    Layer,
    MetricsConfig,
    RunConfig,
    RunLayers,
    validated,
)
from kelvin.config.settle import settled, settled_run
from kelvin.errors import KelvinError
from kelvin.overrides import refuse_masked


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


def lineage(name: str, runs: Mapping[str, RunLayers]) -> list[str]:
    """The run and what it is like, eldest first: at most two links of `like`, so three names.

    KelvinError for an unknown name, a cycle or a longer chain.
    """
    names = [name]
    while (parent := runs[names[-1]].like) is not None:
        key = f"runs.{names[-1]}.like = {parent!r}"
        if parent not in runs:
            raise KelvinError(f"{key} is not in runs; known are {', '.join(sorted(runs))}")
        if parent in names:
            raise KelvinError(f"{key} closes a circle: {' -> '.join([*names, parent])}; write one of "
                              "these runs out")
        if len(names) == 3:
            raise KelvinError(f"{key} is a third link: {' -> '.join([*names, parent])}; at most two are "
                              f"followed, so let {name} name {names[2]} or {parent}")
        names.append(parent)
    return names[::-1]


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
        layers = [("defaults", h.defaults),
                  (f"datasets.{h.dataset}.run", h.datasets[h.dataset].run),
                  (f"scales.{h.scale}.run", h.scales[h.scale].run)]
        for entry in lineage(name, h.runs):
            layers += [(f"runs.{entry}", h.runs[entry].own),
                       (f"runs.{entry}.scales.{h.scale}", h.runs[entry].scales.get(h.scale, {}))]
        return layers

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

    def settle(self, manifest: Mapping[str, Any]) -> None:
        """Fill in what the prepared store's manifest tells: see kelvin.config.settle."""
        self.metrics, self.classifier = settled(self.metrics, self.classifier, manifest["sizes"],
                                                manifest["image_shape"], len(manifest["classes"]))
        self.runs = {name: settled_run(run, self.metrics, manifest["sizes"])
                     for name, run in self.runs.items()}

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


def load(path: Path | str = "params.yaml") -> Params:
    """Read, validate, merge; refuses an edited value that a later layer masks in every run."""
    raw = read(path)
    params = Params(raw)
    refuse_masked(raw, params, Path(path))
    return params
