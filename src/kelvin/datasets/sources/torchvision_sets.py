"""The four published sets of torchvision: found on disk or downloaded, and always checked."""

import gzip
import hashlib
import http.client
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from kelvin.common.errors import KelvinError
from kelvin.datasets.sources.archives import file_hash
from kelvin.datasets.sources.raw import RawData

IDX = ("MNIST", "FashionMNIST")
BATCHES = ("CIFAR10", "CIFAR100")
# torchvision publishes checksums of the packed files only; people keep the unpacked ones.
UNPACKED_MD5 = {
    "MNIST": {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    }
}
_SILENCE = 30  # seconds without a byte after which a mirror counts as unreachable


def load_published(name: str, roots: Sequence[Path]) -> RawData:
    """A set by its torchvision class name, training images first, then the given test images.

    Looks under each root for the layout that torchvision expects, then downloads into the first
    root called data/raw that can be written. Every file with a published MD5 is checked.
    """
    if name not in IDX + BATCHES:
        raise KelvinError(
            f"torchvision data set {name!r} is unknown; choose from {', '.join(IDX + BATCHES)}"
        )
    import torchvision.datasets as library

    published = getattr(library, name)
    root = next((r for r in roots if not _missing(published, r)), None)
    root = root or _download(published, roots)
    checksums = _verify(published, root)
    read = _read_idx if name in IDX else _read_batches
    parts = [read(published, root, train) for train in (True, False)]
    for images, labels in parts:
        if len(images) != len(labels):
            raise KelvinError(
                f"{root}: {name} has {len(images)} images and {len(labels)} labels in one part; "
                "fetch its files again"
            )
    sizes = [len(labels) for _, labels in parts]
    labels = np.concatenate([labels for _, labels in parts])
    return RawData(
        images=np.concatenate([images for images, _ in parts]),
        labels=labels,
        class_names=_class_names(published, root),
        groups=np.arange(len(labels), dtype=np.int64),
        given_test=np.repeat([False, True], sizes),
        checksums=checksums,
    )


def _files(published: Any) -> dict[str, str | None]:
    """{path below a root: published MD5 or None}."""
    name = published.__name__
    if name in BATCHES:
        meta = [published.meta["filename"], published.meta["md5"]]
        listed = [*published.train_list, *published.test_list, meta]
        return {f"{published.base_folder}/{file}": md5 for file, md5 in listed}
    md5s = UNPACKED_MD5.get(name, {})
    unpacked = [Path(packed).stem for packed, _ in published.resources]
    return {f"{name}/raw/{file}": md5s.get(file) for file in unpacked}


def _missing(published: Any, root: Path) -> list[str]:
    return [file for file in _files(published) if not (root / file).is_file()]


def _download(published: Any, roots: Sequence[Path]) -> Path:
    target = next((root for root in roots if _is_download_folder(root)), None)
    reason = "no root is a writable data/raw to download into"
    if target is not None:
        try:
            with _impatience():
                published(target, train=False, download=True)
        except (OSError, RuntimeError, http.client.HTTPException) as error:
            reason = f"the download failed ({' '.join(str(error).split())[:300]})"
        if not _missing(published, target):
            return target
    name, files = published.__name__, list(_files(published))
    looked = ", ".join(f"{r}{'' if r.is_dir() else ' (no such folder)'}" for r in roots)
    lacking = min((_missing(published, r) for r in roots), key=len, default=files)
    raise KelvinError(
        f"data set {name}: {lacking[0]} (file {files.index(lacking[0]) + 1} of {len(files)}) "
        f"was not found under {looked or 'any root'}, and {reason}; "
        "set KELVIN_DATA=<folder> to a folder that holds it"
    )


def _is_download_folder(root: Path) -> bool:
    # What KELVIN_DATA names belongs to the user: nothing is written there.
    if root.parts[-2:] != ("data", "raw"):
        return False
    existing = next(p for p in (root, *root.parents) if p.exists())
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


@contextmanager
def _impatience() -> Iterator[None]:
    # torchvision sets no timeout, and a firewall that swallows packets would hang the stage.
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_SILENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _verify(published: Any, root: Path) -> dict[str, str]:
    """{file: "md5:hex"} of every file; a file unlike its published MD5 is refused by name."""
    packed = dict(published.resources) if published.__name__ in IDX else {}
    checksums = {}
    for file, md5 in _files(published).items():
        path = root / file
        archive = path.with_name(path.name + ".gz")
        if md5 is None and archive.is_file():
            md5 = _unpacked_md5(archive, packed[archive.name])
        digest = file_hash(path, "md5")
        if md5 not in (None, digest):
            raise KelvinError(
                f"{path}: its md5 is {digest} where {md5} is published; the file is damaged, "
                "remove it and fetch it again"
            )
        checksums[file] = f"md5:{digest}"
    return checksums


def _unpacked_md5(archive: Path, published_md5: str) -> str:
    digest = file_hash(archive, "md5")
    if digest != published_md5:
        raise KelvinError(
            f"{archive}: its md5 is {digest} where {published_md5} is published; the file is "
            "damaged, remove it and fetch it again"
        )
    return hashlib.md5(gzip.decompress(archive.read_bytes()), usedforsecurity=False).hexdigest()


def _read_idx(published: Any, root: Path, train: bool) -> tuple[np.ndarray, np.ndarray]:
    # Not through the class: it prefers an old processed/*.pt, which no checksum guards.
    from torchvision.datasets import mnist

    stem = "train" if train else "t10k"
    folder = root / published.__name__ / "raw"
    readers = {"images-idx3": mnist.read_image_file, "labels-idx1": mnist.read_label_file}
    arrays = []
    for kind, read in readers.items():
        path = folder / f"{stem}-{kind}-ubyte"
        try:
            arrays.append(read(str(path)).numpy())
        except (AssertionError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise KelvinError(f"{path}: not a whole IDX file; fetch it again") from error
    images, labels = arrays
    return images[:, None], labels


def _read_batches(published: Any, root: Path, train: bool) -> tuple[np.ndarray, np.ndarray]:
    part = published(root, train=train)
    images = np.ascontiguousarray(part.data.transpose(0, 3, 1, 2))
    return images, np.array(part.targets, np.int64)


def _class_names(published: Any, root: Path) -> list[str]:
    if published.__name__ == "MNIST":
        return [str(digit) for digit in range(10)]
    classes = published.classes if published.__name__ in IDX else published(root, False).classes
    return list(classes)
