"""`kelvin bench`: the benchmarks of the checkout, on all cores."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from kelvin.common.errors import KelvinError

SCRIPT = Path("benchmarks/bench.py")


def bench(names: Sequence[str]) -> int:
    """The exit status of benchmarks/bench.py with these rows; KelvinError outside a checkout."""
    if not SCRIPT.exists():
        raise KelvinError(f"{SCRIPT} is not here: run this from the project's root")
    # a process of its own: its threads are counted when torch is loaded
    return subprocess.run([sys.executable, str(SCRIPT), *names],
                          env=os.environ | {"OMP_NUM_THREADS": str(os.cpu_count())}).returncode
