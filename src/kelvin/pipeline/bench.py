"""`kelvin bench`: the benchmarks of the checkout, on all cores or on one GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from kelvin.common.errors import KelvinError

SCRIPT, ON_DEVICE = Path("benchmarks/bench.py"), Path("benchmarks/device.py")


def bench(names: Sequence[str], device: str | None = None) -> int:
    """The exit status of benchmarks/bench.py with these rows, or of benchmarks/device.py on a device;
    KelvinError outside a checkout, and for rows of a device, which has one table."""
    script = SCRIPT if device is None else ON_DEVICE
    if device and names:
        raise KelvinError(f"--device {device} prints one table: leave {', '.join(names)} out")
    if not script.exists():
        raise KelvinError(f"{script} is not here: run this from the project's root")
    # a process of its own: its threads are counted when torch is loaded
    arguments = names if device is None else ["--device", device]
    return subprocess.run([sys.executable, str(script), *arguments],
                          env=os.environ | {"OMP_NUM_THREADS": str(os.cpu_count())}).returncode
