"""Arguments of calls from outside: a KelvinError of one sentence for what they may not be."""

from __future__ import annotations

import math
import tempfile
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from kelvin.common.errors import KelvinError

MOST_SEED, MOST_SIDE = 2**31 - 1, 4096  # of a seed, and of pixels along a side: as in params.yaml


def shown(value: Any) -> str:
    """A value in one line of at most 60 characters, for a sentence about it."""
    try:
        return " ".join(repr(value).split())[:60]
    except ValueError:  # Python writes no number of thousands of digits
        return f"a huge {type(value).__name__}"


def whole_number(name: str, value: Any, least: int, most: int) -> int:
    """The value as an int in least..most; no bool, no float."""
    if isinstance(value, bool) or not isinstance(value, Integral) or not least <= int(value) <= most:
        raise KelvinError(f"{name} = {shown(value)} should be a whole number from {least:,} to "
                          f"{most:,}")
    return int(value)


def seed(value: Any) -> int:
    return whole_number("seed", value, 0, MOST_SEED)


def finite_number(name: str, value: Any) -> float:
    """The value as a float; no bool."""
    try:
        if isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    except OverflowError:  # a whole number beyond all floats
        pass
    raise KelvinError(f"{name} = {shown(value)} should be a finite number")


def place_of_file(name: str, path: Path) -> None:
    """KelvinError, before any work, where no file can be written: its folder is not there or takes none,
    a folder has its name, or a link there leads nowhere."""
    if not path.parent.is_dir():
        raise KelvinError(f"{name}: the folder {path.parent} is not there; make it first")
    if path.is_dir():
        raise KelvinError(f"{name} is a folder; name a file in it")
    if path.is_symlink() and not path.exists():
        raise KelvinError(f"{name} is a link to what is not there; remove it first")
    place_of_files(name, path.parent)


def place_of_files(name: str, folder: Path) -> None:
    """KelvinError where a folder, or what it would be made in, takes no files."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise KelvinError(f"{name}: {folder} is a file, and a folder is needed")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise KelvinError(f"{name}: nothing can be written in {folder} ({error.strerror})") from error
