"""benchmarks/kill.py in short, on the small project; and Ctrl-C."""

import importlib.util
import random
import signal
import sys
import time

import psutil
import pytest
from conftest import ROOT
from tiny_project import DVC, ENVIRONMENT, KELVIN

spec = importlib.util.spec_from_file_location("kill", ROOT / "benchmarks/kill.py")
kill = importlib.util.module_from_spec(spec)
spec.loader.exec_module(kill)


def test_killed_again_and_again(project, tmp_path):
    undisturbed = project.copy(tmp_path / "undisturbed")
    undisturbed.run(*DVC)
    project.edit("seconds: 0", "seconds: 0.3")
    trial = kill.Trial(project.folder, [sys.executable, *KELVIN], ENVIRONMENT)
    started = time.monotonic()
    trial.attempt(2)  # about when stages begin, on a quick machine
    kill.kill_until_done(trial, time.monotonic() - started + 4, 4, random.Random(0))
    assert trial.kills >= 1
    theirs, ours = undisturbed.results(), project.results()
    # params.yaml differs, and so does its checksum in dvc.lock
    for name in theirs.keys() - {"params.yaml", "dvc.lock"}:
        assert ours[name] == theirs[name], name
    assert ours.keys() == theirs.keys()
    assert "Everything is up to date" in project.run(*KELVIN)


@pytest.mark.parametrize("signals", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminated"])
def test_a_stopped_run_leaves_nothing_and_goes_on(project, signals):
    project.edit("seconds: 0", "seconds: 0.2")
    project.run(*KELVIN, "data")
    project.edit("seconds: 0.2", "seconds: 60")
    process = project.start(*KELVIN, "train")
    log = project.folder / ".kelvin/logs/train@one-0.log"
    deadline = time.monotonic() + 60
    while not (log.exists() and "output" in log.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)
    started = psutil.Process(process.pid).children(recursive=True)
    assert started
    process.send_signal(signals)  # to the driver alone
    text = process.communicate(timeout=60)[0]
    if signals == signal.SIGINT:
        assert process.returncode == 130 and "Stopped. Run it again" in text and "Traceback" not in text
    deadline = time.monotonic() + 30
    while any(kill.is_alive(process) for process in started):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    project.ran()
    project.edit("seconds: 60", "seconds: 0")
    project.run("-m", "dvc", "repro", "train@one-0")
    assert project.ran()[-1:] == ["train@one-0"]
