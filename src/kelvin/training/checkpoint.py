"""One resumable checkpoint per fingerprint, in a scratch folder, written atomically."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError  # what torch raises on a broken file; nothing is unpickled
from typing import Any

import torch

from kelvin.common.errors import KelvinError
from kelvin.common.files import project_root, read_json


def forget(model: Path) -> None:
    """Remove the checkpoint of a trained run's folder, for stages that follow: DVC has recorded the
    training then, and a kill before that would have made it begin again."""
    try:
        mark = read_json(model / "config.json")["fingerprint"]
    except (OSError, ValueError, LookupError, TypeError):
        return  # damaged: whoever reads it says so
    if re.fullmatch("[0-9a-f]+", str(mark)):
        Checkpoint(mark).remove()


class Checkpoint:
    """<project>/.kelvin/checkpoints/<fingerprint>.pt; survives kill -9 at any moment.

    DVC deletes a stage's outputs before it runs, so the checkpoint lives outside of them.
    """

    def __init__(self, fingerprint: str, folder: Path | None = None) -> None:
        folder = folder or project_root() / ".kelvin" / "checkpoints"
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{fingerprint}.pt"
        self._lock = folder / f"{fingerprint}.lock"
        self._trial = folder / f"{fingerprint}.trial"

    def load(self) -> dict[str, Any] | None:
        """The last state that `save` wrote; None where there is none."""
        if not self.path.exists():
            return None
        try:
            return torch.load(self.path, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, UnpicklingError) as error:
            raise KelvinError(f"{self.path} cannot be read: {str(error).splitlines()[0]} Delete it to "
                              "start this run from the beginning") from error

    def save(self, state: dict[str, Any]) -> None:
        part = self.path.with_suffix(".part")
        with part.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, self.path)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self._trial.unlink(missing_ok=True)

    def note_failed_trial(self) -> None:
        """Record that a faster way to train lost the device."""
        self._trial.touch()

    def had_failed_trial(self) -> bool:
        return self._trial.exists()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Held while training, so that two processes never train the same thing into one file."""
        with self._lock.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise KelvinError(f"another process is training the same run ({self._lock} is "
                                  "locked); wait for it or stop it") from error
            yield
        self._lock.unlink(missing_ok=True)
