"""A forked process does what `python ...` would, and where forking would be wrong none is made."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import kelvin.fork_server as fork_server
from kelvin.fork_server import ADDRESS, Forked, serving, start
from kelvin.quick_dvc import python_words

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")
SCRIPT = """import atexit, os, sys, threading
atexit.register(lambda: print("at exit"))
print(sys.argv[1:], os.getcwd(), os.environ.get("WHO"), sys.path[0], __name__, "torch" in sys.modules)
print(repr(sys.stdin.read()), threading.active_count(), file=sys.stderr)
if len(sys.argv) > 1:
    exec(sys.argv[1])
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("scripts") / "job.py"
    path.write_text(SCRIPT)
    return path


@pytest.fixture(scope="module")
def server():
    with serving():
        yield
    assert ADDRESS not in os.environ


def run(words, **options):
    """The process, its status and its output."""
    reading, writing = os.pipe()
    process = start([str(word) for word in words], writing, **options)
    os.close(writing)
    with open(reading) as file:
        said = file.read()
    return process, process.wait(), said


def test_a_forked_process_is_like_a_started_one(server, script, tmp_path):
    process, status, said = run([script, "1"], cwd=str(tmp_path), env=os.environ | {"WHO": "me"})
    assert isinstance(process, Forked) and status == 0
    assert f"['1'] {tmp_path} me {script.parent} __main__ True\n" in said  # torch is there
    assert "'' 1\n" in said and said.endswith("at exit\n")  # nothing to read, one thread


@pytest.mark.parametrize("code, wanted, words", [
    ("sys.exit(3)", 3, ""), ("sys.exit('a reason')", 1, "a reason"), ("sys.exit(None)", 0, ""),
    ("1 / 0", 1, "ZeroDivisionError"), ("os.kill(os.getpid(), 9)", -signal.SIGKILL, ""),
    ("import torch; print(torch.cuda.is_initialized())", 0, "False"),
    ("import torch; x = torch.ones(300, 300, requires_grad=True); (x @ x).sum().backward(); "
     "print(x.grad.mean().item())", 0, "600.0")])
def test_statuses_and_errors(server, script, code, wanted, words):
    process, status, said = run([script, code])
    plain = subprocess.run([sys.executable, script, code], capture_output=True, stdin=subprocess.DEVNULL)
    assert isinstance(process, Forked) and status == wanted == plain.returncode and words in said


def test_a_module_runs_by_name(server):
    process, status, said = run(["-m", "kelvin.quick_dvc", "--version"])
    assert isinstance(process, Forked) and status == 0 and said[0].isdigit()


def test_other_code_than_the_servers_is_started_plainly(server, script, monkeypatch):
    monkeypatch.setattr(fork_server, "source_state", lambda: {"edited.py": [1, 2]})
    process, status, said = run([script, "sys.exit(4)"])
    assert isinstance(process, subprocess.Popen) and status == 4 and "at exit" in said


def test_without_a_server_it_is_started_plainly(script, monkeypatch, tmp_path):
    for address in (None, str(tmp_path / "no-socket")):
        monkeypatch.delenv(ADDRESS, raising=False)
        if address:
            monkeypatch.setenv(ADDRESS, address)
        process, status, said = run([script])
        assert isinstance(process, subprocess.Popen) and status == 0 and "__main__ False" in said


def test_the_server_ends_with_the_process_that_started_it(monkeypatch):
    monkeypatch.delenv(ADDRESS, raising=False)
    owner = subprocess.Popen(
        [sys.executable, "-c", "import time\nfrom kelvin.fork_server import serving\n"
         "with serving():\n    print(flush=True)\n    time.sleep(60)"], stdout=subprocess.PIPE)
    owner.stdout.readline()
    servers = [process for process in Path("/proc").iterdir()
               if process.name.isdigit() and stat(process)[1] == str(owner.pid)]
    assert len(servers) == 1
    owner.kill()
    owner.wait()
    deadline = time.monotonic() + 60
    while stat(servers[0])[0] != "Z" and time.monotonic() < deadline:
        time.sleep(0.1)
    assert stat(servers[0])[0] == "Z"


def stat(process):
    """State and parent of a process; Z as of one that has ended where there is none any more."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ["Z", ""]


@pytest.mark.parametrize("command, words", [
    ("python stages/train.py a-b 0", ["stages/train.py", "a-b", "0"]),
    ("python -m kelvin.check", ["-m", "kelvin.check"]),
    ("python", None), ("sh run.sh", None), ("python a.py > out", None), ("python $X", None),
    ("python a.py && rm b", None), ("python 'a b.py'", None)])
def test_only_plain_commands_of_this_interpreter_are_forked(command, words):
    env = {"PATH": f"{Path(sys.executable).parent}:/usr/bin"}
    assert python_words(command, env) == words
    assert python_words(command, {"PATH": "/nowhere"}) is None
