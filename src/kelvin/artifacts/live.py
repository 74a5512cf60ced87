"""Losses of trainings in progress: a file of rows for each, which others read while it grows.

A training writes and locks its file, and never waits for a reader; kelvin.tracking.live shows the rows in
MLflow. The lock tells a training that works from one that was killed.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from io import TextIOWrapper

FOLDER = Path(".kelvin") / "live"
Row = Mapping[str, float]  # epoch, updates, learning rate and losses, as in history.csv


@dataclass(frozen=True)
class Live:
    """.kelvin/live/<fingerprint>.jsonl of a project. identity: the training's run, replicate, dataset,
    scale and fingerprint, as a record names them."""

    project: Path
    identity: Mapping[str, Any]

    @property
    def path(self) -> Path:
        return self.project / FOLDER / f"{self.identity['fingerprint']}.jsonl"

    @contextmanager
    def opened(self, before: Sequence[Row] = ()) -> Iterator[Rows]:
        """To add rows to. before: those of a training that goes on. The file goes when the training
        ends; after a kill or an error it stays, unlocked."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("w", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # a reader holds it for a moment
            rows = Rows(file)
            rows.add(self.identity)
            for row in before:
                rows.add(row)
            yield rows
        self.path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Rows:
    """A file that grows by whole lines."""

    file: TextIOWrapper

    def add(self, row: Mapping[str, Any]) -> None:
        self.file.write(json.dumps(row) + "\n")
        self.file.flush()


@dataclass(frozen=True)
class LiveTraining:
    """What a reader sees of a training. working: whether it still runs."""

    identity: dict[str, Any]
    rows: list[dict[str, float]]
    working: bool


def live_trainings(project: Path) -> Iterator[LiveTraining]:
    """Every training that is in progress or was broken off, in the order of their fingerprints."""
    for path in sorted((project / FOLDER).glob("*.jsonl")):
        try:
            with path.open(encoding="utf-8") as file:
                lines = [json.loads(line) for line in file if line.endswith("\n")]
                working = is_locked(file)
        except (OSError, ValueError):
            continue  # it ended this moment, or was cut short by a full disk
        if lines and all(isinstance(line, dict) for line in lines) and "fingerprint" in lines[0]:
            yield LiveTraining(lines[0], lines[1:], working)


def is_locked(file: TextIOWrapper) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
