"""`kelvin repro` leaves what plain `dvc repro` leaves: outs, dvc.lock, run cache, staged files."""

import shutil
import time

import pytest
from tiny_project import DVC, KELVIN

TRAINED = ["train@one-0", "train@one-1", "train@two-0", "train@two-1"]
ALL = sorted(["plan", "data", "keep", *TRAINED, "report"])


def both(pair, *targets, status=0):
    """Reproduce by DVC and by Kelvin, which must leave the same; the stages that ran, Kelvin's words."""
    theirs, ours = pair
    theirs.run(*DVC, *targets, status=255 if status else 0)
    text = ours.run(*KELVIN, *targets, "--jobs", "3", status=status)
    assert theirs.results() == ours.results()
    assert theirs.run_cache() == ours.run_cache()
    if not status:  # else DVC stages nothing
        assert theirs.staged() == ours.staged()
    ran = theirs.ran(), ours.ran()
    assert ran[0] == ran[1]
    return ran[1], text


@pytest.fixture(scope="module")
def new_pair(new_project, tmp_path_factory, warm_python):
    """The same project twice: one for DVC, one for Kelvin, reproduced once."""
    folder = tmp_path_factory.mktemp("base")
    pair = [new_project.copy(folder / name) for name in ("dvc", "kelvin")]
    for project in pair:
        project.python = str(warm_python)
    ran, text = both(pair)
    assert ran == ALL and "Done in" in text
    return pair


@pytest.fixture
def pair(new_pair, tmp_path):
    return [project.copy(tmp_path / str(i)) for i, project in enumerate(new_pair)]


def test_nothing_to_do(pair):
    ran, text = both(pair)
    assert ran == ["plan"]
    assert text.splitlines() == ["  plan: output of plan", "Everything is up to date."]


def test_an_edit_and_its_revert(pair):
    """The revert runs what the run cache cannot hold: an out that persists, one that is not cached."""
    for project in pair:
        project.edit("b: 1", "b: 2")
    assert both(pair)[0] == sorted(["plan", "keep", *TRAINED, "report"])
    for project in pair:
        project.edit("b: 2", "b: 1")
    ran, text = both(pair)
    assert ran == ["keep", "plan", "report"] and "train@one-0: from the cache" in text


@pytest.mark.parametrize("outs, again", [
    (["data", "models", "plan"], []),  # brought back from the cache, the plan is made every time
    (["reports/metrics.json", "kept"], ["keep", "report"])], ids=["cached", "not cached, persistent"])
def test_deleted_outs(pair, outs, again):
    for project in pair:
        for path in (project.folder / out for out in outs):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert both(pair)[0] == sorted(["plan", *again])


def test_a_changed_out_is_made_again_or_brought_back(pair):
    for project in pair:
        project.write({"models/one-0/weights.txt": "spoilt", "models/one-0/more.txt": "left over"})
    assert both(pair)[0] == ["plan"]


def test_an_edited_pipeline(pair):
    """Its matrix, two commands: each edit remakes what no other does."""
    for project in pair:
        project.edit("${active}", "[one, three]", "dvc.yaml")
        project.edit("work.py keep kept/b.txt", "work.py keep kept/c.txt", "dvc.yaml")
        project.edit("sort plan/c.txt", "sort -r plan/c.txt", "dvc.yaml")
    assert both(pair)[0] == sorted(["plan", "keep", "report", "train@three-0", "train@three-1"])


def test_targets_with_what_they_need(pair):
    for project in pair:
        project.edit("a: 1", "a: 2")
        project.edit("c: 1", "c: 2")
    assert both(pair, "train@one-0")[0] == ["data", "plan", "train@one-0"]
    assert both(pair, "train", "keep")[0] == ["keep", "plan", *TRAINED[1:]]


@pytest.mark.parametrize("is_changed", [False, True])
def test_a_frozen_stage(pair, is_changed):
    for project in pair:
        project.run("-m", "dvc", "freeze", "keep")
        project.edit("b: 1", "b: 2")
        if is_changed:
            project.write({"kept/b.txt": "edited by hand"})
    assert both(pair)[0] == ["plan", "report", *TRAINED]


def test_a_failed_stage_names_itself_and_keeps_the_others(pair):
    for project in pair:
        project.edit("a: 1", "a: 1\nfail: report")
        project.edit("b: 1", "b: 2")
    ran, text = both(pair, status=1)
    assert ran == ["keep", "plan", *TRAINED]
    assert "report: kelvin: asked to fail" in text and "report FAILED (exit status 1)" in text
    for project in pair:
        project.edit("fail: report", "fail: nothing")
    assert both(pair)[0] == ["plan", "report"]


def test_an_out_that_is_not_made_fails_its_stage_alone(pair):
    for project in pair:
        project.edit("    outs: [shell]", "    outs: [shell, missing.txt]", "dvc.yaml")
        project.edit("b: 1", "b: 2")
    text = pair[1].run(*KELVIN, "--jobs", "3", status=1)
    assert "shell FAILED (output 'missing.txt' does not exist)" in text and "Traceback" not in text
    begun = sum(f"] {stage}\n" in text for stage in TRAINED)
    assert begun and sum(f"{stage} done" in text for stage in TRAINED) == begun


def test_a_data_file_of_dvc_add(pair):
    for project in pair:
        project.write({"raw.bin": "raw", ".dvc/.keep": ""})
        project.run("-m", "dvc", "add", "raw.bin")
        project.edit("deps: [plan/a.txt]", "deps: [plan/a.txt, raw.bin]", "dvc.yaml")
    assert both(pair)[0] == ["data", "plan"]
    for project in pair:
        project.write({"raw.bin": "other"})
    assert both(pair)[0] == ["data", "plan"]


def test_either_goes_on_where_the_other_stopped(pair):
    """What Kelvin has made, an experiment takes for done, and the reverse."""
    ours = pair[1]
    ours.edit("a: 1", "a: 2")
    ours.run(*KELVIN, "train")
    ours.ran()
    ours.run("-m", "dvc", "exp", "run")
    assert ours.ran() == ["keep", "plan", "report"]
    assert "up to date" in ours.run(*KELVIN) and ours.ran() == ["plan"]
    ours.edit("b: 1", "b: 2")
    ours.run("-m", "dvc", "exp", "run", "keep")
    ours.ran()
    ours.run(*KELVIN)
    assert ours.ran() == ["plan", "report", *TRAINED]


def test_an_experiment_in_the_workspace_and_one_of_the_queue(new_project, tmp_path):
    """`dvc exp run`, `dvc queue` and `kelvin repro` give the same bytes, dvc.lock's too."""
    theirs, ours = (new_project.copy(tmp_path / name) for name in ("dvc", "kelvin"))
    theirs.run("-m", "dvc", "exp", "run", "--queue", "-S", "a=2", "-n", "queued")
    theirs.run("-m", "dvc", "queue", "start")
    deadline = time.monotonic() + 480
    while "Success" not in (status := theirs.run("-m", "dvc", "queue", "status")):
        assert "Failed" not in status and time.monotonic() < deadline, status
        time.sleep(1)
    for words in (("apply", "queued"), ("run", "-S", "b=2", "-n", "here")):
        theirs.run("-m", "dvc", "exp", *words)
        ours.write({"params.yaml": (theirs.folder / "params.yaml").read_text()})
        ours.run(*KELVIN)
        assert ours.results() == theirs.results()
