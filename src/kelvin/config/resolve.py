"""params.yaml as typed, validated objects: what a run is after all layers are merged.

Layers, later wins: defaults < datasets.<dataset>.run < scales.<scale>.run < what `like` names (its
own and its scales.<scale>) < runs.<run> < runs.<run>.scales.<scale>. A section with a `kind` is
replaced whole by a layer that names another kind, else merged key by key; a list is replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from kelvin.artifacts.folders import DatasetFolders
from kelvin.common.errors import KelvinError
from kelvin.config.entries import House, RunLayers
from kelvin.config.explain import places
from kelvin.config.layers import Layers, merge
from kelvin.config.schema import ClassifierConfig, MetricsConfig, RunConfig
from kelvin.config.sentences import Place, choices, dotted, sentences
from kelvin.config.vary import Variant
from kelvin.config.written import house, variants

DEEPEST = 20  # levels of params.yaml; a value that anybody would write has six
PROTOCOL: tuple[tuple[str, type[BaseModel]], ...] = (("classifier", ClassifierConfig),
                                                     ("metrics", MetricsConfig))


def read(path: Path | str = "params.yaml") -> dict[str, Any]:
    """The file as plain Python (YAML 1.2, as DVC reads it: 1e-4 is a number)."""
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import DuplicateKeyError
    from ruamel.yaml.error import YAMLError

    try:
        return without_circles(YAML(typ="safe").load(Path(path).read_text(encoding="utf-8")), str(path))
    except KelvinError:
        raise
    except RecursionError as error:
        raise KelvinError(f"{path} is nested more than {DEEPEST} levels deep") from error
    except FileNotFoundError as error:
        raise KelvinError(f"{path} is not there: run from the project's root") from error
    except UnicodeDecodeError as error:
        raise KelvinError(f"{path} is not UTF-8: byte {error.object[error.start]:#04x} at position "
                          f"{error.start}; save it as UTF-8") from error
    except DuplicateKeyError as error:
        key = error.problem.partition('key "')[2].partition('"')[0]
        raise KelvinError(f"{path} has the key {key!r} twice, again in line "
                          f"{error.problem_mark.line + 1}; keep one of them") from error
    except (YAMLError, ValueError) as error:
        raise KelvinError(f"{path} is not YAML: {' '.join(str(error).split())}") from error


def without_circles(loaded: Any, path: str) -> Any:
    """What was loaded; KelvinError where an anchor holds itself, or where it is nested without end."""
    above: list[int] = []

    def walk(value: Any, key: tuple[Any, ...]) -> None:
        if not isinstance(value, (dict, list)):
            return
        if id(value) in above:
            raise KelvinError(f"{path}: {dotted(key)} is an alias of what it stands in, without end; "
                              "write its values out")
        if len(key) > DEEPEST:
            raise KelvinError(f"{path}: {dotted(key[:4])} is nested more than {DEEPEST} levels deep")
        above.append(id(value))
        for name, part in value.items() if isinstance(value, dict) else enumerate(value):
            walk(part, (*key, name))
        above.pop()

    walk(loaded, ())
    return loaded


def lineage(name: str, runs: Mapping[str, RunLayers]) -> list[str]:
    """The run and what it is like, eldest first: at most two links of `like`, so three names.

    KelvinError for an unknown name, a cycle or a longer chain.
    """
    names = [name]
    while (parent := runs[names[-1]].like) is not None:
        key = f"runs.{names[-1]}.like = {parent!r}"
        if parent not in runs:
            raise KelvinError(f"{key} is not in runs; known are {choices(parent, runs)}")
        if parent in names:
            raise KelvinError(f"{key} closes a circle: {' -> '.join([*names, parent])}; write one of "
                              "these runs out")
        if len(names) == 3:
            raise KelvinError(f"{key} is a third link: {' -> '.join([*names, parent])}; at most two are "
                              f"followed, so let {name} name {names[2]} or {parent}")
        names.append(parent)
    return names[::-1]


def refusal(lines: list[str]) -> KelvinError:
    """Every fault in one error: a line each, none twice."""
    return KelvinError("params.yaml: " + "\n".join(dict.fromkeys(lines)))


class Params:
    """A validated params.yaml and the configurations that it resolves to."""

    house: House
    classifier: ClassifierConfig
    metrics: MetricsConfig
    runs: dict[str, RunConfig]  # those of `runs`, and the active ones of the records' grids
    variants: dict[str, Variant]

    def __init__(self, raw: Mapping[str, Any], faults: list[str] | None = None) -> None:
        """faults: gets a line for each fault, and what is wrong is left out of this object; without it,
        and where nothing can be resolved, KelvinError."""
        lines: list[str] = [] if faults is None else faults
        whole = house(raw, lines)
        if whole is None:
            raise refusal(lines)
        self.house, self.images = whole, whole.datasets[whole.dataset].images
        self.variants = variants(whole, [])  # `house` lists what is wrong with them
        # a wrong entry is left out: it must not be reported again as missing
        self.left_out = {key: set(raw[key]) - set(getattr(whole, key))
                         for key in ("runs", "samplers", "datasets")}
        for key, model in PROTOCOL:
            config, wrong, odd = validated_layers(model, self.protocol_layers(key), key)
            setattr(self, key, config)
            lines += wrong + odd
        self.runs, odd = {}, {}
        for name in (*whole.runs, *self.variants):
            run, wrong, together = self.resolved(name, whole.scale)
            # a wrong link of `like` is one fault, not one of every run above it
            links = {line.partition(" = ")[0] for line in lines if ".like = " in line}
            lines += [line for line in wrong if line.partition(" = ")[0] not in links]
            odd[name] = self.lasting(name, together, lambda scale, n=name: self.resolved(n, scale)[2])
            if run is not None and (name in whole.runs or name in whole.active):
                self.runs[name] = run
        lines += self.by_cause(odd)
        if faults is not None:
            lines += self.unread()
        if lines and faults is None:
            raise refusal(lines)

    def protocol_layers(self, key: str) -> Layers:
        """The layers of `classifier` or `metrics`, lowest first."""
        h = self.house
        return [(key, getattr(h, key)),
                (f"datasets.{h.dataset}.{key}", getattr(h.datasets[h.dataset], key)),
                (f"scales.{h.scale}.{key}", getattr(h.scales[h.scale], key))]

    def unread(self) -> list[str]:
        """Values that mean nothing where another layer stands above them, or in layers of other data sets
        and scales: each is read by itself once."""
        h, lines, visited = self.house, [], set()
        upper = [(f"{key}.{name}", entry) for key in ("datasets", "scales")
                 for name, entry in getattr(h, key).items()]
        stacks: list[tuple[type[BaseModel], str, Layers]] = [
            (model, key, [(key, getattr(h, key)), (f"{place}.{key}", getattr(entry, key))])
            for key, model in PROTOCOL for place, entry in upper]
        stacks += [(RunConfig, "defaults", [("defaults", h.defaults), (f"{place}.run", entry.run)])
                   for place, entry in upper]
        for name in h.runs:
            for scale in h.scales:
                with suppress(KelvinError):  # a wrong link of `like` was told
                    stacks.append((RunConfig, f"runs.{name}", self.layers(name, scale)))
        for model, where, layers in stacks:
            for end in range(1, len(layers) + 1):
                places_of = (where.partition(".")[0], *(place for place, _ in layers[:end]))
                if places_of not in visited:
                    visited.add(places_of)
                    lines += validated_layers(model, layers[:end], where)[1]
        return [line for line in lines if not line.endswith(" is missing")]

    def layers(self, name: str, scale: str | None = None) -> Layers:
        """The layers of a run, lowest first, with the place each is written in."""
        h, scale = self.house, scale or self.house.scale
        if point := self.variants.get(name):
            below = self.layers(point.run, scale)
            title = next((layer["title"] for _, layer in reversed(below) if "title" in layer), point.run)
            return [*below, (f"records.{point.record}.vary", point.layer),
                    (f"records.{point.record}.title", {"title": f"{title}, {point.words}"})]
        layers = [("defaults", h.defaults),
                  (f"datasets.{h.dataset}.run", h.datasets[h.dataset].run),
                  (f"scales.{scale}.run", h.scales[scale].run)]
        for entry in lineage(name, h.runs):
            layers += [(f"runs.{entry}", h.runs[entry].own),
                       (f"runs.{entry}.scales.{scale}", h.runs[entry].scales.get(scale, {}))]
        return layers

    def resolved(self, name: str, scale: str) -> tuple[RunConfig | None, list[str], list[str]]:
        """The run at a scale, or None; values that mean nothing, and values that do not go together."""
        try:
            layers = self.layers(name, scale)
        except KelvinError as error:
            absent = any(f".like = {parent!r} is" in str(error) for parent in self.left_out["runs"])
            return None, [] if absent else [str(error)], []
        run, wrong, odd = validated_layers(RunConfig, layers, f"runs.{name}")
        return run, wrong, odd if run is None else self._names(name, run)

    def _names(self, name: str, run: RunConfig) -> list[str]:
        """What the run names that is not there, and a batch that nothing fills."""
        h, at = self.house, f"runs.{name}"
        samplers = run.sampling.samplers
        samplers = h.every if samplers == "every" else samplers
        lines = [f"{at}.sampling names the sampler {sampler!r}, which is not in samplers; known are "
                 f"{choices(sampler, h.samplers)}"
                 for sampler in dict.fromkeys([*samplers, run.sampling.epoch_sampler])
                 if sampler not in {*h.samplers, *self.left_out["samplers"]}]
        lines += [f"{at}.sampling.restore_samplers names {sampler!r}, which is not among its samplers: "
                  f"{', '.join(samplers)}"
                  for sampler in run.sampling.restore_samplers or () if sampler not in samplers]
        if run.pretrain and run.pretrain.dataset not in (None, *h.datasets, *self.left_out["datasets"]):
            lines.append(f"{at}.pretrain.dataset = {run.pretrain.dataset!r} is not in datasets; known "
                         f"are {choices(run.pretrain.dataset, h.datasets)}, and null for the run's own")
        images = run.training.images or run.training.batch
        if run.training.batch > images and run.source == "train":
            lines.append(f"{at}.training.batch = {run.training.batch} is more than training.images = "
                         f"{run.training.images}: no batch would be full")
        return lines

    def lasting(self, name: str, lines: list[str], lines_at: Callable[[str], list[str]]) -> list[str]:
        """The faults that count of values that do not go together: of an inactive run those that it has
        at every scale, since an edit of one scale is not refused because of runs that nobody makes."""
        if name in self.house.active or not lines:
            return lines
        keys = set.intersection(*({line.partition(" ")[0] for line in lines_at(scale)}
                                  for scale in self.house.scales))
        return [line for line in lines if line.partition(" ")[0] in keys]

    def by_cause(self, faults: Mapping[str, list[str]]) -> list[str]:
        """The faults of all runs; a fault that several runs have from one place is one line."""
        causes: dict[tuple[str, str], list[str]] = {}
        for name, lines in faults.items():
            written = places(self.layers(name)) if lines else {}
            for line in dict.fromkeys(lines):
                key = line.partition(" ")[0].removeprefix(f"runs.{name}.")
                path = tuple(key.split("."))
                place = written.get(path, written.get((*path, "kind"), ""))
                causes.setdefault((place, key), []).append(line)
        return [line if len(set(lines)) == 1 else f"{line} (and so for {len(lines) - 1} more "
                f"run{'s' * (len(lines) > 2)})" for (line, *_), lines in
                ((lines, lines) for lines in causes.values())]

    def run(self, name: str) -> RunConfig:
        if name in self.variants and name not in self.runs:
            run, wrong, odd = self.resolved(name, self.house.scale)
            if run is None:
                raise refusal(wrong + odd)
            return run
        if name not in self.runs:
            raise KelvinError(f"runs has no entry {name!r}; known are {choices(name, self.runs)}")
        return self.runs[name]

    def sampler(self, name: str) -> dict[str, Any]:
        return self.house.samplers[name].model_dump()

    def active(self) -> list[tuple[str, int]]:
        """Every (run, replicate) of this pipeline."""
        return [(run, r) for run in self.house.active for r in self.house.replicates]

    @property
    def folders(self) -> DatasetFolders:
        return DatasetFolders(self.house.dataset)


def validated_layers(model: type[BaseModel], layers: Layers, where: str
                     ) -> tuple[Any, list[str], list[str]]:
    """The layers merged, as a `model`, or None; values that mean nothing, named by the layer that wrote
    them, and values that do not go together."""
    merged: dict[str, Any] = {}
    for _, layer in layers:
        merged = merge(merged, layer)
    try:
        return model.model_validate(merged), [], []
    except ValidationError as error:
        written, complaints = places(layers), error.errors(include_url=False)
        # of a section as a whole: what its parts are is right, but not together
        wrong, odd = (sentences([c for c in complaints
                                 if (c["type"] == "value_error" and isinstance(c["input"], Mapping))
                                 == together], merged, lambda at: origin(at, written, where))
                      for together in (False, True))
        return None, wrong, odd


def origin(at: Place, written: Mapping[tuple[str, ...], str], where: str) -> str:
    """The key of the layer that a value is written in; `where` for what no layer writes."""
    parts = tuple(str(part) for part in at)
    for end in range(len(parts), 0, -1):
        if parts[:end] in written:
            return f"{written[parts[:end]]}.{dotted(at)}"
    return f"{where}.{dotted(at)}".rstrip(".")


def load(path: Path | str = "params.yaml") -> Params:
    """Read, validate, merge; KelvinError with a line for every fault."""
    return Params(read(path))
