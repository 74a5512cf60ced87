"""A stage's process: what it is given, how it ends, and that nothing outlives whoever started it."""

import importlib
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool

import psutil
import pytest
from conftest import ROOT

from kelvin.pipeline import executors
from kelvin.pipeline.executors import BEGUN, PRELOADED, Machine, Task, perform_in_child, python_words


@pytest.fixture(autouse=True)
def no_preloading(monkeypatch):
    monkeypatch.setattr(executors, "PRELOADED", ())


def task(folder, *commands, **variables):
    (folder / "log").write_text("")
    return Task("stage", commands, str(folder), variables, str(folder / "log"))


@pytest.fixture(params=["forked", "child"])
def perform(request):
    def perform_forked(task):
        return Machine(1).submit(task).result()

    return {"forked": perform_forked, "child": perform_in_child}[request.param]


def test_a_script_runs_as_python_runs_it(tmp_path, perform):
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/near.py").write_text("value = 3\n")
    (tmp_path / "stages/x.py").write_text(
        "import atexit, os, sys, near\natexit.register(print, 'at exit')\n"
        "own_group = os.getpgrp() == os.getpid()\n"
        "print(__name__, sys.argv, os.getcwd(), os.environ['A'], near.value, own_group)\n"
        "print('an error', file=sys.stderr)\nsys.exit(int(sys.argv[1]))\n")
    for status in (0, 3):
        assert perform(task(tmp_path, f"python stages/x.py {status}", A="b c")) == status
        _, begun, *lines = (tmp_path / "log").read_text().splitlines()
        assert begun == f"{BEGUN}{socket.gethostname()}"
        assert sorted(lines) == [f"__main__ ['stages/x.py', '{status}'] {tmp_path} b c 3 True",
                                 "an error", "at exit"]


@pytest.mark.parametrize("text, status, shown", [
    ("raise ValueError('wrong')", 1, "ValueError: wrong"),
    ("import sys; sys.exit('a sentence')", 1, "a sentence"),
    ("import sys; sys.exit()", 0, ""), ("import os; os._exit(7)", 7, "")])
def test_how_a_script_ends(tmp_path, text, status, shown):
    (tmp_path / "x.py").write_text(text)
    assert perform_in_child(task(tmp_path, "python x.py")) == status
    assert shown in (tmp_path / "log").read_text()


def test_other_commands_run_in_a_shell_up_to_the_first_that_fails(tmp_path, perform):
    commands = ["echo one | tr o 0", "test -d . && exit 4", "echo never"]
    assert perform(task(tmp_path, *commands)) == 4
    assert (tmp_path / "log").read_text().splitlines()[2:] == ["0ne"]


@pytest.mark.parametrize("command, words", [
    ("python stages/train.py a-b 0", ["stages/train.py", "a-b", "0"]),
    ("python -m kelvin.check", None), ("python", None), ("", None), ("python -x", None),
    ("sh run.sh", None), ("python a.py > out", None), ("python $X", None), ("python a.py && rm b", None),
    ("python 'a b.py'", None)])
def test_only_plain_python_commands_need_no_shell(command, words):
    assert python_words(command) == words


@pytest.mark.parametrize("name", PRELOADED)
def test_what_is_preloaded_exists(name):
    """The fork server passes over a module that it cannot import: it would only be slow."""
    assert importlib.import_module(name).__name__ == name


def test_a_killed_process_breaks_no_other(tmp_path):
    machine = Machine(2)
    (tmp_path / "x.py").write_text("import os, signal, sys, time\nif sys.argv[1] == 'dies':\n"
                                   "    os.kill(os.getpid(), signal.SIGKILL)\ntime.sleep(1)\n")
    other = machine.submit(task(tmp_path, "python x.py lives"))
    dies = machine.submit(task(tmp_path, "python x.py dies"))
    assert isinstance(dies.exception(), BrokenProcessPool)
    assert other.result() == 0


OWNER = """
import sys, time
from kelvin.pipeline import executors
from kelvin.pipeline.executors import Machine, Task, perform_in_child
executors.PRELOADED = ()
way, folder = sys.argv[1:]
task = Task("stage", ["sleep 600 & echo $! $$ >> pids; sleep 600"], folder, {}, folder + "/log")
if __name__ == "__main__":
    if way == "child":
        perform_in_child(task)
    machine = Machine(1)
    future = machine.submit(task)
    if way == "stopped":
        while not open(folder + "/log").read():
            time.sleep(0.1)
        time.sleep(1)
        machine.stop()
    else:
        future.result()
"""


@pytest.mark.parametrize("way", ["child", "forked", "stopped"])
def test_nothing_outlives_its_starter(tmp_path, way):
    """Killed with SIGKILL, or stopped as after Ctrl-C: the stage and its own children end with it."""
    (tmp_path / "log").write_text("")
    (tmp_path / "owner.py").write_text(OWNER)
    owner = subprocess.Popen([sys.executable, "owner.py", way, str(tmp_path)], cwd=tmp_path,
                             env=os.environ | {"PYTHONPATH": str(ROOT / "src")})
    until(lambda: (tmp_path / "pids").exists() and (tmp_path / "pids").read_text().strip())
    started = psutil.Process(owner.pid).children(recursive=True)
    pids = {int(pid) for pid in (tmp_path / "pids").read_text().split()}
    assert pids <= {process.pid for process in started}
    if way != "stopped":
        owner.send_signal(signal.SIGKILL)
    owner.wait(60)
    until(lambda: not any(is_alive(process) for process in started))


def is_alive(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
