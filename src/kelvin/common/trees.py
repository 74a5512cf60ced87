"""Nested mappings as paths and values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Key = tuple[str, ...]


def leaves(tree: Any, at: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Every (path, value) of a nested mapping; lists are values."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from leaves(value, (*at, str(key)))
    else:
        yield at, tree
