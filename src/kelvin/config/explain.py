"""Where the values of a run come from: each with the layer that wrote it last."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from kelvin.common.trees import Key, leaves
from kelvin.config.layers import merge

if TYPE_CHECKING:
    from kelvin.config.resolve import Params

BUILT_IN = "built in"  # in no layer: the default of the type
WIDTH = 48  # characters of a value at most


class Row(NamedTuple):
    """One value of a resolved run: its dotted key, the value, the place in params.yaml it is from."""

    key: str
    value: Any
    place: str


@dataclass(frozen=True)
class Placed:
    """A value and the place it is written in; two are equal where the values are."""

    value: Any
    place: str = field(compare=False)


def places(layers: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[Key, str]:
    """{path: the layer that its value comes from} of layers (place, tree), lowest first."""
    merged: dict[str, Any] = {}
    for place, layer in layers:
        merged = merge(merged, _marked(layer, place))
    return {path: value.place for path, value in leaves(merged)}


def _marked(tree: Any, place: str) -> Any:
    if isinstance(tree, Mapping):
        return {key: _marked(value, place) for key, value in tree.items()}
    return Placed(tree, place)


def explain(params: Params, name: str) -> list[Row]:
    """Every value of a run, all layers merged, with the place of each; KelvinError for an unknown run."""
    resolved, written = params.run(name).model_dump(), places(params.layers(name))
    return [Row(".".join(path), value, written.get(path, BUILT_IN)) for path, value in leaves(resolved)]


def short(value: Any, width: int = WIDTH) -> str:
    """A value as YAML would show it in one line, cut to `width` characters."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= width else f"{text[:width - 3]}..."


def text(rows: list[Row]) -> str:
    """Rows as aligned columns: key, value, place."""
    cells = [(row.key, short(row.value), row.place) for row in rows]
    keys, values = (max(len(cell[i]) for cell in cells) for i in (0, 1))
    return "\n".join(f"{key:<{keys}}  {value:<{values}}  {place}" for key, value, place in cells)
