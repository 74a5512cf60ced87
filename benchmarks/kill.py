"""kill -9 of `kelvin repro` at random moments: nothing finished runs twice, nothing is left behind.

    python benchmarks/kill.py --kills 20      # the smoke core, about 20 minutes on two cores

In throw-away copies: once undisturbed, then killed with its whole process group and started again, a
new copy whenever one is complete, until so many kills are done. Fails, with the reason, unless
metrics.json has the same bytes, no stage that was reported done ran again, every process ended, no lock
and no half-written file stayed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

BEGUN, DONE = re.compile(r"^\[\d+/\d+\] (\S+)$"), re.compile(r"^(\S+) done in \d+ s$")


class Trial:
    """A project whose reproduction is killed and started again; `kills` that hit it while it ran."""

    def __init__(self, folder: Path, command: Sequence[str], environment: Mapping[str, str]):
        self.folder, self.command, self.environment = folder, command, environment
        self.finished: set[str] = set()
        self.kills = 0

    def attempt(self, seconds: float | None) -> bool:
        """Run, and kill after so many seconds; True where it came to its end."""
        log = self.folder.parent / f"{self.folder.name}.log"
        with log.open("w") as output:
            driver = subprocess.Popen(self.command, cwd=self.folder, env=self.environment, stdout=output,
                                      stderr=subprocess.STDOUT, start_new_session=True)
        try:
            status = driver.wait(seconds)
            assert status == 0, log.read_text()
        except subprocess.TimeoutExpired:
            started = psutil.Process(driver.pid).children(recursive=True)
            os.killpg(driver.pid, signal.SIGKILL)
            driver.wait()
            self.kills += 1
            deadline = time.monotonic() + 30
            while alive := [process for process in started if is_alive(process)]:
                assert time.monotonic() < deadline, f"still there after the kill: {alive}"
                time.sleep(0.05)
            status = None
        lines = log.read_text().splitlines()
        begun = {match[1] for line in lines if (match := BEGUN.match(line))}
        assert not begun & self.finished, f"finished, and run again: {begun & self.finished}"
        self.finished |= {match[1] for line in lines if (match := DONE.match(line))}
        return status == 0

    def check(self) -> None:
        """Nothing but results is left."""
        parts = [path for path in self.folder.rglob("*.part*")]
        assert not parts, f"half-written: {parts}"
        locks = self.folder / ".dvc/tmp/rwlock"
        held = json.loads(locks.read_text()) if locks.exists() else {}
        assert not any(held.values()), f"DVC's locks: {held}"


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def kill_until_done(trial: Trial, span: float, kills: int, moments: random.Random) -> None:
    """Kill at moments of up to `span` seconds, at most so often, then let it end."""
    while trial.kills < kills:
        if trial.attempt(moments.uniform(0, span)):
            break
    else:
        trial.attempt(None)
    trial.check()


def main() -> None:
    from kelvin.pipeline.throwaway import SMOKE, temporary_copy

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--active", nargs="+", default=SMOKE, help="the runs of the core")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the moments")
    options = parser.parse_args()
    values = {"scale": "smoke", "active": options.active}
    command = [sys.executable, "-m", "kelvin", "repro"]
    moments, kills, started = random.Random(options.seed), 0, time.monotonic()
    print(f"seed {options.seed}", flush=True)
    with temporary_copy(Path.cwd(), values) as (folder, environment):
        undisturbed = Trial(folder, command, environment)
        undisturbed.attempt(None)
        metrics = (folder / "reports/metrics.json").read_bytes()
    seconds = time.monotonic() - started
    print(f"undisturbed: {len(undisturbed.finished)} stages in {seconds:.0f} s", flush=True)
    while kills < options.kills:
        with temporary_copy(Path.cwd(), values) as (folder, environment):
            trial = Trial(folder, command, environment)
            kill_until_done(trial, seconds / 2, options.kills - kills, moments)
            assert (folder / "reports/metrics.json").read_bytes() == metrics, "other metrics"
            kills += trial.kills
            print(f"{trial.kills} kills, then complete with the same metrics; {kills} of {options.kills}",
                  flush=True)


if __name__ == "__main__":
    main()
