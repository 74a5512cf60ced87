"""Which database a run lands in: several writers, experiments, copies, other stores, broken ones."""

import os
import shutil
import signal
import socket
import sqlite3
import time

import pytest
from sqlalchemy import make_url
from tracked import ASK, add_result, client, files, only, plan, runs, start

from kelvin.common.errors import KelvinError
from kelvin.common.files import project_root
from kelvin.tracking import store as tracking_store
from kelvin.tracking.publishing import publish_missing
from kelvin.tracking.ui import ui


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
    plan(project)
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


def older(path):
    with sqlite3.connect(path) as base:
        base.execute("update alembic_version set version_num = '451aebb31d03'")


def half_migrated(path):
    """As a kill left it in 0.4.0."""
    path.unlink()
    with sqlite3.connect(path) as base:
        base.execute("create table _alembic_tmp_experiments (x integer)")
        base.execute("create table experiments (x integer)")


@pytest.mark.parametrize("spoil, words", [
    (older, "out-of-date database schema"), (half_migrated, "experiments"),
    (lambda path: path.write_bytes(path.read_bytes()[:3000]), "malformed"),
    (lambda path: path.write_text("no database" * 99), "not a database")],
    ids=["older", "half-migrated", "cut", "other"])
def test_a_database_that_mlflow_refuses_is_said_in_a_sentence(project, spoil, words):
    spoil(project / "mlflow.db")
    with pytest.raises(KelvinError, match=f"{words}.*; move mlflow.db away, and it is made anew"):
        publish_missing()


def test_a_kill_while_the_database_is_made_leaves_none(project):
    (project / "mlflow.db").unlink()
    process, part = start(ASK, project), project / "mlflow.db.part"
    while not (part.exists() and part.stat().st_size) and process.poll() is None:
        time.sleep(0.001)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert part.exists() and not (project / "mlflow.db").exists()
    assert publish_missing() == (1, 0) and len(runs()) == 1
    assert [path.name for path in project.glob("mlflow.db*")] == ["mlflow.db"]


@pytest.mark.parametrize("name", ["a%41b", "what?", "ä b#"])
def test_a_path_may_hold_what_means_something_in_an_address(tmp_path, monkeypatch, name):
    place = tmp_path / name
    place.mkdir()
    for folder in (place, tmp_path):  # as of a queued experiment, which works elsewhere
        monkeypatch.chdir(folder)
        address = tracking_store.address(place / "mlflow.db")
        assert os.path.abspath(make_url(address).database) == str(place / "mlflow.db")


def test_a_server_that_is_gone_is_told_in_seconds(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    begin = time.monotonic()
    with pytest.raises(KelvinError, match="http://127.0.0.1:9: .*; is it running[?] Start it, or unset "
                                          "MLFLOW_TRACKING_URI") as error:
        publish_missing()
    assert time.monotonic() - begin < 45 and "\n" not in str(error.value)  # MLflow's own patience: 240
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture
def followers(monkeypatch):
    """Starts of the process that shows trainings in progress, which would outlive a test."""
    started = []
    monkeypatch.setattr("kelvin.tracking.ui.start", lambda: started.append(1))
    return started


def test_ui_publishes_and_becomes_mlflow_on_this_machine_only(project, monkeypatch, capsys, followers):
    ran, port = [], free_port()
    monkeypatch.setattr(os, "execv", lambda _, arguments: ran.append(arguments))
    ui(port)
    assert len(runs()) == 1
    at = client().get_experiment_by_name("kelvin-digits").experiment_id
    assert capsys.readouterr().out == (
        f"1 runs published, 0 were there. Open http://127.0.0.1:{port}/#/experiments/{at}/runs"
        "?compareRunsMode=CHART\n")
    assert ran[0][1:10] == ["-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(port),
                            "--backend-store-uri", f"sqlite:///{project / 'mlflow.db'}"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(KelvinError, match="open http://127.0.0.1:9 in a browser"):
        ui(port)
    os.remove("params.yaml")
    with pytest.raises(KelvinError, match="project's root"):
        ui(port)
    assert len(ran) == len(followers) == 1


def test_ui_opens_mlflows_first_page_where_there_is_no_result(
        project, monkeypatch, capsys, followers):
    monkeypatch.setattr(os, "execv", lambda *_: None)
    shutil.rmtree("reports")
    port = free_port()
    ui(port)
    assert capsys.readouterr().out.endswith(f"Open http://127.0.0.1:{port}\n")


def test_a_port_that_is_taken_is_said_before_anything_is_published(project, monkeypatch):
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("the server was started"))
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(KelvinError, match=f"port {port} cannot be used .*in use.*--port {port + 1}"):
            ui(port)
    publish_missing()
    assert len(runs()) == 1
