"""Arguments of calls from outside: a KelvinError of one sentence for what they may not be."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

from kelvin.common.errors import KelvinError

MOST_SEED, MOST_SIDE = 2**31 - 1, 4096  # of a seed, and of pixels along a side: as in params.yaml


def whole_number(name: str, value: Any, least: int, most: int) -> int:
    """The value as an int in least..most; no bool, no float."""
    if isinstance(value, bool) or not isinstance(value, Integral) or not least <= int(value) <= most:
        raise KelvinError(f"{name} = {repr(value)[:60]} should be a whole number from {least:,} to "
                          f"{most:,}")
    return int(value)


def seed(value: Any) -> int:
    return whole_number("seed", value, 0, MOST_SEED)


def finite_number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise KelvinError(f"{name} = {repr(value)[:60]} should be a finite number")
    return float(value)
