"""Projects whose results are published to a real MLflow database."""

import fcntl
import json
import shutil
from types import SimpleNamespace

import pytest
from conftest import ROOT
from tracked import ASK, FOREIGN, add_result, add_store, plan, start


def made_by_two(root):
    """What two processes say that publish at once and first in the project `root`."""
    root.mkdir()
    shutil.copy(ROOT / "params.yaml", root)
    add_store(root)
    add_result(root, dataset="race")  # in an experiment of its own: the tests copy this database
    add_result(root, "blur-strong", dataset="race")
    shutil.copytree(root / "data/prepared/digits", root / "data/prepared/race")
    plan(root, dataset="race", titles={"ddpm-default": "D", "blur-strong": "B"})
    processes = [start(ASK, root) for _ in range(2)]
    said = [process.communicate(timeout=120) for process in processes]
    return {"said": said, "codes": [process.returncode for process in processes]}


@pytest.fixture(scope="session")
def first(tmp_path_factory, worker_id):
    """A project in which two processes published at once and first; what they said. The workers of
    pytest-xdist share one: MLflow takes twenty seconds to make a database."""
    base = tmp_path_factory.getbasetemp()
    base = base if worker_id == "master" else base.parent
    root, note = base / "first", base / "first.json"
    with (base / "first.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not note.is_file():
            note.write_text(json.dumps(made_by_two(root)))
    return SimpleNamespace(root=root, **json.loads(note.read_text()))


@pytest.fixture
def project(first, tmp_path, monkeypatch):
    """A project with one result, the working directory; its database has been migrated."""
    root = tmp_path / "project"
    root.mkdir()
    shutil.copy(ROOT / "params.yaml", root)
    shutil.copy(first.root / "mlflow.db", root)
    add_store(root)
    add_result(root)
    monkeypatch.chdir(root)
    for name in FOREIGN:
        monkeypatch.delenv(name, raising=False)
    return root
