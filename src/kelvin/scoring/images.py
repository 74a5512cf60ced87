"""Image sets from outside: folders, tars, zips, arrays in .npy and .npz, or arrays in memory."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kelvin.common.arguments import MOST_SIDE, path_of, shown, whole_number
from kelvin.common.errors import LONGEST, KelvinError
from kelvin.datasets.sources.convert import convert_images
from kelvin.datasets.sources.folders import load_folder_images

CHANNELS = (1, 3)
SOURCES = "name a folder, tar or zip of pictures, or an .npy or .npz file"
# what damaged .npy and .npz files raise
UNREADABLE = (OSError, ValueError, KeyError, EOFError, MemoryError, NotImplementedError, RuntimeError,
              zipfile.BadZipFile, zlib.error)  # fmt: skip
Side = int | tuple[int, int] | None


def load_images(source: Path | str | np.ndarray, resize: Side = None, channels: int | None = None
                ) -> np.ndarray:
    """A set of images as uint8 (n, C, H, W), C = 1 or 3.

    source: a folder, tar or zip of pictures; an .npy file, or an .npz file with one array or with
    `arr_0`; or an array. Arrays are uint8, (n, H, W), (n, H, W, C) or (n, C, H, W); the axis of 1 or 3
    entries is that of the channels. resize: side, or (height, width), that every image is brought to
    (cropped to its middle, then bicubic); None: all must have one size. channels: 1 or 3; None: as they
    are. KelvinError, one sentence, for anything else.
    """
    sides, place = checked_sides(resize), checked_source(source, "the set")
    if isinstance(place, np.ndarray):
        return convert_images(_images(place, "the array"), sides, channels)
    if place.suffix.lower() in (".npy", ".npz") and not place.is_dir():
        return convert_images(_images(_array(place), str(place)), sides, channels)
    return load_folder_images(place, sides, channels)[0]


def checked_sides(resize: Any) -> Side:
    """`resize` in plain numbers: None, a side, or (height, width), each from 1 to 4096 pixels."""
    if resize is None:
        return None
    if not isinstance(resize, (tuple, list)):
        return whole_number("resize", resize, 1, MOST_SIDE)
    if len(resize) != 2:
        raise KelvinError(f"resize = {shown(resize)} should be a side, or (height, width)")
    height, width = (whole_number("resize", side, 1, MOST_SIDE) for side in resize)
    return height, width


def checked_source(source: Any, name: str) -> Path | np.ndarray:
    """An array as it is, or the path of a file or folder that is there. name: the argument's, for the
    sentence of the KelvinError."""
    if isinstance(source, np.ndarray):
        return source
    if not isinstance(source, (str, Path)):
        raise KelvinError(f"{name} is of type {type(source).__name__}; give a path, or a uint8 numpy "
                          "array of images")
    path = path_of(name, source)
    if not path.exists():
        raise KelvinError(f"{name}: {shown(str(path), LONGEST)} is not there; {SOURCES}")
    if not path.is_dir() and not path.is_file():  # reading a pipe would wait for ever
        raise KelvinError(f"{name}: {path} is neither a file nor a folder; {SOURCES}")
    return path


def _array(path: Path) -> np.ndarray:
    """The array of an .npy or .npz file; nothing pickled is read."""
    try:
        loaded: Any = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            names = loaded.files
            if len(names) != 1 and "arr_0" not in names:
                raise KelvinError(f"{path} holds the arrays {', '.join(names)}; images should be its "
                                  "only one, or arr_0")
            return np.asarray(loaded[names[0] if len(names) == 1 else "arr_0"])
    except KelvinError:
        raise
    except UNREADABLE as error:
        raise KelvinError(f"{path} cannot be read as an array ({error}); write it by numpy.save or "
                          "numpy.savez") from error


def _images(array: np.ndarray, where: str) -> np.ndarray:
    """uint8 (n, C, H, W) of an array with channels anywhere."""
    if isinstance(array, np.ma.MaskedArray):
        raise KelvinError(f"{where} is masked; give an array without a mask")
    if array.dtype != np.uint8:
        raise KelvinError(f"{where} is {array.dtype}; images should be uint8, 0 to 255")
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or not array.size:
        raise KelvinError(f"{where} has the shape {array.shape}; images should be (n, H, W), (n, H, W, "
                          "C) or (n, C, H, W)")
    last, first = array.shape[-1] in CHANNELS, array.shape[1] in CHANNELS
    if not last and not first:
        raise KelvinError(f"{where} has the shape {array.shape}; one axis beside the first should have 1 "
                          "or 3 entries, the channels")
    if last and first and array.shape[1] != array.shape[-1]:
        raise KelvinError(f"{where} has the shape {array.shape}, which may be either order; give (n, H, "
                          "W, C) with sides above 3")
    return np.ascontiguousarray(array.transpose(0, 3, 1, 2) if last else array)


def one_shape(sets: Sequence[np.ndarray], names: Sequence[str]) -> None:
    """KelvinError where two sets have images of other sizes or channels."""
    first = sets[0].shape[1:]
    for images, name in zip(sets, names, strict=True):
        if images.shape[1:] != first:
            raise KelvinError(f"images of {names[0]} are {words(first)}, those of {name} "
                              f"{words(images.shape[1:])}: bring them to one size by --resize, or "
                              "convert them")


def words(shape: Sequence[int]) -> str:
    """`28x28 grey`."""
    channels, height, width = shape
    return f"{width}x{height} {'grey' if channels == 1 else 'RGB'}"
