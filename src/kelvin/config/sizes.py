"""How large the numbers of a run's parts may be, in params.yaml and in a weight file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kelvin.config.schema import ModelConfig
from kelvin.config.sentences import excerpt

MOST_STEPS = 100_000      # a table has a row for each time
MOST_TABLES = 10_000      # times of a process without noise: a table of its own for each
DEEP = 64                 # layers of one kind: a thousand take minutes to build, and no run trains them
LAYERS = ("blocks", "convolutions")  # options of networks that count layers
WIDE_KERNEL = 100         # image widths, beyond which a blur is flat
MOST, WIDEST, LEAST = 1_000_000, 1e4, 1e-12  # of a part's options: counts, and the size of other numbers


def size_faults(run: ModelConfig, where: str, is_hot: bool) -> list[str]:
    """A line for every number of the run's parts that is beyond what can be computed; their options are
    right. is_hot: its process is noise alone."""
    most = {"steps": MOST_STEPS if is_hot else MOST_TABLES} | dict.fromkeys(LAYERS, DEEP)
    return [line for key in ("schedule", "degradation", "prior", "network")
            for line in number_faults(getattr(run, key).model_dump(), f"{where}.{key}", most)]


def number_faults(section: Mapping[str, Any], where: str, bounds: Mapping[str, int]) -> list[str]:
    """Numbers that no memory or no float32 can do anything with. bounds: of counts, by key."""
    lines = []
    for key, value in section.items():
        if where.endswith(".network") and isinstance(value, (list, tuple)) and len(value) > DEEP:
            lines.append(f"{where}.{key} has {len(value):,} entries: at most {DEEP} are layers of a "
                         "network that can be built")
            continue
        for number in value if isinstance(value, (list, tuple)) else [value]:
            most = bounds.get(key, MOST)
            if isinstance(number, int) and abs(number) > most:
                why = (f"at most {most} layers can be built" if key in LAYERS
                       else f"at most {most:,} can be held in memory")
            elif (section.get("kind"), key) == ("gaussian-blur", "kernel") and number > WIDE_KERNEL:
                why = f"it should be at most {WIDE_KERNEL} image widths: a wider one is flat"
            elif isinstance(number, float) and abs(number) > WIDEST:
                why = f"it should be at most {WIDEST:,.0f}"
            elif isinstance(number, float) and 0 < abs(number) < LEAST:
                why = f"it should be 0 or at least {LEAST:g}, which float32 tells from 0"
            else:
                continue
            lines.append(f"{where}.{key} = {excerpt(value)}: {why}")
            break
    return lines
