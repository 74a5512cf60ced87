"""Which images show the same physical object: by folder, by file-name pattern, from a CSV, by blocks.

A rule is an entry `groups` of a data set in params.yaml:

- null: every image is its own group (nothing is known);
- folder: the folder that an image lies in, below the split folders, is one object;
- {pattern: "regex"}: what the parentheses catch in the path below the split folder, together;
- {csv: file.csv}: a table with the columns file and group, beside or in the data or the working folder;
- {blocks: n}: n contiguous blocks of the source, for sources that are ordered by object.
"""

import re
import unicodedata
from collections.abc import Hashable, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from kelvin.common.errors import KelvinError
from kelvin.datasets.sources.archives import Tree, printable
from kelvin.datasets.sources.tables import read_table


def block_groups(n: int, rule: Any) -> np.ndarray:
    """int64 (n,) for a source whose images have no file names: null or {blocks: count}."""
    if rule is None:
        return np.arange(n, dtype=np.int64)
    if not (isinstance(rule, dict) and "blocks" in rule):
        raise KelvinError(
            f"groups: {rule!r} goes by file names, which only source: folder has; "
            "use {blocks: n} or null"
        )
    blocks = rule["blocks"]
    if not isinstance(blocks, int) or not 1 <= blocks <= n:
        raise KelvinError(f"groups: blocks = {blocks!r} of {n} images; choose 1 to {n}")
    return np.arange(n, dtype=np.int64) * blocks // n


def file_groups(files: Sequence[str], inside: Sequence[str], rule: Any, tree: Tree) -> np.ndarray:
    """int64 (n,), numbered as they first appear.

    files: names in the tree; inside: the same below their split folder, so that one object's images
    agree in both parts; tree: in which, and beside which, a CSV is looked for.
    """
    if rule is None or isinstance(rule, dict) and "blocks" in rule:
        return block_groups(len(files), rule)
    if rule == "folder":
        keys = [_folder(name) for name in inside]
    elif isinstance(rule, dict) and len(rule) == 1 and "pattern" in rule:
        keys = _by_pattern(inside, rule["pattern"])
    elif isinstance(rule, dict) and len(rule) == 1 and "csv" in rule:
        keys = _by_table(files, inside, rule["csv"], tree)
    else:
        raise KelvinError(
            f"groups: {rule!r} is unknown; choose null, folder, {{pattern: ...}}, {{csv: ...}} or "
            "{blocks: n}"
        )
    number: dict[Hashable, int] = {}
    return np.array([number.setdefault(key, len(number)) for key in keys], np.int64)


def _folder(name: str) -> str:
    parent = PurePosixPath(name).parent.as_posix()
    if parent == ".":
        raise KelvinError(
            f"groups: folder, but {printable(name)!r} lies in no folder of its own; "
            "use {pattern: ...}, {csv: ...} or null"
        )
    return parent


def _by_pattern(inside: Sequence[str], pattern: Any) -> list[tuple[str, ...]]:
    try:
        compiled = re.compile(unicodedata.normalize("NFC", pattern))  # as `inside` is
    except (re.error, TypeError) as error:
        raise KelvinError(f"groups: pattern {pattern!r} is no regular expression ({error})") from error
    if not compiled.groups:
        raise KelvinError(
            f"groups: pattern {pattern!r} has no parentheses; put them round what names the object"
        )
    matches = [compiled.search(name) for name in inside]
    keys = [None if match is None or None in match.groups() else match.groups() for match in matches]
    _refuse_missing(inside, keys, f"pattern {pattern!r} finds no object in")
    return keys


def _by_table(files: Sequence[str], inside: Sequence[str], table: Any, tree: Tree) -> list[str]:
    group_table = read_table(table, tree, "group", "groups")
    rows = group_table.find({name: (name, part) for name, part in zip(files, inside, strict=True)})
    keys = [group_table.values[rows[name]] if name in rows else None for name in files]
    _refuse_missing(files, keys, f"{group_table.place} has no row for")
    return keys


def _refuse_missing(names: Sequence[str], keys: Sequence, what: str) -> None:
    missing = [name for name, key in zip(names, keys, strict=True) if key is None]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise KelvinError(f"groups: {what} {printable(missing[0])!r}{more}; every image needs a group")
