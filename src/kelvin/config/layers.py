"""One layer of params.yaml laid over another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Layers = list[tuple[str, Mapping[str, Any]]]  # (the place in params.yaml, the tree), lowest first


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
