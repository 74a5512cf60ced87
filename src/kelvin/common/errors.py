"""The one exception whose text is for users, and errors of the operating system."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

REFUSED = {
    errno.EACCES: "check the rights of its folder", errno.EPERM: "check the rights of its folder",
    errno.EROFS: "its file system is read-only", errno.ENOSPC: "make room, and run it again",
    errno.EDQUOT: "make room, and run it again", errno.EMFILE: "raise the limit by ulimit -n",
    errno.ENOTDIR: "a file lies where a folder is needed: move it away",
    errno.EISDIR: "a folder lies where a file is needed: move it away",
    errno.EEXIST: "a file lies where a folder is needed: move it away",
    errno.ENAMETOOLONG: "take a shorter name", errno.ELOOP: "its links lead in a circle"}
LONGEST = 200  # letters of a path that a sentence shows


class KelvinError(ValueError):
    """A mistake that a user can correct, in one sentence: what is wrong, where, what would be right."""


@contextmanager
def refused_by_system() -> Iterator[None]:
    """A file that the machine does not let us read or write (rights, a full disk, ...) as KelvinError."""
    try:
        yield
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        place = next((str(name) for name in (error.filename2, error.filename) if name), "a file")
        place = place if len(place) <= LONGEST else f"{place[:LONGEST]}..."
        raise KelvinError(f"{place}: {error.strerror}; {REFUSED[error.errno]}") from error
