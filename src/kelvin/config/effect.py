"""Refuse an edit that does nothing, judged by its effect: no stage would read another value."""

from __future__ import annotations

import copy
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kelvin.common.errors import KelvinError
from kelvin.common.trees import Key, leaves
from kelvin.config.explain import places
from kelvin.config.layers import Layers
from kelvin.config.resolve import Params

Compared = Callable[[Params], Any]
MISSING = object()


def stage_values(params: Params) -> dict[str, Any]:
    """All that the stages and the report read of a params.yaml."""
    h = params.house
    runs = {name: params.run(name) for name in h.active}
    sources = {run.pretrain.dataset for run in runs.values() if run.pretrain}
    samplers = {name for run in runs.values()
                for name in (*(h.every if run.sampling.samplers == "every" else run.sampling.samplers),
                             run.sampling.epoch_sampler)}
    data = {h.dataset, h.blend} | (sources - {None})
    return {"house": [h.dataset, h.blend, h.scale, h.seed, h.threads, h.replicates, list(runs)],
            "runs": runs, "classifier": params.classifier, "metrics": params.metrics,
            "images": {name: h.datasets[name].images for name in sorted(data)},
            "samplers": {name: h.samplers[name] for name in sorted(samplers)},
            "every": h.every if any(run.sampling.samplers == "every" for run in runs.values()) else [],
            "studies": h.studies, "records": h.records}


def committed(path: Path) -> dict[str, Any] | None:
    """params.yaml as of the last commit where it differs from the file; None where it does not, or
    without git, or before the first commit."""
    try:
        result = subprocess.run(["git", "show", f"HEAD:./{path.name}"], cwd=path.resolve().parent,
                                capture_output=True, text=True, encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    if result.returncode != 0 or result.stdout == path.read_text(encoding="utf-8"):
        return None
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe").load(result.stdout)
    except YAMLError:  # the commit is at fault, not the edit
        return None


def refuse_idle_edit(path: Path, raw: Mapping[str, Any], params: Params,
                     compared: Compared = stage_values) -> None:
    """KelvinError where the file was edited since the last commit and no stage would notice."""
    before = committed(path)
    if before is not None:
        refuse_idle(before, raw, params, compared)


def refuse_idle(before: Mapping[str, Any], after: Mapping[str, Any], params: Params,
                compared: Compared = stage_values) -> None:
    """KelvinError where the edits from `before` to `after` change nothing that is compared.

    params: of `after`. Where they change something together, an edit is still refused if a later layer is
    written over it wherever it is read and taking it back changes nothing; but not one of a data set,
    whose entry is written for every scale.
    """
    edited = list(edits(before, after))
    if not edited:
        return
    now = compared(params)
    if values(before, compared) == now:
        raise KelvinError(f"params.yaml: {'.'.join(edited[0])} would change nothing, since "
                          f"{why(params, edited[0])}")
    for edit in edited:
        if edit[0] != "datasets" and (mask := later(params, edit)) \
                and values(reverted(before, after, edit), compared) == now:
            raise KelvinError(f"params.yaml: {'.'.join(edit)} would change nothing, since {mask} is "
                              "written over it; set that one instead")


def values(raw: Mapping[str, Any], compared: Compared) -> Any:
    """What is compared of a file; None of one that is refused."""
    try:
        return compared(Params(raw))
    except KelvinError:
        return None


def edits(before: Any, after: Any, at: Key = ()) -> Iterator[Key]:
    """Paths of what was changed, added or removed, each as high up as it is wholly new or gone."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in [*after, *(key for key in before if key not in after)]:
            yield from edits(before.get(key, MISSING), after.get(key, MISSING), (*at, str(key)))
    elif before is MISSING or after is MISSING or before != after or type(before) is not type(after):
        yield at


def reverted(before: Any, after: Any, edit: Key) -> dict[str, Any]:
    """`after` with one edit taken back."""
    out = copy.deepcopy(after)
    node, old = out, before
    for key in edit[:-1]:
        node, old = node[key], old[key]
    if edit[-1] in old:
        node[edit[-1]] = old[edit[-1]]
    else:
        del node[edit[-1]]
    return out


def stacks(params: Params) -> list[Layers]:
    """The layers of everything that is resolved: active runs, classifier, metrics."""
    return [*map(params.layers, params.house.active),
            *map(params.protocol_layers, ("classifier", "metrics"))]


def later(params: Params, edit: Key) -> str | None:
    """The key that is written over an edit wherever it is read; None where it is not, or is not read."""
    masks = []
    for layers in stacks(params):
        written = places(layers)
        for place, layer in layers:
            prefix = tuple(place.split("."))
            inner = edit[len(prefix):]
            if edit[:len(prefix)] != prefix or not inner or inner[0] in ("scales", "like"):
                continue
            paths = [path for path, _ in leaves(layer) if path[:len(inner)] == inner]
            over = [mask(written, path, place) for path in paths]
            masks.append(over[0] if over and all(over) else None)
    return Counter(masks).most_common(1)[0][0] if masks and all(masks) else None


def mask(written: Mapping[Key, str], path: Key, place: str) -> str | None:
    """The key of a later layer that holds instead of `path` of `place`; None where that holds."""
    for end in range(len(path), 0, -1):
        for key in (path[:end], (*path[:end], "kind")):  # another kind replaces a section whole
            if key in written:
                return None if written[key] == place else f"{written[key]}.{'.'.join(key)}"
    return None


def why(params: Params, edit: Key) -> str:
    """Why an edit does nothing, and what would."""
    h = params.house
    if over := later(params, edit):
        return f"{over} is written over it; set that one instead"
    section, entry = edit[0], edit[1] if len(edit) > 1 else ""
    scale = entry if section == "scales" else edit[3] if section == "runs" and edit[2:3] == ("scales",) \
        and len(edit) > 3 else h.scale
    if scale != h.scale:
        return f"scale is {h.scale}; set scale={scale} with it"
    if section == "runs" and entry not in h.active:
        return f"{entry} is not in active; name it there"
    if section == "datasets" and entry not in (h.dataset, h.blend):
        return f"dataset is {h.dataset}; set dataset={entry} with it"
    if section == "samplers":
        return "no active run draws with it; name it in a run's sampling.samplers"
    return "no stage reads another value because of it"
