"""Where a stage's command runs: a process of this machine, or one that a worker of a Dask cluster starts.

A stage has a process group of its own. It ends at once when whoever started it ends, however that ends.
"""

from __future__ import annotations

import atexit
import json
import multiprocessing.util
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from functools import cache
from multiprocessing import forkserver, resource_tracker
from pathlib import Path
from typing import Any

from kelvin.common.errors import KelvinError
from kelvin.common.scratch import scratch_folder

# What most stages import, loaded once by the fork server instead of once a stage.
PRELOADED = ("torch", "torch._dynamo", "kelvin.cli", "kelvin.sampling.sample_run",
             "kelvin.evaluation.evaluate_run", "kelvin.features.reference", "kelvin.features.classifier")
GPU_STAGES = ("pretrain", "train", "sample", "evaluate", "classifier", "reference", "calibrate")
BEGUN = "\x01begun "  # a log's line where an attempt begins; the machine follows


@dataclass(frozen=True)
class Task:
    """A stage's commands, with what DVC would give them: working directory and environment."""

    stage: str
    commands: Sequence[str]
    folder: str
    variables: dict[str, str]  # on top of the worker's own environment
    log: str  # both outputs are appended here: a file that driver and worker see


def perform(task: Task) -> int:
    """The exit status of the first command that fails, else 0. Takes the process for itself."""
    with open(task.log, "ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    sys.stdout.reconfigure(line_buffering=True)
    print(f"\n{BEGUN}{socket.gethostname()}")  # a killed attempt may have left half a line
    os.chdir(task.folder)
    # `python` is the interpreter that runs Kelvin, also where no environment was activated
    os.environ.update(task.variables, PATH=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    for command in task.commands:
        if command == task.commands[-1] and (words := python_words(command)):
            return run_python(words)
        shell = os.environ.get("SHELL", "/bin/sh")
        if status := subprocess.run(command, shell=True, executable=shell).returncode:
            return status
    return 0


def python_words(command: str) -> list[str] | None:
    """The words after `python` in a plain `python script.py ...`; None for any other command."""
    match = re.fullmatch(r"python ([\w./@+=:][\w\s./@+=:-]*)", command)
    return match and match[1].split()


def run_python(words: list[str]) -> int:
    """The exit status of `python *words`, run in this process."""
    status, sys.argv, sys.path[0] = 0, words, str(Path(words[0]).parent.resolve())
    try:
        runpy.run_path(words[0], run_name="__main__")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if status and status is not end.code:
            print(end.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    atexit._run_exitfuncs()  # as at the end of `python *words`
    sys.stdout.flush()
    return status


def end_after(parent_end: Callable[[], object]) -> None:
    """Kill this process and what it has started as soon as `parent_end` returns."""
    def follow() -> None:
        parent_end()
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=follow, daemon=True).start()


def perform_forked(task: Task) -> int:
    """`perform` in a process of the fork server."""
    os.setpgid(0, 0)
    end_after(multiprocessing.parent_process().join)
    return perform(task)


def perform_in_child(task: Task, is_wanted: Callable[[], bool] = lambda: True) -> int:
    """`perform` in a new process, killed when its result is not wanted any more."""
    with subprocess.Popen([sys.executable, "-m", __name__], stdin=subprocess.PIPE,
                          start_new_session=True) as child:
        child.stdin.write(json.dumps(asdict(task)).encode() + b"\n")
        child.stdin.flush()  # and stays open: its end is the end of this process
        while True:
            with suppress(subprocess.TimeoutExpired):
                return child.wait(0.5)
            if not is_wanted():
                os.killpg(child.pid, signal.SIGKILL)


def main() -> int:
    """The new process of `perform_in_child`."""
    task, stdin = Task(**json.loads(sys.stdin.readline())), os.dup(0)
    end_after(lambda: os.read(stdin, 1))
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    return perform(task)


def perform_on_worker(task: Task) -> int:
    """`perform_in_child` on a Dask worker, until the driver or the scheduler is gone."""
    from distributed import get_worker

    worker, key = get_worker(), get_worker().get_current_task()

    def is_wanted() -> bool:
        state = worker.state.tasks.get(key)
        return state is not None and state.state == "executing"

    return perform_in_child(task, is_wanted)


@cache
def place_socket() -> None:
    """Make multiprocessing's folder for its socket, once: removed after a kill too, and its path short
    enough (a socket's may have 107 characters) however long TMPDIR is."""
    parent, held = tempfile.gettempdir(), ExitStack()
    folder = held.enter_context(scratch_folder("kelvin-", Path(parent if len(parent) < 60 else "/tmp")))
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        multiprocessing.util.get_temp_dir()
    finally:
        tempfile.tempdir = before
    # multiprocessing removes its own with priority -100
    multiprocessing.util.Finalize(None, held.close, exitpriority=-101)


class Machine:
    """This machine: a process for every stage, forked where torch is loaded already."""

    def __init__(self, jobs: int) -> None:
        self._jobs, self._context = jobs, multiprocessing.get_context("forkserver")
        if sys.platform == "linux":  # other systems' libraries may not survive a fork
            self._context.set_forkserver_preload(list(PRELOADED))
        place_socket()
        # Ctrl-C on a terminal is for the driver, which ends its stages; all inherit the mask
        resource_tracker.ensure_running()  # it resets the mask
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def slots(self) -> int:
        return self._jobs

    def submit(self, task: Task) -> Future[int]:
        # a pool for each: a process that is killed breaks its pool, and with it all that run there
        with_one = ProcessPoolExecutor(1, mp_context=self._context)
        future = with_one.submit(perform_forked, task)
        with_one.shutdown(wait=False)
        return future

    def stop(self) -> None:
        """End what still runs."""
        children = multiprocessing.active_children()
        for process in children:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
        if pid := forkserver._forkserver._forkserver_pid:  # it may still be about to fork
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in children:
            process.join()


class Cluster:
    """A Dask cluster: one that runs, by its scheduler's address, or one that dask-jobqueue starts.

    The scheduler starts a stage again whose worker died, up to three times (distributed's
    allowed-failures).
    """

    def __init__(self, where: str, jobs: int | None) -> None:
        try:
            from distributed import Client
        except ModuleNotFoundError as error:
            raise KelvinError("--dask needs more packages: pip install -e '.[cluster]'") from error
        self._jobs, self._cluster = jobs, None if "://" in where else batch_system(where, jobs or 2)
        try:
            self._client = Client(self._cluster or where, timeout=10)
        except (OSError, ValueError) as error:
            raise KelvinError(f"--dask {where}: no scheduler answers there ({error})") from error
        self._any = self._client.get_executor(pure=False)
        self._gpu = self._client.get_executor(pure=False, resources={"GPU": 1})

    def slots(self) -> int:
        """As many stages as the workers have threads: none waits on one while another is free."""
        try:
            threads = sum(self._client.nthreads().values())
        except OSError as error:
            raise KelvinError("the Dask scheduler is gone: start it, and run this again") from error
        return min(threads, self._jobs or threads)

    def submit(self, task: Task) -> Future[int]:
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        is_gpu = task.stage.partition("@")[0] in GPU_STAGES and any(
            worker["resources"].get("GPU") for worker in workers)
        return (self._gpu if is_gpu else self._any).submit(perform_on_worker, task)

    def stop(self) -> None:
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()


def batch_system(kind: str, jobs: int) -> Any:
    """dask-jobqueue's cluster of this kind with so many jobs; KelvinError where it is not configured."""
    import dask
    import dask_jobqueue

    kinds = {name.removesuffix("Cluster").lower(): value for name, value in vars(dask_jobqueue).items()
             if name.endswith("Cluster") and name != "JobQueueCluster"}
    if kind not in kinds:
        raise KelvinError(f"--dask {kind} is neither an address (tcp://host:8786) nor one of "
                          f"{', '.join(sorted(kinds))}")
    for key in ("cores", "memory"):
        if dask.config.get(f"jobqueue.{kind}.{key}") is None:
            raise KelvinError(f"jobqueue.{kind}.{key} is not set: say in ~/.config/dask/jobqueue.yaml "
                              "what one batch job gets (docs/clusters.md)")
    cluster = kinds[kind]()
    cluster.scale(jobs=jobs)
    return cluster


if __name__ == "__main__":
    sys.exit(main())
