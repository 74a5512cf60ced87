"""Temporary folders; those of a killed process are removed by the next one."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HELD = ".kelvin-scratch"  # a file that its owner locks as long as it lives


@contextmanager
def scratch_folder(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """A new folder `prefix`* below parent (that for temporary files), removed at the end; those of
    processes that were killed are removed too. Put nothing named `.kelvin-scratch` into it."""
    parent = Path(tempfile.gettempdir()) if parent is None else parent
    for old in parent.glob(f"{prefix}*"):
        remove_if_dead(old)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        with (folder / f"{HELD}.new").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            (folder / f"{HELD}.new").rename(folder / HELD)  # locked before anybody else sees it
            yield folder
    finally:
        shutil.rmtree(folder)


def remove_if_dead(folder: Path) -> None:
    """Remove a scratch folder whose owner no longer runs; anything else stays."""
    with suppress(OSError):
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            return
        with (folder / HELD).open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
