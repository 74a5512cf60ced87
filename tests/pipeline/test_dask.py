"""`kelvin repro --dask`: real schedulers and workers, each a process of its own, on this machine."""

import json
import signal
import subprocess
import sys
import time

import psutil
import pytest
from conftest import ROOT
from tiny_project import DVC, ENVIRONMENT, KELVIN

from kelvin.common.errors import KelvinError
from kelvin.pipeline.executors import Cluster
from kelvin.pipeline.throwaway import make_copy

RECORD = "reports/runs/digits/ddpm-default-0.json"


def until(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return value


def is_alive(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Workers:
    """A scheduler; `start` adds a worker by name, whose stages see it in WORKER."""

    def __init__(self, folder):
        self.file, self.processes = folder / "scheduler.json", {}
        self._start("scheduler", "scheduler", "--host", "127.0.0.1", "--port", "0")
        until(self.file.exists)
        self.address = json.loads(self.file.read_text())["address"]

    def start(self, name, *options):
        self._start(name, "worker", "--nthreads", "1", "--no-nanny", "--name", name, *options)

    def _start(self, name, *words):
        self.processes[name] = subprocess.Popen(
            [sys.executable, "-m", "dask", *words, "--no-dashboard", "--scheduler-file", str(self.file)],
            env=ENVIRONMENT | {"WORKER": f"@{name}"}, cwd=self.file.parent, stderr=subprocess.DEVNULL)


@pytest.fixture
def workers(tmp_path):
    workers = Workers(tmp_path)
    yield workers
    for process in workers.processes.values():
        process.kill()
        process.wait()


def test_a_worker_with_a_gpu_gets_the_stages_that_use_one(project, tmp_path, workers):
    plain = project.copy(tmp_path / "plain")
    plain.run(*DVC)
    workers.start("cpu")
    workers.start("gpu", "--resources", "GPU=1")
    text = project.run(*KELVIN, "--dask", workers.address)
    assert project.results() == plain.results()
    on = dict(line.rsplit("@", 1) for line in project.ran() if "@" in line.removeprefix("train@"))
    assert {where for stage, where in on.items() if stage.startswith("train")} == {"gpu"}
    assert sum(stage.startswith("train") for stage in on) == 4 and "data" in on
    assert "8 of 9 stages to run, on the cluster" in text


def test_a_stage_that_fails_is_not_taken_for_a_dead_worker(project, workers):
    project.edit("a: 1", "a: 1\nfail: data")
    workers.start("one")
    text = project.run(*KELVIN, "--dask", workers.address, status=1)
    assert text.count("asked to fail") == 1 and "data FAILED (exit status 1)" in text


def test_stages_end_with_the_driver(project, workers):
    project.edit("seconds: 0", "seconds: 300")
    workers.start("one")
    driver = project.start(*KELVIN, "--dask", workers.address, "data")
    worker = psutil.Process(workers.processes["one"].pid)
    stages = until(lambda: worker.children(recursive=True))
    log = project.folder / ".kelvin/logs/data.log"
    until(lambda: "output of data" in log.read_text())
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    until(lambda: not any(is_alive(stage) for stage in stages))
    assert is_alive(worker)


def test_a_killed_worker_loses_no_training(tmp_path, workers, warm_python):
    """Two workers run the core; the one that trains is killed with SIGKILL after a checkpoint. The record
    is what one machine makes of the same training undisturbed."""
    folder = tmp_path / "copy"
    environment = make_copy(ROOT, folder, {
        "scale": "smoke", "active": ["ddpm-default"], "scales.smoke.run.training.epochs": 30,
        "defaults.training.checkpoint_every": 1})
    for name in ("a", "b"):
        workers.start(name)
    driver = subprocess.Popen(
        [sys.executable, "-m", "kelvin", "repro", "evaluate", "--dask", workers.address], cwd=folder,
        env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    checkpoints = folder / ".kelvin/checkpoints"
    until(lambda: list(checkpoints.glob("*.pt")) or driver.poll() is not None, 600)
    assert driver.poll() is None, driver.communicate()[0]
    logs = [(name, {file.path for stage in psutil.Process(workers.processes[name].pid).children()
                    for file in stage.open_files()}) for name in ("a", "b")]
    (trainer,) = [name for name, paths in logs if any("train@ddpm-default-0.log" in p for p in paths)]
    workers.processes[trainer].kill()
    text = driver.communicate()[0]
    assert driver.returncode == 0, text
    assert "train@ddpm-default-0: its worker died; begun again" in text
    cost = json.loads((folder / "data/models/digits/ddpm-default-0/cost.json").read_text())
    assert len(cost["epoch_seconds"]) == 30
    assert not list(checkpoints.iterdir())
    record = (folder / RECORD).read_bytes()
    environment["PATH"] = f"{warm_python.parent}:{environment['PATH']}"
    subprocess.run(["dvc", "repro", "-f", "-s", *(f"{stage}@ddpm-default-0" for stage in (
        "train", "sample", "evaluate"))], cwd=folder, env=environment, check=True, capture_output=True)
    assert (folder / RECORD).read_bytes() == record
    again = json.loads((folder / "data/models/digits/ddpm-default-0/cost.json").read_text())
    assert again["epoch_seconds"] != cost["epoch_seconds"]  # it was trained anew


SBATCH = """#!/bin/sh
cp "$1" {folder}/script
sh {folder}/script > {folder}/job.log 2>&1 &  # its own file is deleted at once
echo Submitted batch job $!
"""


def test_a_batch_system_by_a_stand_in_for_it(project, tmp_path, monkeypatch):
    """`sbatch` runs dask-jobqueue's script at once, `scancel` ends it; the script is as configured."""
    (tmp_path / "bin").mkdir()
    for name, text in (("sbatch", SBATCH.format(folder=tmp_path)), ("scancel", "#!/bin/sh\nkill $1\n")):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    for name, value in {"CORES": "1", "MEMORY": "2GB", "QUEUE": "short", "WALLTIME": "00:10:00",
                        "WORKER_EXTRA_ARGS": '["--resources", "GPU=1"]'}.items():
        monkeypatch.setitem(ENVIRONMENT, f"DASK_JOBQUEUE__SLURM__{name}", value)
    monkeypatch.setitem(ENVIRONMENT, "PATH", f"{tmp_path / 'bin'}:{ENVIRONMENT['PATH']}")
    text = project.run(*KELVIN, "--dask", "slurm", "--jobs", "1")
    assert "Done in" in text and len(project.ran()) == 8
    script = (tmp_path / "script").read_text().splitlines()
    assert {"#SBATCH -p short", "#SBATCH --mem=2G", "#SBATCH --cpus-per-task=1",
            "#SBATCH -t 00:10:00"} <= set(script)
    command = next(line for line in script if "distributed.cli.dask_worker" in line)
    assert sys.executable in command and "--resources GPU=1" in command and "--nthreads 1" in command
    until(lambda: not any("dask_worker" in " ".join(process.info["cmdline"] or ()) and is_alive(process)
                          and str(project.folder) == process.info["cwd"]
                          for process in psutil.process_iter(["cmdline", "cwd"])))


@pytest.mark.parametrize("where, sentence", [
    ("slurn", "neither an address .* nor one of htcondor, lsf, moab, oar, pbs, sge, slurm"),
    ("pbs", "jobqueue.pbs.cores is not set"), ("tcp://127.0.0.1:9", "no scheduler answers there")])
def test_a_wrong_cluster_is_one_sentence(where, sentence):
    with pytest.raises(KelvinError, match=sentence) as error:
        Cluster(where, None)
    assert "\n" not in str(error.value)
