"""What a run shows: a line where a stage begins and ends, its output, and a live bar a running stage."""

from __future__ import annotations

import re
import shutil
import socket
import sys
import time
from pathlib import Path

from kelvin.pipeline.executors import BEGUN

BAR = re.compile(r"\d+%\|")


class Board:
    """Follows the logs of running stages. On a terminal their newest bars stay below the lines, one a
    stage; elsewhere every bar is a line. With a total of 0 only output and failures are shown."""

    def __init__(self, total: int = 0) -> None:
        self.total, self.count = total, 0
        self.live: dict[str, str] = {}
        self._logs: dict[str, tuple[Path, int, float, int]] = {}  # log, bytes read, begin, attempts
        self._rows, self._terminal = 0, sys.stdout.isatty()

    def say(self, *lines: str) -> None:
        rows = []
        if self._terminal:
            columns = shutil.get_terminal_size().columns - 1
            rows = [(bar or f"{stage}: {time.monotonic() - self._logs[stage][2]:.0f} s")[:columns]
                    for stage, bar in self.live.items()]
        if lines or rows or self._rows:
            up = f"\033[{self._rows}F\033[J" if self._rows else ""
            print(up + "".join(f"{line}\n" for line in [*lines, *rows]), end="", flush=True)
        self._rows = len(rows)

    def number(self) -> str:
        self.count += 1
        return f"[{self.count}/{self.total}]"

    def follow(self, stage: str, log: Path) -> None:
        """Show what is appended to the log from now on, a new one; nothing before the stage has begun."""
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"")
        self._logs[stage] = log, 0, time.monotonic(), 0

    def read(self) -> None:
        """Show what the followed logs have got."""
        lines = [line for stage in self._logs for line in self._news(stage)]
        if lines or self._terminal:
            self.say(*lines)

    def _news(self, stage: str, is_last: bool = False) -> list[str]:
        log, size, begin, attempts = self._logs[stage]
        with log.open("rb") as file:
            file.seek(size)
            text = file.read()
        # the rest of a line comes later
        whole = len(text) if is_last else max(text.rfind(b"\n"), text.rfind(b"\r")) + 1
        lines = []
        for line in re.split(r"[\r\n]+", text[:whole].decode(errors="replace")):
            if line.startswith(BEGUN):
                host = line.removeprefix(BEGUN)
                where = "" if host == socket.gethostname() else f" on {host}"
                if attempts:
                    lines.append(f"{stage}: its worker died; begun again{where}, from its checkpoint")
                elif self.total:
                    lines.append(f"{self.number()} {stage}{where}")
                attempts, begin, self.live[stage] = attempts + 1, time.monotonic(), ""
            elif BAR.search(line) and self._terminal:
                self.live[stage] = line
            elif line.strip():
                lines.append(f"  {stage}: {line}")
        self._logs[stage] = log, size + whole, begin, attempts
        return lines

    def end(self, stage: str, outcome: str) -> None:
        """Show what is left of the log, and how the stage ended."""
        lines = self._news(stage, is_last=True)
        self.live.pop(stage, None)
        seconds = time.monotonic() - self._logs.pop(stage)[2]
        if self.total or outcome != "done":
            lines.append(f"{stage} {outcome} in {seconds:.0f} s")
        self.say(*lines)
