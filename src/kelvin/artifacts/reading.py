"""Reading of files: one that is missing, cut short or damaged gives one sentence with its cure."""

from __future__ import annotations

import csv
import io
import json
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kelvin.artifacts.typed import type_fault
from kelvin.common.errors import KelvinError

if TYPE_CHECKING:
    import numpy as np


def damaged(path: Path, why: object, stage: str) -> KelvinError:
    """The error of a file that the stage instance `stage` wrote, as train@ddpm-best-0, or that a command
    of several words brings back."""
    reason = (str(why).splitlines() or [repr(why)])[0].rstrip(".")
    command = stage if " " in stage else f"dvc repro -s -f {stage}"
    return KelvinError(f"{path} is damaged ({reason}); run {command}, which writes it again")


@contextmanager
def reading(path: Path, stage: str) -> Iterator[None]:
    """KelvinError in place of whatever reading a file raises."""
    try:
        yield
    except KelvinError:
        raise
    except FileNotFoundError as error:
        command = stage if " " in stage else f"dvc repro {stage}"
        raise KelvinError(f"{path} is not there; run {command}, which makes it") from error
    except PermissionError as error:
        raise KelvinError(f"{path} may not be read: {error.strerror}; give the permission to read "
                          "it") from error
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, NotImplementedError,
            zipfile.BadZipFile, zlib.error) as error:
        raise damaged(path, error, stage) from error


class Tree(dict[str, Any]):
    """A JSON object of a file; reading a key that it has not is KelvinError."""

    def __init__(self, content: dict[str, Any], path: Path, stage: str) -> None:
        super().__init__(content)
        self.path, self.stage = path, stage

    def __missing__(self, key: str) -> Any:
        raise damaged(self.path, f"it has no {key!r}", self.stage)


def read_json(path: Path, stage: str, kind: Any = dict) -> Any:
    """A JSON object of the types of `kind` (kelvin.artifacts.typed); KelvinError where it is missing,
    damaged or something else."""
    with reading(path, stage):
        return tree_of(path.read_text(encoding="utf-8"), path, stage, kind)


def tree_of(text: str, path: Path, stage: str, kind: Any = dict) -> Any:
    """The same of a file's text; ValueError where it is no JSON."""
    tree = json.loads(text, object_hook=lambda content: Tree(content, path, stage))
    if not isinstance(tree, dict):
        raise damaged(path, "it is no JSON object", stage)
    if fault := type_fault(tree, kind):
        raise damaged(path, fault, stage)
    return tree


def read_rows(path: Path, stage: str, keys: Iterable[str] = ()) -> list[dict[str, float]]:
    """The rows of a CSV file of numbers that has these columns; KelvinError where it is cut short."""
    with reading(path, stage):
        text = path.read_text(encoding="utf-8")
        table = list(csv.reader(io.StringIO(text)))
        if not text.endswith("\n") or len(table) < 2:
            raise damaged(path, "it is cut short", stage)
        head, *rows = table
        if missing := [key for key in keys if key not in head]:
            raise damaged(path, f"it has no column {missing[0]!r}", stage)
        if any(len(row) != len(head) for row in rows):
            raise damaged(path, "its rows have not all the same length", stage)
        return [dict(zip(head, map(float, row), strict=True)) for row in rows]


@dataclass(frozen=True)
class ArrayFile:
    """A .npz whose arrays are read one at a time, each against its checksum (CRC-32)."""

    path: Path
    stage: str

    @cached_property
    def names(self) -> list[str]:
        """In the order they were written in."""
        with reading(self.path, self.stage), zipfile.ZipFile(self.path) as file:
            return [name.removesuffix(".npy") for name in file.namelist()]

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def take(self, name: str, kind: str, ndim: int) -> np.ndarray:
        """An array; KelvinError unless it has `ndim` axes and its dtype is of that kind (numpy's letters:
        u unsigned, i integer, f float, U text; uint8 is the only u)."""
        import numpy as np

        with reading(self.path, self.stage):
            with zipfile.ZipFile(self.path) as file:
                if f"{name}.npy" not in file.namelist():
                    raise damaged(self.path, f"it has no array {name!r}", self.stage)
                # the whole member at once: only at its end is the checksum held against it
                array = np.load(io.BytesIO(file.read(f"{name}.npy")), allow_pickle=False)
            if array.dtype.kind != kind or array.ndim != ndim:
                raise damaged(self.path, f"{name!r} is {array.dtype} with {array.ndim} axes", self.stage)
            return array

    def under(self, prefix: str) -> list[str]:
        """What follows `prefix` in the names that begin with it."""
        return [name.removeprefix(prefix) for name in self.names if name.startswith(prefix)]
