"""Where a stage's command runs: a process of this machine, or one that a worker of a Dask cluster starts.

A stage has a process group of its own. It ends at once when whoever started it ends, however that ends.
"""

from __future__ import annotations

import atexit
import json
import multiprocessing
import os
import re
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from kelvin.errors import KelvinError

# What most stages import, loaded once by the fork server instead of once a stage.
PRELOADED = ("torch", "torch._dynamo", "kelvin.cli", "kelvin.sampled", "kelvin.evaluation",
             "kelvin.reference", "kelvin.classifier")
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
    host: str = ""  # shown where it is not this machine


def perform(task: Task) -> int:
    """The exit status of the first command that fails, else 0. Takes the process for itself."""
    with open(task.log, "ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    sys.stdout.reconfigure(line_buffering=True)
    print(f"{BEGUN}{task.host}")
    os.chdir(task.folder)
    # `python` is the interpreter that runs Kelvin, also where no environment was activated
    os.environ.update(task.variables, PATH=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    status = 0
    for command in task.commands:
        words = python_words(command)
        if words and command == task.commands[-1]:
            return run_python(words)
        shell = os.environ.get("SHELL", "/bin/sh")
        if status := subprocess.run(command, shell=True, executable=shell).returncode:
            break
    return status


def python_words(command: str) -> list[str] | None:
    """What follows `python` in a command of plain words; None for any other command."""
    first, *words = command.split() or [""]
    return words if first == "python" and words and re.fullmatch(r"[\w\s./@+=:-]+", command) else None


def run_python(words: list[str]) -> int:
    """The exit status of `python *words`, run in this process."""
    status = 0
    try:
        if words[0] == "-m":
            sys.path[0], sys.argv = os.getcwd(), words[1:]
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            sys.path[0], sys.argv = str(Path(words[0]).parent.resolve()), words
            runpy.run_path(words[0], run_name="__main__")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if status and status is not end.code:
            print(end.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    atexit._run_exitfuncs()  # as at the end of `python *words`
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return status


def end_with(parent_end: Callable[[], object]) -> None:
    """Kill this process and what it has started as soon as `parent_end` returns."""
    def follow() -> None:
        parent_end()
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=follow, daemon=True).start()


def perform_forked(task: Task) -> int:
    """`perform` in a process of the fork server."""
    os.setpgid(0, 0)
    end_with(multiprocessing.parent_process().join)
    return perform(task)


def perform_in_child(task: Task, is_wanted: Callable[[], bool] = lambda: True) -> int:
    """`perform` in a new process, killed when nobody wants its result any more."""
    with subprocess.Popen([sys.executable, "-m", __name__], stdin=subprocess.PIPE,
                          start_new_session=True) as child:
        child.stdin.write(json.dumps(asdict(task)).encode() + b"\n")
        child.stdin.flush()  # and stays open: its end is the end of this process
        while True:
            with suppress(subprocess.TimeoutExpired):
                return child.wait(0.5)
            if not is_wanted():
                os.killpg(child.pid, signal.SIGKILL)


def perform_on_worker(task: Task) -> int:
    """`perform_in_child` on a Dask worker, until the driver or the scheduler is gone."""
    import socket
    from dataclasses import replace

    from distributed import get_worker

    worker, key = get_worker(), get_worker().get_current_task()

    def is_wanted() -> bool:
        state = worker.state.tasks.get(key)
        return state is not None and state.state == "executing"

    return perform_in_child(replace(task, host=socket.gethostname()), is_wanted)


class Machine:
    """This machine: a process for every stage, forked where torch is loaded already."""

    def __init__(self, jobs: int):
        self.jobs = jobs
        self.context = multiprocessing.get_context("forkserver")
        if sys.platform == "linux":  # other systems' libraries may not survive a fork
            self.context.set_forkserver_preload(list(PRELOADED))

    def slots(self) -> int:
        return self.jobs

    def submit(self, task: Task) -> Future[int]:
        # a pool for each: a process that is killed breaks its pool, and with it all that run there
        pool = ProcessPoolExecutor(1, mp_context=self.context)
        future = pool.submit(perform_forked, task)
        pool.shutdown(wait=False)
        return future

    def stop(self) -> None:
        """End what still runs."""
        for process in multiprocessing.active_children():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            process.join()


class Cluster:
    """A Dask cluster by its scheduler's address, or one that dask-jobqueue starts; a shared file system
    is assumed. A stage whose worker died is started again by the scheduler, up to three times."""

    def __init__(self, where: str, jobs: int | None):
        try:
            import dask
            import dask_jobqueue
            from distributed import Client
        except ImportError as error:
            raise KelvinError(f"--dask needs {error.name}: pip install '.[cluster]'") from error
        self.jobs, self.cluster = jobs, None
        if "://" not in where:
            kinds = {name.removesuffix("Cluster").lower(): kind
                     for name, kind in vars(dask_jobqueue).items() if name.endswith("Cluster")}
            del kinds["jobqueue"]  # their base class
            if where not in kinds:
                raise KelvinError(f"--dask {where} is neither an address (tcp://host:8786) nor one of "
                                  f"{', '.join(sorted(kinds))}")
            for key in ("cores", "memory"):
                if dask.config.get(f"jobqueue.{where}.{key}") is None:
                    raise KelvinError(f"jobqueue.{where}.{key} is not set: say in "
                                      f"~/.config/dask/jobqueue.yaml what one batch job gets")
            self.cluster = kinds[where]()
            self.cluster.scale(jobs=jobs or 2)
        try:
            self.client = Client(self.cluster or where, timeout=10)
        except (OSError, ValueError) as error:
            raise KelvinError(f"--dask {where}: no scheduler answers there ({error})") from error
        self.any = self.client.get_executor(pure=False)
        self.gpu = self.client.get_executor(pure=False, resources={"GPU": 1})

    def slots(self) -> int:
        """As many stages as the workers have threads: none waits on one while another is free."""
        try:
            threads = sum(self.client.nthreads().values())
        except OSError as error:
            raise KelvinError(f"the Dask scheduler is gone ({error}); run it again: finished stages are "
                              "kept") from error
        return min(threads, self.jobs or threads)

    def submit(self, task: Task) -> Future[int]:
        workers = self.client.scheduler_info(n_workers=-1)["workers"].values()
        offered = any(worker["resources"].get("GPU") for worker in workers)
        is_gpu = offered and task.stage.partition("@")[0] in GPU_STAGES
        return (self.gpu if is_gpu else self.any).submit(perform_on_worker, task)

    def stop(self) -> None:
        self.client.close()
        if self.cluster is not None:
            self.cluster.close()


def main() -> int:
    task = Task(**json.loads(sys.stdin.readline()))
    stdin = os.dup(0)
    end_with(lambda: os.read(stdin, 1))
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    return perform(task)


if __name__ == "__main__":
    sys.exit(main())
