"""Grids of runs: a record varies keys of its runs, and each point of the grid is a run of its own.

`records.tuning.vary: {training.lr: [2.0e-3, 4.0e-3]}` makes of the run `noise` the runs `noise_lr-2e-3`
and `noise_lr-4e-3`: each is the run with those values laid over all its layers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from math import prod
from typing import Any

from kelvin.common.errors import KelvinError

KEY = re.compile(r"[a-z][a-z_]*(\.[A-Za-z][\w-]*)*")
OWN = ("title", "like", "scales", "source", "path")  # what names a point of a grid, or its images
MOST = 500  # points of one record


@dataclass(frozen=True)
class Variant:
    """A point of a grid: the run it is of, the record that varies it, and its values by dotted key."""

    run: str
    record: str
    values: Mapping[str, Any]

    @property
    def layer(self) -> dict[str, Any]:
        """The values as a layer of params.yaml."""
        out: dict[str, Any] = {}
        for key, value in self.values.items():
            *above, last = key.split(".")
            node = out
            for part in above:
                node = node.setdefault(part, {})
            node[last] = value
        return out

    @property
    def words(self) -> str:
        """What varies, for a title: "lr 0.004, epochs 140"."""
        labels = short_names(list(self.values))
        return ", ".join(f"{labels[key]} {value if isinstance(value, str) else f'{value:g}'}"
                         for key, value in self.values.items())


def check(vary: Mapping[str, Sequence[Any]]) -> None:
    """ValueError for keys that cannot vary, and values that make no name."""
    for key, values in vary.items():
        if not KEY.fullmatch(key) or key in OWN:
            raise ValueError(f"{key!r} cannot vary; write a key of a run by dots, as training.lr")
        words = [word(value) for value in values]
        if not words or len(set(words)) < len(words):
            raise ValueError(f"{key} should list values, each once")
    for key in vary:
        if any(other.startswith(f"{key}.") for other in vary):
            raise ValueError(f"{key} varies as a whole and in part; name one of them")


def word(value: Any) -> str:
    """A value as part of a name, of letters, digits and -: 0.004 is 4e-3, 0.995 is 995e-3, 1120 itself,
    linear+ is linear-plus.

    ValueError for what is neither a number nor a word.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        number = Decimal(repr(value)).normalize()
        digits, exponent = number.as_tuple().digits, number.as_tuple().exponent
        text = "".join(map(str, digits))
        return f"{'-' * (value < 0)}{text}" + (f"e{exponent}" if exponent else "")
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*\+?", value):
        return value.replace("+", "-plus")  # a target is named linear+
    raise ValueError(f"{value!r} is neither a number nor a word of letters, digits and -")


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """{key: its last part}, or all of its parts where two keys end alike."""
    last = [key.rpartition(".")[2] for key in keys]
    return {key: end if last.count(end) == 1 else key.replace(".", "-")
            for key, end in zip(keys, last, strict=True)}


def points(record: str, runs: Sequence[str], vary: Mapping[str, Sequence[Any]]) -> dict[str, Variant]:
    """{name: point} of a record's grid, the last key fastest; KelvinError where it is too large."""
    count = prod(len(values) for values in vary.values()) * len(runs)
    if count > MOST:  # counted before any is made
        raise KelvinError(f"records.{record}.vary makes {count:,} runs; at most {MOST} are one record: "
                          "divide it")
    labels, grid = short_names(list(vary)), list(product(*vary.values()))
    out = {}
    for run in runs:
        for values in grid:
            named = dict(zip(vary, values, strict=True))
            name = "_".join([run, *(f"{labels[key]}-{word(value)}" for key, value in named.items())])
            out[name] = Variant(run, record, named)
    return out
