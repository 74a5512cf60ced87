"""The real training stage, killed with SIGKILL and run again: what DVC or a user does after a crash."""

import json
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from conftest import ROOT

from kelvin.artifacts import live
from kelvin.pipeline.throwaway import make_copy

EPOCHS = 25
RUN = "ddpm-default"
TRAIN = ["stages/train.py", RUN, "0"]
FILES = ("ema.safetensors", "raw.safetensors", "samples.npz", "process.json")


@pytest.fixture(scope="module")
def project(tmp_path_factory, warm_python):
    """(folder, environment, run a stage) of a copy at smoke scale whose data are prepared."""
    folder = tmp_path_factory.mktemp("killed") / "copy"
    environment = make_copy(ROOT, folder, {
        "scale": "smoke", "active": [RUN], "scales.smoke.run.training.epochs": EPOCHS,
        "defaults.training.checkpoint_every": 1})

    def stage(*words):
        subprocess.run([warm_python, *words], cwd=folder, env=environment, check=True,
                       capture_output=True)

    stage("stages/plan.py")
    stage("stages/prepare.py", "digits")
    return folder, environment, stage


def killed_after_its_first_checkpoint(folder, environment):
    """What the last checkpoint of a killed training holds."""
    checkpoints, deadline = folder / ".kelvin/checkpoints", time.monotonic() + 240
    process = subprocess.Popen([sys.executable, *TRAIN], cwd=folder, env=environment,
                               stderr=subprocess.DEVNULL)
    while not list(checkpoints.glob("*.pt")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it ended before it could be killed"
    (checkpoint,) = checkpoints.glob("*.pt")
    return torch.load(checkpoint, weights_only=True)


def test_a_killed_stage_goes_on_and_ends_as_if_undisturbed(project):
    folder, environment, stage = project
    out = folder / "data/models/digits" / f"{RUN}-0"
    state = killed_after_its_first_checkpoint(folder, environment)
    assert 1 <= state["epoch"] < EPOCHS and not out.exists()
    shown, = live.live_trainings(folder)  # to MLflow: every epoch that ended; nobody trains any more
    assert shown.rows[:state["epoch"]] == state["result"]["history"] and not shown.working
    assert shown.identity["run"] == RUN
    stage(*TRAIN)
    assert not list(live.live_trainings(folder))
    # seconds are never the same twice: those of the epochs before the kill were not measured again
    seconds = json.loads((out / "cost.json").read_text())["epoch_seconds"]
    assert len(seconds) == EPOCHS
    before = pytest.approx(state["result"]["epoch_seconds"], rel=1e-5)  # JSON holds six digits
    assert seconds[:state["epoch"]] == before
    # killed before DVC recorded it, which clears the outs: nothing is trained again
    shutil.move(out, folder / "resumed")
    stage(*TRAIN)
    for name in (*FILES, "history.csv", "config.json"):
        assert (out / name).read_bytes() == (folder / "resumed" / name).read_bytes(), name
    assert json.loads((out / "cost.json").read_text())["epoch_seconds"] == seconds
    # recorded, it is sampled, and its checkpoint goes: the next training starts anew
    stage("stages/sample.py", RUN, "0")
    assert not list((folder / ".kelvin/checkpoints").iterdir())
    shutil.rmtree(out)
    stage(*TRAIN)
    for name in FILES:
        assert (out / name).read_bytes() == (folder / "resumed" / name).read_bytes(), name
    history = [(folder_ / "history.csv").read_text() for folder_ in (out, folder / "resumed")]
    assert history[0] == history[1] and len(history[0].splitlines()) == EPOCHS + 1
    whole = json.loads((out / "cost.json").read_text())["epoch_seconds"]
    assert whole[:state["epoch"]] != before


def test_the_stage_trains_on_two_cpu_processes(project):
    folder, environment, _ = project
    out = folder / "data/models/digits" / f"{RUN}-0"
    shutil.rmtree(out, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "torch.distributed.run", "--standalone", "--local_addr",
                    "127.0.0.1", "--nproc_per_node", "2", *TRAIN], cwd=folder, check=True,
                   env=environment | {"ACCELERATE_USE_CPU": "1"}, capture_output=True, timeout=300)
    cost = json.loads((out / "cost.json").read_text())
    assert cost["processes"] == 2 and len(cost["epoch_seconds"]) == EPOCHS
    assert set(FILES) <= {path.name for path in out.iterdir()}
