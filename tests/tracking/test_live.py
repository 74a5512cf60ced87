"""Curves of trainings in progress: what a training leaves for others to see, and what MLflow shows."""

import subprocess
import sys

import pytest
from tracked import EPOCHS, add_result, client, runs

from kelvin.artifacts.live import Live, live_trainings
from kelvin.tracking.live import BROKEN, LIVE, Follower, beside_a_server
from kelvin.tracking.publishing import publish_missing

IDENTITY = {"run": "ddpm-default", "replicate": 0, "dataset": "digits", "scale": "smoke",
            "fingerprint": "0123456789abcdef"}


def rows(first, last):
    """As in the history that tracked.add_result writes."""
    return [{"epoch": e, "updates": 4 * e, "train_loss": 1 / e, "val_loss": 2 / e}
            for e in range(first, last + 1)]


def curve(run_id, key):
    return [(m.step, m.value) for m in client().get_metric_history(run_id, f"epoch/{key}")]


def test_a_reader_sees_whole_rows_and_whether_the_training_works(tmp_path):
    live = Live(tmp_path, IDENTITY)
    with live.opened(rows(1, 2)) as file:
        file.add(rows(3, 3)[0])
        file.file.write('{"epoch": 4, "trai')
        file.file.flush()
        found, = live_trainings(tmp_path)
        assert (found.identity, found.rows, found.working) == (IDENTITY, rows(1, 3), True)
    assert list(live_trainings(tmp_path)) == [] and not live.path.exists()
    with pytest.raises(KeyboardInterrupt), live.opened(rows(1, 2)):
        raise KeyboardInterrupt
    found, = live_trainings(tmp_path)
    assert found.rows == rows(1, 2) and not found.working


def test_a_run_is_there_from_the_first_epoch_and_grows(project):
    follower = Follower()
    follower.look()
    with Live(project, IDENTITY).opened() as file:
        follower.look()
        assert client().get_experiment_by_name("kelvin-digits") is None
        file.add(rows(1, 1)[0])
        follower.look()
        run, = runs()
        assert run.info.status == "RUNNING" and run.info.run_name == "ddpm-default-0"
        assert curve(run.info.run_id, "train_loss") == [(1, 1.0)]
        for row in rows(2, 250):
            file.add(row)
        follower.look()
        Follower().look()  # another one, as after a restart: no row twice
    assert curve(run.info.run_id, "val_loss") == [(e, pytest.approx(2 / e, rel=1e-5))
                                                  for e in range(1, 251)]
    assert [r.info.run_id for r in runs()] == [run.info.run_id]


def test_track_finishes_the_run_with_every_point_once(project):
    with Live(project, IDENTITY).opened(rows(1, 200)):
        Follower().look()
    run, = runs()
    assert publish_missing() == (1, 0)
    done, = runs()
    assert done.info.run_id == run.info.run_id and done.info.status == "FINISHED"
    assert curve(run.info.run_id, "train_loss") == [(e, pytest.approx(1 / e, rel=1e-5))
                                                    for e in range(1, EPOCHS + 1)]
    assert done.data.metrics["fmd"] == 0.25 and "content" in done.data.tags
    assert LIVE not in done.data.tags and "is being trained" not in done.data.tags["mlflow.note.content"]
    assert publish_missing() == (0, 1)
    with Live(project, IDENTITY).opened(rows(1, 3)):  # an equal training once more
        Follower().look()
        assert client().get_run(run.info.run_id).info.status == "FINISHED"


def test_a_training_that_was_killed_is_shown_so_and_goes_on(project):
    with pytest.raises(KeyboardInterrupt), Live(project, IDENTITY).opened(rows(1, 5)):
        raise KeyboardInterrupt
    follower = Follower()
    follower.look()
    run, = runs()
    assert run.info.status == "KILLED" and run.data.tags[BROKEN] == "true"
    with Live(project, IDENTITY).opened(rows(1, 6)):
        follower.look()
    run, = runs()
    assert run.info.status == "RUNNING" and BROKEN not in run.data.tags
    assert [step for step, _ in curve(run.info.run_id, "train_loss")] == [1, 2, 3, 4, 5, 6]


def test_another_training_of_the_run_is_another_curve(project):
    add_result(project, mark="fedcba9876543210")
    with Live(project, IDENTITY).opened(rows(1, 5)):
        Follower().look()
        publish_missing()
    assert sorted(run.data.tags["fingerprint"] for run in runs()) == [
        "0123456789abcdef", "fedcba9876543210"]


def test_the_process_ends_with_its_parent_and_imports_nothing_without_a_training(project):
    code = ("import sys, os\nfrom kelvin.tracking import live\n"
            "live.PAUSE = 0.01\nlive.Follower().look()\n"
            "live.follow(-1)\n"
            "print(sorted({'mlflow', 'numpy', 'torch', 'pydantic'} & set(sys.modules)))")
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"


def test_repro_shows_trainings_where_another_store_is_named(project, monkeypatch):
    started = []
    monkeypatch.setattr("kelvin.tracking.live.start", lambda: started.append(1) or subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"]))
    with beside_a_server():
        assert started == []
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with beside_a_server():
        assert started == [1]


def test_a_store_that_is_gone_is_said_once_and_stops_nothing(project, monkeypatch, capsys):
    from kelvin.tracking import live

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr(live, "PAUSE", 0.0)
    left = iter([7, 7, 7, 8])
    monkeypatch.setattr(live.os, "getppid", lambda: next(left))
    with Live(project, IDENTITY).opened(rows(1, 1)):
        live.follow(7)
    said = capsys.readouterr().err
    assert said.count("curves of trainings in progress are not shown") == 1
