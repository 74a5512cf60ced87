"""Many encoded images into one uint8 array, in memory or straight into a mapped .npy file."""

import logging
import lzma
import os
import re
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import compress
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from kelvin.common.errors import KelvinError
from kelvin.common.progress import progress_bar
from kelvin.datasets.sources.archives import Tree, printable
from kelvin.datasets.sources.decoding import decode

# Everything that a decoder or an archive is known to throw at bytes it was not made for.
_BROKEN = (
    OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError, ArithmeticError,
    RuntimeError, AssertionError, struct.error, zlib.error, lzma.LZMAError, tarfile.TarError,
    zipfile.BadZipFile, Image.DecompressionBombError,
)  # fmt: skip
# Pillow logs what is wrong with a TIFF, and raises it too: the sentence with the file's name is enough.
logging.getLogger("PIL").addHandler(logging.NullHandler())
_BLOCK = 32  # rows moved at once, and files read ahead of the decoders
_BAR_FROM = 1000  # images: fewer are too quick for a bar

PICTURES = "PNG, JPEG, BMP, TIFF or WebP"
# What makes images alike: a verb, and what it is done to where sizes and where channels differ.
SETTINGS = ("set", "image_size", "channels")
Troubles = dict[str, str]
Allocate = Callable[[tuple[int, ...]], np.ndarray]


def in_memory(shape: tuple[int, ...]) -> np.ndarray:
    return np.empty(shape, np.uint8)


def in_file(path: Path) -> Allocate:
    """uint8 arrays in this .npy file, mapped into memory: their pages are written out, not held."""

    def allocate(shape: tuple[int, ...]) -> np.ndarray:
        return np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)

    return allocate


def read_images(
    tree: Tree,
    names: Sequence[str],
    image_size: int | Sequence[int] | None,
    channels: int | None,
    allocate: Allocate = in_memory,
    cure: tuple[str, str, str] = SETTINGS,
) -> tuple[np.ndarray, np.ndarray, Troubles]:
    """The good images, uint8 (n, C, H, W), as names order them; a mask of them; why others fail.

    Decoded side by side (Pillow leaves Python's lock while it decodes and resizes) into the one array
    that `allocate` makes for them; broken ones are closed up in place. Raises KelvinError where sizes
    or channels differ; cure: what its caller can do about it.
    """
    images, first = None, None
    good, broken = np.zeros(len(names), bool), {}
    position = {name: i for i, name in enumerate(names)}
    ordered = list(tree.reading_order(names))
    workers = min(4, os.cpu_count() or 1)
    with (
        warnings.catch_warnings(),
        ThreadPoolExecutor(workers) as pool,
        progress_bar(len(names), "decode", "image", disable=len(names) < _BAR_FROM) as bar,
    ):
        # Pillow's warnings name no file, and concern what is not read (comments, dates).
        warnings.filterwarnings("ignore", module=r"PIL\.")
        for start in range(0, len(ordered), _BLOCK):
            block = ordered[start : start + _BLOCK]
            contents = [_content(tree, name) for name in block]
            results = pool.map(lambda content: pixels_of(content, image_size, channels), contents)
            for name, pixels in zip(block, results, strict=True):
                if isinstance(pixels, str):
                    broken[name] = pixels
                    continue
                if images is None:
                    images, first = allocate((len(names), *pixels.shape)), name
                if pixels.shape != images.shape[1:]:
                    shape = images.shape[1:]
                    differ = (pixels.shape[1:] != shape[1:], pixels.shape[0] != shape[0])
                    what = " and ".join(compress(cure[1:], differ))
                    raise KelvinError(
                        f"{tree.path}: {printable(name)!r} is (C, H, W) = {pixels.shape} where "
                        f"{printable(first)!r} is {shape}; {cure[0]} {what}"
                    )
                images[position[name]] = pixels
                good[position[name]] = True
            bar.update(len(block))
    if images is None:
        return np.empty((0, 0, 0, 0), np.uint8), good, broken
    return images if good.all() else keep_rows(images, good), good, broken


def keep_rows(images: np.ndarray, good: np.ndarray) -> np.ndarray:
    """The rows where good is true, moved together in place; a mapped .npy file is cut to fit them."""
    rows = np.flatnonzero(good)
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        images[start : start + len(block)] = images[block]
    if not isinstance(images, np.memmap):
        return images[: len(rows)]
    images.flush()
    path, shape = Path(images.filename), (len(rows), *images.shape[1:])
    end = images.offset + len(rows) * images[0].nbytes
    with path.open("r+b") as file:
        # numpy leaves room for the first axis to change, so a new header is as long as the old.
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|u1", "fortran_order": False, "shape": shape}
        )
        assert file.tell() == images.offset
        file.truncate(end)
    return images[: len(rows)]  # mapping the file anew would take its size once more


def _content(tree: Tree, name: str) -> bytes | str:
    try:
        return tree.read(name)
    except _BROKEN as error:
        return _unusable(error)


def _unusable(error: Exception) -> str:
    # Pillow's texts may run over lines and hold addresses, which change from run to run.
    text = re.sub(r" at 0x[0-9a-fA-F]+", "", " ".join(str(error).split()))[:200]
    return f"is no usable image ({text or type(error).__name__})"


def pixels_of(
    content: bytes | str, image_size: int | Sequence[int] | None, channels: int | None
) -> np.ndarray | str:
    """uint8 (C, H, W), or why there are none."""
    if isinstance(content, str):
        return content
    try:
        return decode(content, image_size, channels)
    except UnidentifiedImageError:  # its text holds a memory address
        return f"is no readable {PICTURES} image"
    except _BROKEN as error:
        return _unusable(error)
