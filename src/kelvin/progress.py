"""One bar for everything that takes time: often on a terminal, rarely in a log."""

from __future__ import annotations

import sys

from tqdm import tqdm


def progress_bar(total: int, description: str, unit: str, **options) -> tqdm:
    """A bar with time left; a line every half second on a terminal, every ten seconds elsewhere."""
    return tqdm(total=total, desc=description, unit=unit, dynamic_ncols=True,
                mininterval=0.5 if sys.stderr.isatty() else 10.0, **options)
