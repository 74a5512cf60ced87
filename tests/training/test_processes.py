"""Training on several CPU processes, started for real over loopback: they learn what one learns."""

import os
import subprocess
import sys
import time

import pytest
import torch
from conftest import ROOT
from trainers import FP32, config, make

from kelvin.common.hardware import pick_device

SCRIPT = """
import os, pathlib, signal, sys, time
import torch
torch.set_num_threads(1)
sys.path.insert(0, TESTS)
import trainers as t
from kelvin.config.resolve import Params, read
from kelvin.common.errors import KelvinError

folder, batch, end = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
params = Params(read("params.yaml"))

def trainer(batch):
    return t.make(t.config(params, epochs=1, batch=batch, times=os.environ.get("TIMES", "uniform")),
                  folder, "several", n=4 * batch, precision=t.FP32)

try:
    trainer(int(os.environ["WORLD_SIZE"]) - 1)
except KelvinError as error:
    (folder / f"refused-{os.environ['RANK']}").write_text(str(error))
one = trainer(batch)
rank, predicted, calls = one.accelerator.process_index, one.step.predict, []

def ends(*arguments):
    calls.append(1)
    if len(calls) == 3:
        (folder / "end").write_text(str(time.time()))
        if end[0] == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise RuntimeError("the end of one process")
    return predicted(*arguments)

if end and int(end[1]) == rank:
    one.step.predict = ends
result = one.run()
(folder / f"device-{rank}").write_text(one.accelerator.device.type)
if one.accelerator.is_main_process:
    torch.save({"weights": one.bare.state_dict(), "history": result.history,
                "processes": one.accelerator.num_processes}, folder / "out.pt")
"""


def vector(weights):
    return torch.cat([tensor.flatten() for tensor in weights.values()])


def launched(folder, processes, *arguments, **environment):
    script = folder / "go.py"
    script.write_text(SCRIPT.replace("TESTS", repr(str(ROOT / "tests"))))
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local_addr", "127.0.0.1",
         "--nproc_per_node", str(processes), script, folder, *map(str, arguments)],
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment, capture_output=True, text=True,
        timeout=200)


@pytest.mark.parametrize(("processes", "batch", "environment"), [
    (2, 32, {"ACCELERATE_USE_CPU": "1"}), (3, 5, {"TIMES": "importance"})])
def test_several_processes_learn_what_one_learns(params, tmp_path, processes, batch, environment):
    """Also where their shares of a batch differ: losses and gradient norms to 1e-3, weights to 5 %
    of the way that they went. A batch of less than one image each is refused, by every process."""
    done = launched(tmp_path, processes, batch, **environment)
    assert done.returncode == 0, done.stderr[-2000:]
    found = torch.load(tmp_path / "out.pt", weights_only=True)
    assert found["processes"] == processes == len(list(tmp_path.glob("device-*")))
    refused = [path.read_text() for path in tmp_path.glob("refused-*")]
    assert len(refused) == processes and all(line.startswith(
        f"training.batch = {processes - 1} is less than the {processes} processes, each of which needs")
        for line in refused)
    if "ACCELERATE_USE_CPU" in environment:
        assert {path.read_text() for path in tmp_path.glob("device-*")} == {"cpu"}
    alone = make(config(params, epochs=1, batch=batch, times=environment.get("TIMES", "uniform")),
                 tmp_path, "alone", n=4 * batch, precision=FP32)
    first = vector(alone.bare.state_dict()).clone()
    (expected,), (row,) = alone.run().history, found["history"]
    assert row == pytest.approx(expected, rel=1e-3)
    last = vector(alone.bare.state_dict())  # Adam makes much of the rounding of gradients near 0
    assert (vector(found["weights"]) - last).norm() < 0.05 * (last - first).norm()


@pytest.mark.parametrize("end", [("kill", 1), ("raise", 0)])
def test_one_failing_process_ends_all(tmp_path, end):
    done = launched(tmp_path, 2, 32, *end, ACCELERATE_USE_CPU="1")
    assert done.returncode != 0 and time.time() - float((tmp_path / "end").read_text()) < 60
    assert not list(tmp_path.glob("device-*")) and not (tmp_path / "out.pt").exists()


@pytest.mark.parametrize(("words", "refused"), [
    (["--num_processes", "2"], True), (["--num_processes", "1"], False)])
def test_accelerates_own_launcher_of_one_process_is_refused(tmp_path, words, refused):
    """It was a training on one process that passed for one on two."""
    (tmp_path / "go.py").write_text(
        "from kelvin.common.hardware import pick_device\nprint(pick_device())\n")
    done = subprocess.run(
        [sys.executable, "-m", "accelerate.commands.launch", "--cpu", *words, str(tmp_path / "go.py")],
        text=True, capture_output=True, timeout=200)
    assert (done.returncode != 0) == refused
    assert ("`accelerate launch --cpu` starts one process, however many" in done.stderr) == refused


@pytest.mark.parametrize(("variable", "there", "cpu"), [
    ("1", True, True), ("true", False, True), (None, True, False), (None, False, True),
    ("0", True, False)])
def test_the_environment_decides_for_cpus(monkeypatch, variable, there, cpu):
    class State:
        def __init__(self, cpu=False):
            self.device = torch.device("cpu" if cpu else "cuda")

    monkeypatch.setattr("accelerate.PartialState", State)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: there)
    monkeypatch.delenv("ACCELERATE_USE_CPU", raising=False)
    if variable:
        monkeypatch.setenv("ACCELERATE_USE_CPU", variable)
    assert pick_device() == torch.device("cpu" if cpu else "cuda")
