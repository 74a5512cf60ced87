"""Refuse an edit that does nothing: a value that a later layer masks in every active run."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kelvin.errors import KelvinError
from kelvin.trees import leaves

if TYPE_CHECKING:
    from kelvin.config.resolve import Params

Path_ = tuple[str, ...]


def committed(path: Path) -> dict[str, Any] | None:
    """params.yaml as of the last commit where it differs from the file; None where it does not, or
    without git, or before the first commit."""
    try:
        shown = subprocess.run(["git", "show", f"HEAD:./{path.name}"], cwd=path.resolve().parent,
                               capture_output=True, text=True)
    except FileNotFoundError:
        return None
    if shown.returncode != 0 or shown.stdout == path.read_text(encoding="utf-8"):
        return None
    from ruamel.yaml import YAML

    return YAML(typ="safe").load(shown.stdout)


def masking_layer(params: Params, run: str, place: str, key: Path_) -> str | None:
    """The later layer of a run in which `key`, written at `place`, is written again."""
    layers = params.layers(run)
    names = [name for name, _ in layers]
    for name, layer in layers[names.index(place) + 1:]:
        node: Any = layer
        for depth, part in enumerate(key):
            kind = node.get("kind") if isinstance(node, Mapping) else None
            if kind is not None and depth and kind != _kind_below(layers, name, key[:depth]):
                return f"{name}.{'.'.join(key[:depth])}.kind"  # another kind: replaced whole
            if not isinstance(node, Mapping) or part not in node:
                break
            node = node[part]
        else:
            return f"{name}.{'.'.join(key)}"
    return None


def _kind_below(layers: list[tuple[str, Any]], stop: str, key: Path_) -> Any:
    kind = None
    for name, layer in layers:
        if name == stop:
            return kind
        node: Any = layer
        for part in key:
            node = node.get(part, {}) if isinstance(node, Mapping) else {}
        kind = node.get("kind", kind) if isinstance(node, Mapping) else kind
    return kind


def refuse_masked(raw: Mapping[str, Any], params: Params, path: Path) -> None:
    """KelvinError for a value changed since the last commit that no active run would see."""
    old = committed(path)
    if old is None:
        return
    before = dict(leaves(old))
    changed = [key for key, value in leaves(raw) if key in before and before[key] != value
               or key not in before]
    house = params.house
    places = {("defaults",): "defaults",
              ("datasets", house.dataset, "run"): f"datasets.{house.dataset}.run",
              ("scales", house.scale, "run"): f"scales.{house.scale}.run"}
    places |= {("runs", run): f"runs.{run}" for run in house.active}
    for key in changed:
        for prefix, place in places.items():
            inner = key[len(prefix):]
            if key[:len(prefix)] != prefix or not inner or inner[0] == "scales":
                continue
            runs = [prefix[1]] if prefix[0] == "runs" else house.active
            masks = [masking_layer(params, run, place, inner) for run in runs]
            if all(masks):
                raise KelvinError(f"params.yaml: {'.'.join(key)} would change nothing, since "
                                  f"{masks[0]} is written over it; set that one instead")
    _refuse_masked_house(changed, raw, house)


def _refuse_masked_house(changed: list[Path_], raw: Mapping[str, Any], house: Any) -> None:
    """The same for `classifier` and `metrics`, whose layers are file < dataset < scale."""
    for key in changed:
        for section in ("classifier", "metrics"):
            above = [("datasets", house.dataset, section), ("scales", house.scale, section)]
            if key[:1] == (section,):
                inner, later = key[1:], above
            elif key[:3] == above[0]:
                inner, later = key[3:], above[1:]
            else:
                continue
            for prefix in later:
                place = (*prefix, *inner)
                if place in dict(leaves(raw)):
                    raise KelvinError(f"params.yaml: {'.'.join(key)} would change nothing, since "
                                      f"{'.'.join(place)} is written over it; set that one instead")
