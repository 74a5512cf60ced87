"""Arrays of .npz files from outside. numpy does not hold them against their checksums; here each is."""

import io
import zipfile
import zlib
from pathlib import Path

import numpy as np

# what damaged .npy and .npz files raise
UNREADABLE = (OSError, ValueError, KeyError, EOFError, MemoryError, NotImplementedError, RuntimeError,
              zipfile.BadZipFile, zlib.error)  # fmt: skip


def npz_names(path: Path) -> list[str]:
    """The arrays of an .npz file, in the order they were written in."""
    with zipfile.ZipFile(path) as file:
        return [name.removesuffix(".npy") for name in file.namelist()]


def npz_array(path: Path, name: str) -> np.ndarray:
    """One of them; nothing pickled is read. Raises UNREADABLE."""
    with zipfile.ZipFile(path) as file:
        # the whole member at once: only at its end is the checksum held against it
        return np.load(io.BytesIO(file.read(f"{name}.npy")), allow_pickle=False)
