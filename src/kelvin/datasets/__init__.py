"""Data sets: where images come from, how they are split, and the store that later stages read."""

from kelvin.datasets.folders import load_folder_images
from kelvin.datasets.preparation import prepare
from kelvin.datasets.store import PreparedStore, Split, to_uint8, to_unit

__all__ = ["PreparedStore", "Split", "load_folder_images", "prepare", "to_uint8", "to_unit"]
