"""Which database a run lands in: several writers, experiments, copies, other stores, broken ones."""

import os
import shutil
import sqlite3
import sys

import pytest
from tracked import ASK, add_result, client, files, only, runs, start

from kelvin.common.errors import KelvinError
from kelvin.common.files import project_root
from kelvin.tracking import __main__ as command
from kelvin.tracking import store as tracking_store
from kelvin.tracking.publishing import publish_missing


def test_parallel_first_writers_make_each_run_once(first):
    assert first.codes == [0, 0], first.said
    made = [int(out.split()[0]) for out, _ in first.said]
    assert sorted(made) == [0, 2]
    with sqlite3.connect(first.root / "mlflow.db") as base:
        assert base.execute("select count(*) from runs").fetchone() == (2,)


def test_a_dvc_experiment_stands_beside_the_workspace(project, monkeypatch):
    publish_missing()
    monkeypatch.setenv("DVC_EXP_NAME", "vocal-mink")
    assert publish_missing() == (0, 1)  # it changed nothing of this run
    add_result(project, fmd=0.5)
    assert publish_missing() == (1, 0)
    assert sorted((run.data.tags.get("dvc_exp_name"), run.data.metrics["fmd"]) for run in runs()
                  if "dvc_exp_name" in run.data.tags) == [("vocal-mink", 0.5)]
    assert len(runs()) == 2
    add_result(project, fmd=0.75)
    assert publish_missing() == (1, 0)
    assert sorted(run.data.metrics["fmd"] for run in runs()) == [0.25, 0.75]


def test_a_queued_experiment_is_shown_by_the_repository_that_owns_it(project, tmp_path, monkeypatch):
    queued = tmp_path / "queued"
    shutil.copytree(project, queued)
    (queued / "mlflow.db").unlink()
    monkeypatch.chdir(queued)
    monkeypatch.setenv("DVC_ROOT", str(project))
    assert tracking_store.root() == project_root() == project
    assert publish_missing() == (1, 0)
    assert len(runs(project)) == 1 and not (queued / "mlflow.db").exists()


def test_nothing_missing_is_found_out_without_heavy_imports(project):
    publish_missing()
    out, err = start(ASK, project).communicate(timeout=60)
    assert out.split() == ["0", "1"], out + err
    shutil.rmtree(project / "reports")
    (project / "mlflow.db").unlink()
    out, err = start(ASK, project).communicate(timeout=60)
    assert out.split() == ["0", "0"], out + err
    assert not (project / "mlflow.db").exists()


def test_a_copied_project_keeps_its_artifacts_to_itself(project, tmp_path, monkeypatch):
    publish_missing()
    copy = tmp_path / "else where"
    shutil.copytree(project, copy)
    shutil.rmtree(project / "mlartifacts")
    monkeypatch.chdir(copy)
    assert publish_missing() == (0, 1)
    assert files(only(), "model")
    add_result(copy, fmd=0.5)
    assert publish_missing() == (1, 0)
    assert files(only(), "model") and not (project / "mlartifacts").exists()
    assert only(project).data.metrics["fmd"] == 0.25


def test_another_store_is_used_where_the_environment_names_one(project, tmp_path, monkeypatch):
    shutil.copy("mlflow.db", tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert publish_missing() == (1, 0)
    assert publish_missing() == (0, 1)
    assert len(runs(tmp_path)) == 1
    assert client().get_experiment_by_name("kelvin-digits") is None


def test_a_deleted_experiment_is_taken_back(project):
    publish_missing()
    found = client()
    found.delete_experiment(found.get_experiment_by_name("kelvin-digits").experiment_id)
    publish_missing()
    assert len(runs()) == 1


def test_a_database_that_mlflow_refuses_is_said_in_a_sentence(project):
    with sqlite3.connect("mlflow.db") as base:
        base.execute("update alembic_version set version_num = '451aebb31d03'")
    with pytest.raises(KelvinError, match="out-of-date database schema"):
        publish_missing()


def test_ui_publishes_and_becomes_mlflow_on_this_machine_only(project, monkeypatch):
    ran = []
    monkeypatch.setattr(os, "execv", lambda _, arguments: ran.append(arguments))
    monkeypatch.setattr(sys, "argv", ["tracking", "ui", "--port", "5055"])
    command.main()
    assert len(runs()) == 1
    assert ran[0][1:10] == ["-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", "5055",
                            "--backend-store-uri", f"sqlite:///{project / 'mlflow.db'}"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(SystemExit, match="open http://127.0.0.1:9 in a browser"):
        command.main()
    os.remove("params.yaml")
    with pytest.raises(SystemExit, match="project's root"):
        command.main()
    assert len(ran) == 1
