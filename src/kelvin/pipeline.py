"""`make repro`: the stages of dvc.yaml side by side, with their progress on one line each.

DVC decides what is to be done; this module only orders the work. Every stage is run as
`dvc --wait-for-lock repro -s <stage>`, which is DVC's safe way to share a workspace (with
kelvin.quick_dvc's parser).
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from kelvin.errors import KelvinError
from kelvin.files import write_text
from kelvin.fork_server import serving, start

DVC = ("-m", "kelvin.quick_dvc")
NOISE = re.compile(r"^(> |Updating lock file|Use `dvc push`|To track the changes|\s*git add|"
                   r"To enable auto staging|$)")
STARTED = re.compile(r"^(?:Running stage|Stage) '(.+?)'(.*)")


def survey() -> tuple[dict[str, set[str]], set[str]]:
    """stage -> the stages it needs, in order; and the stages that `dvc status` calls changed.

    Needs come first, else the order is that of dvc.yaml and `active`.
    """
    import networkx
    from dvc.repo import Repo

    from kelvin.quick_dvc import remember_yaml

    remember_yaml()
    with Repo(".") as repo:
        graph = repo.index.graph  # an edge leads from a stage to what it needs
        place = {stage: number for number, stage in enumerate(repo.index.stages)}
        order = networkx.lexicographical_topological_sort(graph.reverse(), key=place.__getitem__)
        needs = {stage.addressing: {need.addressing for need in graph.successors(stage)}
                 for stage in order}
        return needs, set(repo.status()) & set(needs)


WRITTEN_BY_HAND = ("params.yaml", "dvc.yaml", "src/kelvin", "stages")
WATCHED = (*WRITTEN_BY_HAND, "dvc.lock", "reports",
           *(f"data/{kind}" for kind in ("checked", "prepared", "starts", "models", "samples",
                                         "evaluations")))
STAMP = Path(".kelvin/up-to-date")


def watched_state(watched: Sequence[str] = WATCHED) -> str:
    """A digest of names, sizes and times of every file that DVC would look at.

    As in DVC's own cache of checksums, an unchanged size and time means an unchanged file. Asking DVC
    itself takes a few seconds, most of it reading params.yaml once for each stage.
    """
    digest = hashlib.sha256()
    for top in map(Path, watched):
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and path.suffix != ".pyc":
                stat = path.stat()
                digest.update(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def todo(graph: dict[str, set[str]], start: set[str]) -> list[str]:
    """Changed stages and everything downstream of them, in order."""
    wanted: set[str] = set()
    for stage, needs in graph.items():
        if stage in start or needs & wanted:
            wanted.add(stage)
    return [stage for stage in graph if stage in wanted]


def units(graph: dict[str, set[str]], wanted: list[str]) -> list[list[str]]:
    """Stages that one DVC process runs in a row: those of one run that wait for nothing else.

    Starting DVC costs a second; train@x and sample@x share it. evaluate@x joins them unless it waits
    for a stage of another name too.
    """
    out: list[list[str]] = []
    for stage in wanted:
        item = stage.partition("@")[2]
        unit = next((u for u in out if item and u[0].partition("@")[2] == item), None)
        outside = (graph[stage] & set(wanted)) - set(unit or ())
        if unit and graph[stage] & set(unit) and outside <= graph[unit[0]]:
            unit.append(stage)
        else:
            out.append([stage])
    return out


def joined(unit: list[str], waiting: list[list[str]], graph: dict[str, set[str]], finished: set[str]
           ) -> list[str]:
    """The unit with the waiting ones of its item that need nothing else any more, taken from `waiting`:
    evaluate@x waits for the classifier too, but not when that is done before train@x starts."""
    item = unit[0].partition("@")[2]
    for other in [u for u in waiting if item and u[0].partition("@")[2] == item]:
        if set().union(*(graph[stage] for stage in other)) <= finished | {*unit, *other}:
            waiting.remove(other)
            unit = unit + other
    return unit


class Board:
    """One line of output at a time from several stages, and what number a stage has."""

    def __init__(self, total: int):
        self.total, self.started, self._lock = total, 0, threading.Lock()
        self.live: dict[str, str] = {}
        self.terminal = sys.stdout.isatty()

    def start(self, stage: str, how: str) -> None:
        with self._lock:
            self.started += 1
            number = self.started
        self.say(f"[{number}/{self.total}] {stage}{how}")

    def say(self, line: str) -> None:
        with self._lock:
            print(f"\r\033[K{line}" if self.terminal else line, flush=True)
            self._draw()

    def show(self, unit: str, line: str) -> None:
        """A progress bar's newest line: redrawn in place on a terminal, printed in a log."""
        with self._lock:
            self.live[unit] = line
            if self.terminal:
                self._draw()
            else:
                print(f"  {line}", flush=True)

    def _draw(self) -> None:
        if self.terminal and self.live:
            width = os.get_terminal_size().columns // len(self.live) - 3
            print("\r\033[K" + " | ".join(line[:width] for line in self.live.values()),
                  end="", flush=True)


