"""The files below a folder. Links are followed; a system's own folders are listed, not entered."""

import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kelvin.common.errors import KelvinError

# Folders that an operating system, a server or an editor makes; compared without case.
SYSTEM_FOLDERS = frozenset({
    "__macosx", "@eadir", "@recycle", "@recently-snapshot", "@tmp", "#recycle", "#snapshot",
    "lost+found", "lost.dir", "$recycle.bin", "recycler",
    "system volume information", "network trash folder", "temporary items", "__pycache__", "cvs",
})  # fmt: skip
_FOUND = re.compile(r"found\.[0-9]{3}")  # by chkdsk


FILE, FOLDER, LEFT_OUT = "file", "folder", "left out"


@dataclass(frozen=True)
class Entry:
    """A file or folder: its name below the root with forward slashes, its place, what it is."""

    name: str
    path: str
    kind: str


def walk(root: Path) -> Iterator[Entry]:
    """Every file and folder below root, folder by folder, sorted by name.

    Hidden ones and a system's folders are left out: named (a folder with a slash at its end), not
    entered. Linked folders are followed. KelvinError, naming the link, where two names lead to one
    folder (a loop, or its images would count twice), and where a folder cannot be listed.
    """
    names = {_identity(root): ""}
    waiting = [("", os.fspath(root))]
    while waiting:
        inside, folder = waiting.pop()
        for entry in _listed(folder):
            name, is_folder = f"{inside}{entry.name}", _is_folder(entry)
            if is_hidden(entry.name) or is_folder and is_system_folder(entry.name):
                yield Entry(f"{name}/" if is_folder else name, entry.path, LEFT_OUT)
                continue
            yield Entry(name, entry.path, FOLDER if is_folder else FILE)
            if is_folder:
                _admit(names, entry.path, name, root)
                waiting.append((f"{name}/", entry.path))


def reason(part: str) -> str:
    """Why a name is left out."""
    return "is hidden" if is_hidden(part) else "belongs to a system or a program"


def spelt(path: Path) -> Path | None:
    """The path as it is on disk, in whichever form (NFC, NFD) its letters came; None for nowhere."""
    if os.path.exists(path):
        return path
    parent = spelt(path.parent) if path.parent != path else None
    try:
        names = sorted(os.listdir(parent)) if parent else []
    except OSError:
        return None
    wanted = unicodedata.normalize("NFC", path.name)
    return next((parent / name for name in names if unicodedata.normalize("NFC", name) == wanted), None)


def is_hidden(part: str) -> bool:
    return part.startswith(".")


def is_system_folder(part: str) -> bool:
    return part.casefold() in SYSTEM_FOLDERS or _FOUND.fullmatch(part.casefold()) is not None


def _admit(names: dict[tuple[int, int], str], path: str, name: str, root: Path) -> None:
    first = names.setdefault(_identity(path), name)
    if first != name:
        target = repr(printable(first)) if first else "the whole folder"
        raise KelvinError(
            f"{root}: {printable(name)!r} is the same folder as {target}, by a link, so that images "
            "would count twice; remove the link"
        )


def _identity(path: os.PathLike | str) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except OSError as error:
        raise _unlistable(error, path) from error
    return status.st_dev, status.st_ino


def _listed(folder: str) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise _unlistable(error, folder) from error


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, say: reading it tells what is wrong
        return False


def _unlistable(error: OSError, path: os.PathLike | str) -> KelvinError:
    return KelvinError(
        f"{printable(os.fspath(path))}: cannot be listed ({error.strerror}); check its rights")


def printable(name: str) -> str:
    """The name with bytes that are no UTF-8 written as escapes, fit for messages and JSON."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
