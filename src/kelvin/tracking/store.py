"""Where MLflow keeps its runs, one publisher at a time, and what is there already.

To import mlflow takes seconds, so that what is there is read from its database by sqlite3.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from kelvin.common.errors import KelvinError

if TYPE_CHECKING:
    from mlflow import MlflowClient

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when mlflow is imported

PREFIX, ARTIFACTS = "kelvin-", "mlartifacts"
Tags = dict[str, str]


def root() -> Path:
    """kelvin.common.files.project_root(), the import of which costs more than all that is done here."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve()


def database() -> Path | None:
    """The project's own store; None where MLFLOW_TRACKING_URI names another."""
    return None if os.environ.get("MLFLOW_TRACKING_URI") else root() / "mlflow.db"


def tracking_uri() -> str:
    return os.environ.get("MLFLOW_TRACKING_URI") or address(root() / "mlflow.db")


def address(db: Path) -> str:
    """SQLAlchemy's address of an SQLite file: % and ? have a meaning there. Then the path is relative,
    since MLflow makes the folder that the quoted path would name."""
    text = str(db)
    if "%" in text or "?" in text:
        text = os.path.relpath(db).replace("%", "%25").replace("?", "%3F")
    return f"sqlite:///{text}"


@contextmanager
def opened() -> Iterator[MlflowClient]:
    """A client that nobody shares; the project's own database is made where it is not there.

    The lock is held throughout: first writers crash in each other's migration of a new database,
    and two publishers would make the same runs. Raises KelvinError for what MLflow refuses, for a
    database that cannot be read, and in seconds for a server that does not answer.
    """
    from mlflow.exceptions import MlflowException

    logging.getLogger("mlflow").setLevel(logging.WARNING)  # sixty lines about a new database
    lock = root() / ".kelvin" / "mlflow.lock"
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            if (db := database()) is not None:
                create(db)
                rehome(db)
            yield client_of(tracking_uri())
        except MlflowException as error:
            raise refusal_of(error) from error


def create(db: Path) -> None:
    """The database, where there is none: whole or absent: MLflow cannot go on with a part of one."""
    if db.exists() and db.stat().st_size:
        return
    part = db.with_name(f"{db.name}.part")
    for old in db.parent.glob(f"{part.name}*"):
        old.unlink()
    with unsynced():
        client_of(address(part))
    with part.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(part, db)


@contextmanager
def unsynced() -> Iterator[None]:
    """New connections to SQLite do not wait for the disk: seventy commits make a database of MLflow, and
    it counts only once it is whole."""
    from sqlalchemy import Engine, event

    def configure(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA synchronous = OFF")

    event.listen(Engine, "connect", configure)
    try:
        yield
    finally:
        event.remove(Engine, "connect", configure)


def client_of(uri: str) -> MlflowClient:
    """A client whose store has answered; KelvinError where it does not, or cannot be read."""
    from mlflow import MlflowClient

    # MLflow asks a server that is gone for four minutes
    patience = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
    before = {name: os.environ.get(name) for name in patience}
    os.environ.update({name: text for name, text in patience.items() if before[name] is None})
    try:
        client = MlflowClient(uri)
        client.search_experiments(max_results=1)
    except Exception as error:  # of MLflow, SQLAlchemy, alembic, sqlite3, requests, the system
        raise refusal_of(error) from error
    finally:
        for name, text in before.items():
            if text is None:
                del os.environ[name]
    return client


def refusal_of(error: Exception) -> KelvinError:
    """The store's error in one line, and the cure."""
    cure = "is it running? Start it, or unset MLFLOW_TRACKING_URI to show the results here" \
        if database() is None else \
        "move mlflow.db away, and it is made anew from the results"
    first = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return KelvinError(f"MLflow at {tracking_uri()}: {first[:200]}; {cure}")


def experiment(client: MlflowClient, dataset: str) -> str:
    """Id of a data set's experiment, made or taken out of the trash where need be."""
    entry = client.get_experiment_by_name(PREFIX + dataset)
    if entry is None:
        place = None if database() is None else (root() / ARTIFACTS / (PREFIX + dataset)).as_uri()
        return client.create_experiment(PREFIX + dataset, artifact_location=place)
    if entry.lifecycle_stage == "deleted":
        client.restore_experiment(entry.experiment_id)
    return entry.experiment_id


def runs_of(client: MlflowClient, dataset: str) -> dict[str, Tags]:
    """run id -> tags of a data set's runs, from any store."""
    page, place = None, [experiment(client, dataset)]
    tags: dict[str, Tags] = {}
    while True:
        runs = client.search_runs(place, page_token=page)
        tags |= {run.info.run_id: dict(run.data.tags) for run in runs}
        if not (page := runs.token):
            return tags


def runs_in(db: Path) -> dict[str, dict[str, Tags]]:
    """data set -> run id -> tags, from the project's own store; empty where it cannot be read."""
    sets: dict[str, dict[str, Tags]] = {}
    try:
        with closing(sqlite3.connect(db)) as base:
            for name, run_id, key, value in base.execute(
                    "SELECT e.name, r.run_uuid, t.key, t.value FROM experiments e "
                    "JOIN runs r ON r.experiment_id = e.experiment_id "
                    "JOIN tags t ON t.run_uuid = r.run_uuid "
                    "WHERE r.lifecycle_stage = 'active' AND e.name LIKE ?", (PREFIX + "%",)):
                sets.setdefault(name.removeprefix(PREFIX), {}).setdefault(run_id, {})[key] = value
    except sqlite3.DatabaseError:
        return {}  # MLflow is asked then, and says what is wrong
    return sets


def rehome(db: Path) -> None:
    """Point a database that was copied or moved with its project at the artifacts beside it."""
    home = (db.parent / ARTIFACTS).as_uri() + "/"
    try:
        with closing(sqlite3.connect(db)) as base, base:
            places = base.execute("SELECT artifact_location FROM experiments WHERE name LIKE ?",
                                  (PREFIX + "%",)).fetchall()
            for old in {place.rpartition("/")[0] + "/" for (place,) in places} - {home}:
                if not old.endswith(f"/{ARTIFACTS}/"):
                    continue  # chosen by somebody
                for table, column in (("experiments", "artifact_location"),
                                      ("runs", "artifact_uri")):
                    base.execute(f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                                 f"WHERE substr({column}, 1, ?) = ?",
                                 (home, len(old) + 1, len(old), old))
    except sqlite3.DatabaseError:
        return  # as in runs_in
