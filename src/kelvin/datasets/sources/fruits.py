"""What the names of Fruits-360 say (Muresan and Oltean, 2018): fruit, variety, axis and frame.

A class is one physical fruit on a turntable. Early editions call its folder `Apple Red 1`, later ones
also `apple_red_1`; a file is `<frame>_100.jpg`, `r_<frame>_100.jpg` (turned about a second axis),
`r2_...` (a third), and `r0_<frame>.jpg` in the editions at native size.
"""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from kelvin.common.errors import KelvinError

_FRAME = re.compile(r"(?:r(?P<axis>[0-9]*)_)?(?P<frame>[0-9]+)(?:_[0-9]+)?\.(?:jpe?g|png|bmp)", re.I)


@dataclass(frozen=True)
class Fruit:
    """A class: its kind, and which one of that kind (empty where there is but one)."""

    kind: str
    variety: str


@dataclass(frozen=True)
class Frame:
    """A file: axis 0 without prefix (or r0_), 1 for r_, n for r<n>_; frame number on that axis."""

    axis: int
    frame: int


def parse_class(name: str) -> Fruit:
    """`Apple Red 1` -> kind Apple, variety Red 1."""
    words = re.split(r"[ _]+", name.strip())
    if not words[0]:
        raise KelvinError(f"class {name!r} names no fruit; expected something like 'Apple Red 1'")
    kind = words[0] if words[0][:1].isupper() else words[0].capitalize()
    return Fruit(kind, " ".join(words[1:]))


def parse_frame(file: str) -> Frame:
    """`.../r_17_100.jpg` -> axis 1, frame 17."""
    found = _FRAME.fullmatch(PurePosixPath(file).name)
    if found is None:
        raise KelvinError(
            f"{file!r} is no frame of Fruits-360; expected <frame>_100.jpg or r_<frame>_100.jpg"
        )
    axis = found["axis"]
    return Frame(0 if axis is None else int(axis or 1), int(found["frame"]))
