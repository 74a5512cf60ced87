"""Class names of Fruits-360 (Muresan and Oltean, 2018): fruit and variety.

A class is one physical fruit on a turntable. Early editions call its folder `Apple Red 1`, later ones
also `apple_red_1`; a file is `<frame>_100.jpg`, `r_<frame>_100.jpg` (turned about a second axis),
`r2_...` (a third), and `r0_<frame>.jpg` in the editions at native size.
"""

import re
from dataclasses import dataclass

from kelvin.common.errors import KelvinError


@dataclass(frozen=True)
class Fruit:
    """A class: its kind, and which one of that kind (empty where there is but one)."""

    kind: str
    variety: str


def parse_class(name: str) -> Fruit:
    """`Apple Red 1` -> kind Apple, variety Red 1."""
    words = re.split(r"[ _]+", name.strip())
    if not words[0]:
        raise KelvinError(f"class {name!r} names no fruit; expected something like 'Apple Red 1'")
    kind = words[0] if words[0][:1].isupper() else words[0].capitalize()
    return Fruit(kind, " ".join(words[1:]))
