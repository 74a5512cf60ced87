"""What the driver relies on in DVC, its locks after a kill, and dvc.lock's text."""

import importlib
import inspect
import json
import os
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import ROOT
from dvc.stage import serialize
from dvc.utils.serialize import dumps_yaml, load_yaml
from tiny_project import KELVIN

from kelvin.pipeline import repository
from kelvin.pipeline.repository import LockFile, clear_dead_locks


def test_the_version_of_dvc_is_the_locked_one():
    assert f"dvc=={version('dvc')}\n" in (ROOT / "requirements.lock").read_text()
    assert version("dvc").startswith("3.67."), "compare pipeline/repository.py with DVC's source again"


@pytest.mark.parametrize("name, parameters", [
    ("dvc.repo.Repo", ["_wait_for_lock"]), ("dvc.repo.reproduce.collect_stages", ["repo", "targets"]),
    ("dvc.repo.reproduce.get_active_graph", ["graph"]),
    ("dvc.repo.reproduce.plan_repro", ["graph", "stages"]),
    ("dvc.rwlock.rwlock", ["tmp_dir", "fs", "cmd", "read", "write", "hardlink"]),
    ("dvc.lock.make_lock", ["lockfile", "tmp_dir"]), ("dvc.stage.Stage.changed", []),
    ("dvc.stage.Stage.changed_stage", []), ("dvc.output.Output.status", []),
    ("dvc.stage.Stage.remove_outs", []), ("dvc.stage.Stage.save_deps", []),
    ("dvc.stage.Stage.save", ["run_cache"]), ("dvc.stage.Stage.commit", []),
    ("dvc.stage.Stage.reproduce", []), ("dvc.stage.Stage.dump", []),
    ("dvc.stage.cache.StageCache.restore", ["stage"]), ("dvc.stage.run.prepare_kwargs", ["stage"]),
    ("dvc.stage.serialize.to_lockfile", ["stage"]), ("dvc.utils.serialize.dumps_yaml", [])])
def test_what_is_relied_on_in_dvc(name, parameters):
    module, _, attribute = name.rpartition(".")
    try:
        owner = importlib.import_module(module)
    except ModuleNotFoundError:
        module, _, cls = module.rpartition(".")
        owner = getattr(importlib.import_module(module), cls)
    assert set(parameters) <= set(inspect.signature(getattr(owner, attribute)).parameters)


def test_nothing_of_dvc_is_replaced():
    """Only calls: no assignment to, and no setattr of, a name of DVC."""
    source = inspect.getsource(repository)
    assert "setattr" not in source and "patch" not in source


def test_the_survey_judges_a_stage_as_dvc_does(tmp_path, monkeypatch):
    """Of every kind: up to date, of a changed or deleted file, frozen, always, without any file."""
    from dvc.repo import Repo

    names = ["kept", "dep", "out", "lost", "frozen", "cmd"]
    stages = {name: {"cmd": f"cp {name}.in {name}.out", "deps": [f"{name}.in"], "outs": [f"{name}.out"]}
              for name in names}
    stages |= {"always": {"cmd": "true", "always_changed": True}, "callback": {"cmd": "true"}}
    monkeypatch.chdir(tmp_path)
    for name in names:
        Path(f"{name}.in").write_text(name)
    Path("dvc.yaml").write_text(dumps_yaml({"stages": stages}))
    Repo.init(no_scm=True).reproduce()
    for path in ("dep.in", "out.out", "frozen.in"):
        Path(path).unlink()
        Path(path).write_text("another")
    Path("lost.out").unlink()
    stages["cmd"]["cmd"] += " && true"
    stages["frozen"]["frozen"] = True
    Path("dvc.yaml").write_text(dumps_yaml({"stages": stages}))
    repo = Repo()
    with repo.lock:
        judged = {stage.name: repository.is_changed(stage) for stage in repo.index.stages}
        assert judged == {stage.name: stage.changed() for stage in repo.index.stages}
    assert {name for name, changed in judged.items() if changed} == {
        "dep", "out", "lost", "cmd", "always", "callback"}


AWKWARD = {"cmd": "python stages/train.py " + "a long word " * 20,
           "deps": [{"path": "ü", "md5": "0123e4"}],
           "params": {"params.yaml": {
               "rate": 1e-05, "none": None, "yes": "no", "date": "2024-01-01",
               "list": [[1, 2], [], {"a": {}}], "text": "two\nlines: # x", "": "@x"}},
           "outs": [{"path": "b", "size": 12, "isexec": True}]}
