"""Arguments of calls from outside: a KelvinError of one sentence for what they may not be."""

from __future__ import annotations

import math
import os
import tempfile
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from kelvin.common.errors import LONGEST, KelvinError

MOST_SEED, MOST_SIDE = 2**31 - 1, 4096  # of a seed, and of pixels along a side: as in params.yaml


def shown(value: Any, letters: int = 60) -> str:
    """A value on one line, and no longer than so many letters, for a sentence about it."""
    try:
        return " ".join(repr(value).split())[:letters]
    except ValueError:  # Python writes no number of thousands of digits
        return f"a huge {type(value).__name__}"


def whole_number(name: str, value: Any, least: int, most: int) -> int:
    """The value as an int in least..most; no bool, no float."""
    if isinstance(value, bool) or not isinstance(value, Integral) or not least <= int(value) <= most:
        raise KelvinError(f"{name} = {shown(value)} should be a whole number from {least:,} to {most:,}")
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


def path_of(name: str, value: Any) -> Path:
    """The value as a path, whether or not anything is there.

    KelvinError where it is neither a str nor a Path, is empty, or is what the system takes for no path:
    too long, with a NUL byte, in a folder that may not be entered.
    """
    if not isinstance(value, (str, Path)):
        raise KelvinError(f"{name} = {shown(value)} is of type {type(value).__name__}; give a path")
    if not str(value):
        raise KelvinError(f"{name} is an empty path; name a file or folder")
    _refuse_unreachable(f"{name} = {shown(str(value), LONGEST)}", Path(value))
    return Path(value)


def _refuse_unreachable(name: str, place: Path) -> None:
    """KelvinError where the system does not even look whether something is there."""
    try:
        os.stat(place)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:  # ValueError: a NUL byte, or letters that no file name has
        why = error.strerror if isinstance(error, OSError) else error
        raise KelvinError(f"{name:.{2 * LONGEST}} cannot be read or written ({why}); name another "
                          "path") from error


def place_of_file(name: str, path: Path) -> None:
    """KelvinError, before any work, where no file can be written: its folder is not there or takes none,
    a folder has its name, or a link there leads nowhere."""
    _refuse_unreachable(name, path)
    if not path.parent.is_dir():
        raise KelvinError(f"{name}: the folder {path.parent} is not there; make it first")
    if path.is_dir():
        raise KelvinError(f"{name} is a folder; name a file in it")
    if path.is_symlink() and not path.exists():
        raise KelvinError(f"{name} is a link to what is not there; remove it first")
    place_of_files(name, path.parent)


def place_of_files(name: str, folder: Path) -> None:
    """KelvinError where a folder, or what it would be made in, takes no files."""
    _refuse_unreachable(name, folder)
    missing = []
    while not folder.exists() and folder != folder.parent:
        if folder.is_symlink():
            raise KelvinError(f"{name}: {folder} is a link to what is not there; remove it first")
        missing.append(folder.name)
        folder = folder.parent
    if not folder.is_dir():
        raise KelvinError(f"{name}: {folder} is a file, and a folder is needed")
    for part in missing:  # below what is not there the system does not look at names
        _refuse_unreachable(name, folder / part)
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise KelvinError(f"{name}: nothing can be written in {folder} ({error.strerror})") from error
