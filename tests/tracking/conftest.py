"""Projects whose results are published to a real MLflow database."""

import shutil
from types import SimpleNamespace

import pytest
from conftest import ROOT
from tracked import ASK, FOREIGN, add_result, add_store, start


@pytest.fixture(scope="session")
def first(tmp_path_factory):
    """A project in which two processes published at once and first; what they said."""
    root = tmp_path_factory.mktemp("first")
    shutil.copy(ROOT / "params.yaml", root)
    add_store(root)
    add_result(root, dataset="race")  # in an experiment of its own: the tests copy this database
    add_result(root, "blur-strong", dataset="race")
    shutil.copytree(root / "data/prepared/digits", root / "data/prepared/race")
    processes = [start(ASK, root) for _ in range(2)]
    said = [process.communicate(timeout=120) for process in processes]
    return SimpleNamespace(root=root, said=said, codes=[p.returncode for p in processes])


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
