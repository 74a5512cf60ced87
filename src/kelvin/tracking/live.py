"""Curves of trainings in progress, in MLflow from their first epoch; `track` finishes their runs.

`kelvin ui` starts `python -m kelvin.tracking.live` beside its server; so does `kelvin repro` where
MLFLOW_TRACKING_URI names one. Trainings do not depend on it (kelvin.artifacts.live).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from kelvin.artifacts import live
from kelvin.common.errors import KelvinError
from kelvin.tracking.results import NO_CURVE
from kelvin.tracking.store import Tags, experiment, opened, root, runs_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

LIVE, BROKEN = "live", "broken_off"  # tags: epochs logged so far; of a training that was killed
PAUSE = 5.0  # seconds between two looks
ROWS = 100  # in one call: MLflow takes 1,000 metrics


@contextmanager
def beside_a_server() -> Iterator[None]:
    """Trainings are shown within, where MLFLOW_TRACKING_URI names a store that others look at."""
    process = start() if os.environ.get("MLFLOW_TRACKING_URI") else None
    try:
        yield
    finally:
        if process:
            process.terminate()
            process.wait()


def start() -> subprocess.Popen[bytes]:
    """The process that shows them; it ends with the one that called this."""
    return subprocess.Popen([sys.executable, "-m", "kelvin.tracking.live"], stdin=subprocess.DEVNULL)


def follow(parent: int) -> None:
    """Look again and again, as long as the process `parent` is the parent of this one."""
    follower, last_error = Follower(), ""
    while os.getppid() == parent:
        try:
            follower.look()
        except KelvinError as error:  # of the store: it may come back
            if str(error) != last_error:
                print(f"kelvin: curves of trainings in progress are not shown: {error}", file=sys.stderr)
            last_error = str(error)
        time.sleep(PAUSE)


class Follower:
    """Brings MLflow's runs of trainings up to date; imports MLflow only once there is a training."""

    def __init__(self) -> None:
        self.states: dict[str, tuple[int, bool]] = {}  # fingerprint -> rows and state in MLflow

    def look(self) -> None:
        """Show what is new. KelvinError where the store refuses."""
        now = [training for training in live.live_trainings(root()) if training.rows]
        new = [training for training in now
               if self.states.get(training.identity["fingerprint"]) != state(training)]
        if not new:
            return
        with opened() as client:
            for training in new:
                update(client, training)
                self.states[training.identity["fingerprint"]] = state(training)


def state(training: live.LiveTraining) -> tuple[int, bool]:
    return len(training.rows), training.working


def update(client: MlflowClient, training: live.LiveTraining) -> None:
    """The run of a training, with all its rows; no row is logged twice."""
    from mlflow.entities import Metric, RunTag

    from kelvin.common.files import rounded

    dataset = training.identity["dataset"]
    identity = {key: str(value) for key, value in training.identity.items() if key != "dataset"}
    run_id, tags = run_of(identity, runs_of(client, dataset))
    if run_id is None:
        name = f"{identity['run']}-{identity['replicate']}"
        run_id = client.create_run(experiment(client, dataset), run_name=name, tags=identity | {
            LIVE: "0", "mlflow.note.content": f"{name} is being trained."}).info.run_id
        tags = {LIVE: "0"}
    elif LIVE not in tags:
        return  # it is published whole: an equal training goes on again
    now = int(time.time() * 1000)
    fresh = [row for row in training.rows if row["epoch"] > int(tags[LIVE])]
    for i in range(0, len(fresh), ROWS):
        rows = rounded(fresh[i:i + ROWS])
        metrics = [Metric(f"epoch/{key}", value, now, int(row["epoch"])) for row in rows
                   for key, value in row.items() if key not in NO_CURVE]
        client.log_batch(run_id, metrics=metrics, tags=[RunTag(LIVE, str(rows[-1]["epoch"]))])
    if training.working == (BROKEN in tags):
        client.update_run(run_id, status="RUNNING" if training.working else "KILLED")
        if training.working:
            client.delete_tag(run_id, BROKEN)
        else:
            client.set_tag(run_id, BROKEN, "true")


def run_of(identity: Tags, runs: dict[str, Tags]) -> tuple[str | None, Tags]:
    """The id and tags of the run with this identity; None where there is none."""
    return next(((run_id, tags) for run_id, tags in runs.items() if identity.items() <= tags.items()),
                (None, {}))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        follow(os.getppid())
