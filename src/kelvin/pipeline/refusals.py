"""What DVC cannot begin with, in one sentence: params.yaml, dvc.lock, git, another process."""

from __future__ import annotations

import re
from pathlib import Path

from dvc.exceptions import DvcException, NoOutputOrStageError, NotDvcRepoError, StageNotFoundError
from dvc.lock import LockError
from dvc.stage.exceptions import StageNotFound

from kelvin.common.errors import KelvinError

MARKER = re.compile(r"^(<{7}|={7}|>{7})", re.MULTILINE)
HOLDER = re.compile(r"\(PID (\d+)\): (.+)")
BY_GIT = "`git checkout --theirs {0}` or `--ours` takes one side"


def refusal_of(error: Exception) -> Exception:
    """The KelvinError that says why DVC stopped; the error itself where it is a defect."""
    if isinstance(error, NotDvcRepoError):
        return KelvinError("this is no Kelvin project: no folder .dvc is here or above; change to a "
                           "clone of the repository")
    if "is not a git repository" in str(error):
        return KelvinError(f"{Path.cwd()} is no git repository (a zip that was downloaded?): clone the "
                           "project, or run `git init` here")
    if isinstance(error, LockError):
        return locked(error)
    for file in ("params.yaml", "dvc.yaml", "dvc.lock"):
        if has_marker(Path(file)):
            return KelvinError(f"{file} holds the marks of a merge that is not finished "
                               f"(<<<<<<<): {BY_GIT.format(file)}")
    if isinstance(error, DvcException) and "dvc.lock" in str(error):
        return KelvinError("dvc.lock is damaged: bring it back by `git checkout dvc.lock`; what was made "
                           "since is in DVC's cache")
    if isinstance(error, (StageNotFound, StageNotFoundError, NoOutputOrStageError)):  # a wrong target
        return KelvinError(f"DVC: {one_line(error)}")
    try:  # DVC reads it before any stage does, and says less of it
        from kelvin.config.resolve import load

        load()
    except KelvinError as wrong:
        return wrong
    if not isinstance(error, DvcException):
        return error
    return KelvinError(f"DVC: {one_line(error)}")


def locked(error: LockError) -> KelvinError:
    """Which process works where this one would."""
    holders = HOLDER.findall(str(error))
    if not holders:
        return KelvinError("another DVC process works in this checkout: wait until it has ended")
    pid, command = holders[0]
    return KelvinError(f"another process works on the same files ({pid}: {command}): wait for it, or end "
                       f"it by `kill {pid}`")


def has_marker(path: Path) -> bool:
    try:
        return len(set(MARKER.findall(path.read_text(encoding="utf-8")))) > 1
    except (OSError, UnicodeDecodeError):
        return False


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())
