"""The order of work of `make repro`, on a graph like the pipeline's."""

import threading
from contextlib import nullcontext

import pytest

import kelvin.pipeline as pipeline
from kelvin.pipeline import joined, run_all, todo, units

GRAPH = {"check": set(), "prepare@digits": {"check"}, "classifier": {"prepare@digits"},
         "reference": {"prepare@digits", "classifier"},
         "train@a-0": {"prepare@digits"}, "sample@a-0": {"prepare@digits", "train@a-0"},
         "evaluate@a-0": {"train@a-0", "sample@a-0", "reference"},
         "train@b-0": {"prepare@digits"}, "sample@b-0": {"prepare@digits", "train@b-0"},
         "evaluate@b-0": {"train@b-0", "sample@b-0", "reference"},
         "report": {"evaluate@a-0", "evaluate@b-0", "reference"}}


def test_downstream_of_a_change():
    assert todo(GRAPH, {"sample@a-0"}) == ["sample@a-0", "evaluate@a-0", "report"]
    assert todo(GRAPH, set()) == []


def test_units_join_the_stages_of_one_run():
    assert units(GRAPH, list(GRAPH))[4:] == [
        ["train@a-0", "sample@a-0"], ["evaluate@a-0"], ["train@b-0", "sample@b-0"], ["evaluate@b-0"],
        ["report"]]
    assert units(GRAPH, todo(GRAPH, {"train@a-0"})) == [
        ["train@a-0", "sample@a-0", "evaluate@a-0"], ["report"]]


def test_a_unit_takes_along_what_waits_for_it_alone():
    waiting = units(GRAPH, list(GRAPH))[5:]
    first, done = ["train@a-0", "sample@a-0"], {"check", "prepare@digits", "classifier"}
    assert joined(first, waiting, GRAPH, done) == first and len(waiting) == 4
    assert joined(first, waiting, GRAPH, done | {"reference"}) == [*first, "evaluate@a-0"]
    assert waiting == [["train@b-0", "sample@b-0"], ["evaluate@b-0"], ["report"]]


def test_needs_come_first_and_a_failure_stops(monkeypatch):
    done, lock = [], threading.Lock()

    def run_unit(unit, board):
        with lock:
            assert all(GRAPH[stage] - set(unit) <= set(done) for stage in unit)
            done.extend(unit)
        return "train@b-0" not in unit

    monkeypatch.setattr(pipeline, "run_unit", run_unit)
    assert not run_all(GRAPH, list(GRAPH), 2)
    assert "report" not in done and "train@b-0" in done
    done.clear()
    monkeypatch.setattr(pipeline, "run_unit", lambda unit, board: done.extend(unit) or True)
    assert run_all(GRAPH, list(GRAPH), 2) and done[-1] == "report" and set(done) == set(GRAPH)


@pytest.mark.parametrize("edited", [False, True])
def test_an_edit_while_it_runs_is_not_taken_for_done(edited, tmp_path, monkeypatch, capsys):
    """Else the next `make repro` would call everything up to date, and it is not."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pipeline"])
    (tmp_path / "params.yaml").write_text("a: 1\n")
    surveys = []

    def run_all(graph, wanted, jobs):
        (tmp_path / "reports").mkdir(exist_ok=True)
        (tmp_path / "reports/index.html").write_text("made")
        if edited:
            (tmp_path / "params.yaml").write_text("a: 12\n")
        return True

    monkeypatch.setattr(pipeline, "survey", lambda: surveys.append(1) or (GRAPH, set(GRAPH)))
    monkeypatch.setattr(pipeline, "run_all", run_all)
    monkeypatch.setattr(pipeline, "serving", nullcontext)
    monkeypatch.setattr("kelvin.tracking.publish_missing", lambda: None)
    assert pipeline.main() == 0 and ("run it again" in capsys.readouterr().out) == edited
    assert pipeline.main() == 0 and len(surveys) == (2 if edited else 1)
    assert ("Everything is up to date" in capsys.readouterr().out) != edited


def test_the_stamp_follows_every_watched_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stages").mkdir()
    (tmp_path / "params.yaml").write_text("a: 1\n")
    (tmp_path / "stages" / "x.py").write_text("1")
    states = [pipeline.watched_state()]
    assert pipeline.watched_state() == states[0]
    for change in (lambda: (tmp_path / "params.yaml").write_text("a: 12\n"),
                   lambda: (tmp_path / "stages" / "y.py").write_text("1"),
                   lambda: (tmp_path / "stages" / "x.py").unlink()):
        change()
        states.append(pipeline.watched_state())
    assert len(set(states)) == 4