PLAIN = {"cmd": "x", "outs": [{"path": "c", "hash": "md5", "md5": "00"}]}


def dumped(data):
    return dumps_yaml(json.loads(json.dumps(data)))  # no part of it twice the same object


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write (name, entry) into a lock file whose stages are run in the order a, b@x-0, c: d, e."""
    monkeypatch.setattr(repository, "to_lockfile", lambda stage: {stage.name: stage.entry})
    file = LockFile(tmp_path / "dvc.lock", ["a", "b@x-0", "c: d", "e"])

    def write(name, entry):
        return file.write(SimpleNamespace(name=name, entry=entry))

    write.path = file.path
    return write


def test_the_lock_file_is_what_dvc_would_write(write):
    """In the order of `dvc repro`, whatever the order in which stages ended."""
    for name, entry in (("e", PLAIN), ("a", AWKWARD), ("c: d", PLAIN), ("b@x-0", PLAIN), ("a", PLAIN),
                        ("c: d", AWKWARD)):
        assert write(name, entry)
    stages = {"a": PLAIN, "b@x-0": PLAIN, "c: d": AWKWARD, "e": PLAIN}
    assert write.path.read_text() == dumped({"schema": "2.0", "stages": stages})
    before = write.path.stat()
    assert not write("a", PLAIN) and write.path.stat() == before
    assert not list(write.path.parent.glob("*.part"))


def test_what_the_lock_file_had_stays_where_it_was(write):
    old = {"schema": "2.0", "datasets": [{"name": "d"}],
           "stages": {"gone": PLAIN, "e": PLAIN, "a": PLAIN}}
    write.path.write_text(dumped(old))
    write("c: d", PLAIN)
    assert write.path.read_text() == dumped(old | {"stages": old["stages"] | {"c: d": PLAIN}})
    other = load_yaml(write.path)  # by another program meanwhile
    other["stages"]["e"] = AWKWARD
    write.path.write_text(dumped(other))
    write("b@x-0", PLAIN)
    assert load_yaml(write.path)["stages"] == other["stages"] | {"b@x-0": PLAIN}


def test_an_entry_is_dvcs(project):
    """`to_lockfile` is what DVC dumps: a real lock file, read and written again, is the same text."""
    project.run("-m", "dvc", "repro", "plan")
    text = (project.folder / "dvc.lock").read_text()
    blocks = [LockFile.block(*item) for item in load_yaml(project.folder / "dvc.lock")["stages"].items()]
    assert text == "schema: '2.0'\nstages:\n" + "".join(blocks)
    assert serialize.to_lockfile is repository.to_lockfile


def entries(pid):
    return json.dumps({"write": {"/x/data": {"pid": pid, "cmd": "kelvin repro"}},
                       "read": {"/x/plan": [{"pid": pid, "cmd": "kelvin repro"}]}})


@pytest.fixture(scope="module")
def dead():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize("state", ["half-written", "dead", "number given out again"])
def test_locks_of_the_dead_are_cleared(tmp_path, dead, state):
    path = tmp_path / "rwlock"
    text = {"half-written": entries(1)[:30], "dead": entries(dead)}.get(state, entries(os.getpid()))
    path.write_text(text)
    if state == "number given out again":  # written before this process began
        os.utime(path, (0, 0))
    clear_dead_locks(str(tmp_path))
    assert not path.exists()


def test_locks_of_the_living_are_kept(tmp_path):
    path = tmp_path / "rwlock"
    clear_dead_locks(str(tmp_path))
    path.write_text(entries(os.getpid()))
    clear_dead_locks(str(tmp_path))
    assert path.read_text() == entries(os.getpid())


def test_a_running_stage_is_held_and_other_commands_are_not_kept_out(project):
    """As under `dvc repro`: another repro of the same stage is refused, `dvc status` works."""
    project.edit("seconds: 0", "seconds: 0.1")
    project.run(*KELVIN, "data")
    project.edit("seconds: 0.1", "seconds: 20")
    project.edit("active: [one, two]", "active: [one]")
    process = project.start(*KELVIN, "train@one-0")
    log = project.folder / ".kelvin/logs/train@one-0.log"
    deadline = time.monotonic() + 60
    while not (log.exists() and "output" in log.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert "train@one-0" not in project.run("-m", "dvc", "status", "data")
    assert "is busy" in project.run("-m", "dvc", "repro", "-s", "train@one-0", status=255)
    process.kill()
    process.wait()
    project.edit("seconds: 20", "seconds: 0")
    project.run("-m", "dvc", "repro", "train@one-0")
