"""The data of a source, before they are split and stored."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class RawData:
    """Images with their labels, as a source gave them.

    images (n, C, H, W) uint8; labels (n,) in 0..len(class_names)-1; groups (n,): images of one
    group must not be parted by a grouped fold; given_test (n,) True where the source itself holds
    an image out, or None where it gives no test part; grey_levels: how many of the 256 values can
    occur; checksums {file: "algorithm:hex"}; skipped [{"file", "why"}], pictures among
    them; left_out, the same of what is no picture; files: the images' names, where
    they have any; images_file: the .npy file that images are mapped from, which the store takes over.
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: list[str]
    groups: np.ndarray
    given_test: np.ndarray | None = None
    grey_levels: int = 256
    checksums: dict[str, str] = field(default_factory=dict)
    skipped: list[dict[str, str]] = field(default_factory=list)
    left_out: list[dict[str, str]] = field(default_factory=list)
    files: list[str] | None = None
    images_file: Path | None = None