def run_unit(unit: list[str], board: Board) -> bool:
    """The stages of a unit through DVC, their output passed on; True where all succeeded."""
    started = time.monotonic()
    reading, writing = os.pipe()
    process = start([*DVC, "--wait-for-lock", "repro", "-s", *unit], writing)
    os.close(writing)
    text = b""
    while chunk := os.read(reading, 4096):
        text += chunk
        *lines, text = re.split(rb"[\r\n]", text)
        for line in lines:
            line = line.decode(errors="replace")
            if found := STARTED.match(line):
                how = found[2].rstrip(":")
                board.start(found[1], f":{how}" if how else "")
            elif re.search(r"\d+%\|", line):
                board.show(unit[0], line)
            elif not NOISE.match(line):
                board.say(f"  {line}")
    os.close(reading)
    board.live.pop(unit[0], None)
    ok = process.wait() == 0
    board.say(f"{', '.join(unit)} {'done' if ok else 'FAILED'} in {time.monotonic() - started:.0f} s")
    return ok


def run_all(graph: dict[str, set[str]], wanted: list[str], jobs: int) -> bool:
    """Run the wanted stages, `jobs` at once, each after what it needs; stops at a failure."""
    board, waiting, running = Board(len(wanted)), units(graph, wanted), {}
    finished: set[str] = set(graph) - set(wanted)
    failed, results, ready = False, {}, threading.Condition()

    def work(unit: list[str]) -> None:
        ok = run_unit(unit, board)
        with ready:
            results[unit[0]] = ok
            ready.notify()

    def can_start(unit: list[str]) -> bool:
        return set().union(*(graph[stage] for stage in unit)) - set(unit) <= finished

    with ready:
        while running or (waiting and not failed):
            while not failed and len(running) < jobs:
                unit = next(filter(can_start, waiting), None)
                if unit is None:
                    break
                waiting.remove(unit)
                unit = joined(unit, waiting, graph, finished)
                running[unit[0]] = unit, threading.Thread(target=work, args=(unit,))
                running[unit[0]][1].start()
            ready.wait()
            for first in list(results):
                unit, thread = running.pop(first)
                thread.join()
                if results.pop(first):
                    finished.update(unit)
                else:
                    failed = True
    return not failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2, help="stages side by side")
    jobs = parser.parse_args().jobs
    started = time.monotonic()
    report = Path("reports/index.html").resolve()
    asked = watched_state(WRITTEN_BY_HAND)  # before anything is compared with it
    known = STAMP.exists() and STAMP.read_text() == watched_state()
    if known:
        print(f"Everything is up to date. The report: {report}")
    else:
        with serving():
            graph, changed = survey()
            wanted = todo(graph, changed)
            if wanted:
                print(f"{len(wanted)} of {len(graph)} stages to run, {jobs} side by side")
            if not run_all(graph, wanted, jobs):
                print("Stopped: the stage named above failed; what was finished before it is kept.")
                return 1
        minutes = (time.monotonic() - started) / 60
        print(f"Done in {minutes:.1f} minutes. The report: {report}" if wanted else
              f"Everything is up to date. The report: {report}")
    if watched_state(WRITTEN_BY_HAND) == asked:
        write_text(STAMP, watched_state())
    else:
        # DVC reads a stage's sources after the stage: what ran meanwhile is recorded with the new ones
        print("While it ran, params.yaml, dvc.yaml or a source changed: run it again for what that "
              "changes, and force (dvc repro -f -s STAGE) a stage that was running when it changed.")
    from kelvin.tracking.publishing import publish_missing  # its MLflow import is paid only where needed

    try:
        publish_missing()
    except KelvinError as error:
        print(f"kelvin: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
