"""The state of raw data as a file system shows it, so that changed pictures are prepared again.

Names, sizes and times of change only: nothing is opened, and the whole takes as long as a listing.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from kelvin.common.errors import KelvinError
from kelvin.config.schema import Images
from kelvin.datasets.sources.find import data_roots, find_folder
from kelvin.datasets.sources.tables import table_place
from kelvin.datasets.sources.walk import FOLDER, LEFT_OUT, walk

ABSENT = "absent"


def raw_fingerprint(images: Images, environ: Mapping[str, str]) -> str:
    """16 hex digits of SHA-256 over the state of what `prepare` would read for this entry.

    images: a data set's `images` section. environ is read for KELVIN_DATA and DVC_ROOT, as `prepare`
    reads it. A folder counts by relative path, size and time of change of its files (links followed,
    hidden ones and a system's left out), an archive by its own, a torchvision set by its name, since its
    files are held to published checksums, scikit-learn's by its version. The places themselves do not
    count. Missing data have a fingerprint too: telling the user is left to `prepare`.
    """
    roots = data_roots(environ)
    if images.source == "sklearn":
        return _digest([f"scikit-learn {_version('scikit-learn')}"])
    if images.source == "torchvision":
        return _digest([f"torchvision {images.name}"])
    try:
        path = find_folder(images.path, roots)
    except (KelvinError, OSError, ValueError):
        return _digest([ABSENT])
    tables = [images.groups.get("csv") if isinstance(images.groups, dict) else None,
              images.labels]
    return _digest([*_state(path), *_tables(tables, path)])


def folder_fingerprint(path: Path) -> str:
    """The same for the folder or archive of images that a run with `source: folder` scores."""
    return _digest(_state(Path(path)))


def _state(path: Path) -> Iterator[str]:
    """A line a file; a fault of the tree ends the lines, since reading ends there too."""
    if not path.is_dir():
        yield _line(path.name, path)
        return
    try:
        for entry in walk(path):
            if entry.kind != LEFT_OUT:
                yield f"{entry.name}/" if entry.kind == FOLDER else _line(entry.name, entry.path)
    except KelvinError:
        yield "unreadable"


def _tables(tables: Iterable[str | None], data: Path) -> Iterator[str]:
    for table in tables:
        if table is None:
            continue
        place = table_place(table, data)
        yield _line(str(table), place) if place else f"{table} {ABSENT}"


def _line(name: str, path: os.PathLike | str) -> str:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return f"{name}\0{ABSENT}"
    return f"{name}\0{status.st_size}\0{status.st_mtime_ns}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ABSENT


def _digest(lines: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for line in sorted(lines):
        digest.update(os.fsencode(line) + b"\0\0")
    return digest.hexdigest()[:16]
