"""manifest.json of a prepared data set."""

from __future__ import annotations

from typing import TypedDict


class Counted(TypedDict):
    """A class, and how many images of it each part holds."""

    name: str
    train: int
    validation: int
    test: int


class Sizes(TypedDict):
    """Images of each part."""

    train: int
    validation: int
    test: int


class Manifest(TypedDict):
    """image_shape: (C, H, W); grey_levels: how many of the 256 values can occur; sha256: of each array;
    sources: checksums of the raw files; skipped: pictures that were left out, and why."""

    dataset: str
    licence: str
    seed: int
    sizes: Sizes
    image_shape: list[int]
    grey_levels: int
    classes: list[Counted]
    sha256: dict[str, str]
    sources: dict[str, str]
    skipped: list[dict[str, str]]
