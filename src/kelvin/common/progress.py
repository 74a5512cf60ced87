"""Progress of a process: a log, and one bar for everything that takes time."""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import Any

from tqdm import tqdm

log = logging.getLogger("kelvin")


def progress_bar(total: int, description: str, unit: str, **options: Any) -> tqdm:
    """A bar with time left; a line every half second on a terminal, elsewhere every ten seconds or as
    KELVIN_BAR_SECONDS says (`kelvin repro` on a terminal)."""
    return tqdm(total=total, desc=description, unit=unit, dynamic_ncols=True,
                mininterval=0.5 if sys.stderr.isatty() else
                float(os.environ.get("KELVIN_BAR_SECONDS", 10)), **options)


def doing(bar: tqdm, what: str) -> None:
    """Write beside the bar what is being done; at once where the bar has stood still for its interval."""
    bar.set_postfix_str(what, refresh=time.time() - bar.last_print_t >= bar.mininterval)
