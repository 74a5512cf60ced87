"""The driver of `kelvin repro`: it alone talks to DVC, the stages' commands run in an Executor."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.stage import Stage
from dvc.stage.run import prepare_kwargs

from kelvin.common import signals
from kelvin.common.errors import KelvinError
from kelvin.pipeline.board import Board
from kelvin.pipeline.executors import Cluster, Machine, Task, perform_in_child
from kelvin.pipeline.refusals import one_line, refusal_of
from kelvin.pipeline.repository import Repository

LOGS = Path(".kelvin/logs")
REPORT = Path("reports/index.html")
PASSED_ON = ("DVC_", "KELVIN_", "MLFLOW_", "OMP_", "MKL_")  # of the driver's environment, to any worker
POLL = 0.2  # seconds between two looks at the logs


def repro(targets: Sequence[str] = (), jobs: int | None = None, dask: str | None = None) -> bool:
    """Run what DVC finds changed among the targets (all stages) and what they need; True on success.

    The project's root becomes the working directory. Raises KelvinError.
    """
    started, held = time.monotonic(), ExitStack()
    executor: Light | Machine | Cluster | None = None
    try:
        repository = Repository(targets)
        held.enter_context(alone())
        executor = Light(lambda: repository.order)  # DVC's graph is built while the plan is made
        if not run(repository, dict.fromkeys(repository.first, True), executor, Board()):
            return False
        executor.stop()
        wanted = repository.survey([stage for stage in repository.order
                                    if stage not in repository.first])
        if wanted:
            executor = Cluster(dask, jobs) if dask else Machine(jobs or 2)
            print(f"{len(wanted)} of {len(repository.order)} stages to run, "
                  f"{'on the cluster' if dask else f'{executor.slots()} side by side'}", flush=True)
            if not run(repository, wanted, executor, Board(len(wanted))):
                print("Stopped: the stage named above failed; what was finished before it is kept.")
                return False
    except (KelvinError, OSError):
        raise
    except KeyboardInterrupt:
        signals.heard()
        raise
    except Exception as error:
        raise refusal_of(error) from error
    finally:
        if executor:
            executor.stop()
        held.close()
    minutes = (time.monotonic() - started) / 60
    outcome = f"Done in {minutes:.1f} minutes." if wanted else "Everything is up to date."
    print(f"{outcome} The report: {REPORT.resolve()}" if REPORT.exists() else outcome)
    return True


@contextmanager
def alone() -> Iterator[None]:
    """Held while one driver works in a checkout; KelvinError says which other process does."""
    path = Path(".kelvin/repro.lock")
    path.parent.mkdir(exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            pid = file.read().strip() or "unknown"
            raise KelvinError(f"another `kelvin repro` works in this checkout (process {pid}): wait for "
                              f"it, or end it by `kill {pid}`; what it has finished is kept") from error
        file.truncate(0)
        print(os.getpid(), file=file, flush=True)
        yield
        file.truncate(0)


class Light:
    """One plain process at a time, quick to start: for a stage that needs no torch. `meanwhile` is
    called while it runs."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        self._threads, self._meanwhile, self._is_stopped = ThreadPoolExecutor(1), meanwhile, False

    def slots(self) -> int:
        return 1

    def submit(self, task: Task) -> Future[int]:
        future = self._threads.submit(perform_in_child, task, lambda: not self._is_stopped)
        self._meanwhile()
        return future

    def stop(self) -> None:
        """End what still runs."""
        self._is_stopped = True
        self._threads.shutdown()


def run(repository: Repository, wanted: dict[Stage, bool | None], executor: Light | Machine | Cluster,
        board: Board) -> bool:
    """Run the wanted stages, each after what it needs; False after a failure, which begins no more."""
    waiting, is_failed = dict(wanted), False
    running: dict[Future[int], Stage] = {}
    try:
        while running or (waiting and not is_failed):
            slots = executor.slots()
            for stage in [stage for stage in waiting if not is_failed]:
                if len(running) >= slots:
                    break
                if repository.needs[stage] & {*waiting, *running.values()}:
                    continue
                if (outcome := repository.begin(stage, waiting.pop(stage))) == "run":
                    task = task_of(stage)
                    board.follow(stage.addressing, Path(task.log))
                    running[executor.submit(task)] = stage
                else:
                    board.say(f"{board.number()} {stage.addressing}: {outcome}")
            if not (running or slots):  # no worker has come yet
                time.sleep(POLL)
            ended = wait(running, POLL, FIRST_COMPLETED).done
            board.read()
            for future in ended:
                stage = running.pop(future)
                failure = failure_of(future) or failure_to_commit(repository, stage)
                board.end(stage.addressing, f"FAILED ({failure})" if failure else "done")
                is_failed |= bool(failure)
    finally:
        for stage in wanted:
            repository.release(stage)
    return not is_failed


def task_of(stage: Stage) -> Task:
    """What DVC would run."""
    options = prepare_kwargs(stage)
    commands = stage.cmd if isinstance(stage.cmd, list) else stage.cmd.splitlines()
    variables = {name: text for name, text in options["env"].items() if name.startswith(PASSED_ON)}
    if sys.stdout.isatty():
        variables["KELVIN_BAR_SECONDS"] = "0.5"  # a live row, not a line in a log
    log = LOGS.resolve() / f"{stage.addressing.replace('/', '-')}.log"
    return Task(stage.addressing, commands, options["cwd"], variables, str(log))


def failure_to_commit(repository: Repository, stage: Stage) -> str:
    """Why DVC does not take what the stage has made, "" where it did: others go on."""
    try:
        repository.commit(stage)
    except DvcException as error:  # an out is missing
        return one_line(error)
    return ""


def failure_of(future: Future[int]) -> str:
    """Why a stage did not succeed; "" where it did."""
    try:
        status = future.result()
    except BrokenProcessPool:
        return "its process was killed: out of memory? Run it again, it goes on from its checkpoint"
    except (Exception, CancelledError) as error:  # of the cluster: no worker survived the stage
        return f"{type(error).__name__}: {error}"
    return f"exit status {status}" if status else ""
