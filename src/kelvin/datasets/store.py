"""The prepared store: a folder of plain arrays and a manifest that vouches for them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kelvin.artifacts.folders import MANIFEST
from kelvin.artifacts.manifests import Manifest
from kelvin.artifacts.typed import type_fault
from kelvin.common.errors import KelvinError
from kelvin.common.scratch import scratch_folder
from kelvin.config.schema import Images
from kelvin.datasets.sources.archives import file_hash
from kelvin.datasets.sources.raw import RawData

PARTS = ("train", "validation", "test")
ARRAYS = ("images", "labels", "groups", "split")
_DTYPES = {"images": "uint8", "labels": "int64", "groups": "int64", "split": "uint8"}


@dataclass(frozen=True)
class Split:
    """Some images of a store, which stay in its file until `images` is asked for.

    stored: all images of the store; labels, groups and indices, (n,): of these images, the last being
    their rows in the store. Its length and `shape` read nothing.
    """

    stored: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    indices: np.ndarray

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, C, H, W), as of `images`."""
        return (len(self), *self.stored.shape[1:])

    @property
    def images(self) -> np.ndarray:
        """The images, uint8 (n, C, H, W): a fresh copy in memory at every use, kept by its user only."""
        return np.asarray(self.stored[self.indices])

    def first(self, n: int | None) -> Split:
        """The first n of these images; all of them for None."""
        return Split(self.stored, self.labels[:n], self.groups[:n], self.indices[:n])


def write_store(
    folder: Path,
    name: str,
    raw: RawData,
    split: np.ndarray,
    spec: Images,
    beside: Mapping[str, str] | None = None,
) -> dict:
    """Write arrays and manifest in one go, replacing what was there; returns the manifest.

    The same input gives the same bytes: nothing depends on time, machine or path. Images that are
    mapped from a file are not copied: the file itself moves into the store. beside: further files,
    {name: text}, which follow from the arrays and are not part of the digest.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(f".{folder.name}-", folder.parent) as scratch:
        fresh = scratch / "fresh"
        fresh.mkdir()
        arrays = dict(zip(ARRAYS, (raw.images, raw.labels, raw.groups, split), strict=True))
        hashes = {}
        if raw.images_file is not None:
            raw.images.flush()
            del arrays["images"]
            os.replace(raw.images_file, fresh / "images.npy")
            hashes["images"] = file_hash(fresh / "images.npy", "sha256")
        for key, array in arrays.items():
            hashes[key] = _save(fresh / f"{key}.npy", array.astype(_DTYPES[key], copy=False))
        manifest = _manifest(name, raw, split, spec, hashes)
        for file, text in ({MANIFEST: _text(manifest)} | dict(beside or {})).items():
            (fresh / file).write_text(text, encoding="utf-8")
        if folder.exists():
            os.replace(folder, scratch / "old")
        os.replace(fresh, folder)
    return manifest


class PreparedStore:
    """A store opened for reading: shapes checked, images mapped into memory, not read.

    images uint8 (n, C, H, W); labels, groups int64 (n,); parts uint8 (n,), 0 train, 1 validation,
    2 test. Raises KelvinError where the folder is missing or does not fit its manifest.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        try:
            self._text = (self.folder / MANIFEST).read_bytes()
            self.manifest = json.loads(self._text)
            if fault := type_fault(self.manifest, Manifest):
                raise ValueError(f"{MANIFEST}: {fault}")
            arrays = {
                key: np.load(self.folder / f"{key}.npy", mmap_mode="r" if key == "images" else None)
                for key in ARRAYS
            }
            self.class_names = [entry["name"] for entry in self.manifest["classes"]]
            self.images, self.labels, self.groups, self.parts = (arrays[key] for key in ARRAYS)
            fits = self._fits(arrays)
        except FileNotFoundError as error:
            raise KelvinError(
                f"{self.folder}: no prepared data set ({Path(error.filename).name} is missing); "
                "run the stage `prepare`"
            ) from error
        except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
            raise KelvinError(f"{self.folder}: damaged ({error}); run `prepare` again") from error
        if not fits:
            raise KelvinError(
                f"{self.folder}: its arrays do not fit manifest.json; run `prepare` again"
            )

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest, which holds the SHA-256 of every array."""
        return hashlib.sha256(self._text).hexdigest()

    @classmethod
    def verified(cls, folder: Path | str) -> PreparedStore:
        """The store of a folder, every array read and its bytes compared with the manifest's checksums.

        What a stage opens: a file cut short in a cache can keep its shape.
        """
        store = cls(folder)
        store.verify()
        return store

    def verify(self) -> None:
        """KelvinError where an array's bytes have not the manifest's checksum."""
        for key in ARRAYS:
            path = self.folder / f"{key}.npy"
            if file_hash(path, "sha256") != self.manifest["sha256"].get(key):
                raise KelvinError(
                    f"{path}: its sha256 is not the manifest's, so the file was changed or "
                    "damaged; run `prepare` again"
                )

    def split(self, part: str) -> Split:
        """The images of 'train', 'validation' or 'test', in the store's order."""
        if part not in PARTS:
            raise KelvinError(f"split {part!r} is unknown; choose from {', '.join(PARTS)}")
        return self._rows(np.flatnonzero(self.parts == PARTS.index(part)))

    def reference(self) -> Split:
        """Everything that is not held out for the test: train and validation together."""
        return self._rows(np.flatnonzero(self.parts != PARTS.index("test")))

    def _rows(self, indices: np.ndarray) -> Split:
        return Split(self.images, self.labels[indices], self.groups[indices], indices)

    def _fits(self, arrays: dict[str, np.ndarray]) -> bool:
        images, sizes = self.manifest["image_shape"], self.manifest["sizes"]
        total = sum(sizes[part] for part in PARTS)
        shapes = {key: (total,) for key in ARRAYS} | {"images": (total, *images)}
        return (
            all(array.shape == shapes[key] for key, array in arrays.items())
            and all(array.dtype == _DTYPES[key] for key, array in arrays.items())
            and self.manifest["classes"] == _class_table(self.class_names, self.labels, self.parts)
        )


def to_unit(images: np.ndarray) -> np.ndarray:
    """uint8 0..255 as float32 [0, 1]."""
    if images.dtype != np.uint8:
        raise KelvinError(f"stored images are uint8, not {images.dtype}; convert them first")
    return images.astype(np.float32) / np.float32(255)


def _manifest(name: str, raw: RawData, split: np.ndarray, spec: Images, hashes: dict[str, str]) -> dict:
    sizes = np.bincount(split, minlength=len(PARTS))
    return {
        "dataset": name,
        "licence": spec.licence,
        "seed": spec.seed,
        "sizes": {part: int(size) for part, size in zip(PARTS, sizes, strict=True)},
        "image_shape": list(raw.images.shape[1:]),
        "grey_levels": raw.grey_levels,
        "classes": _class_table(raw.class_names, raw.labels, split),
        "sha256": hashes,
        "sources": raw.checksums,
        "skipped": raw.skipped,
    }


def _class_table(class_names: list[str], labels: np.ndarray, split: np.ndarray) -> list[dict]:
    pairs = labels.astype(np.int64) * len(PARTS) + split
    counts = np.bincount(pairs, minlength=len(class_names) * len(PARTS)).reshape(-1, len(PARTS))
    return [
        {"name": name} | {part: int(n) for part, n in zip(PARTS, row, strict=True)}
        for name, row in zip(class_names, counts, strict=True)
    ]


def _save(path: Path, array: np.ndarray) -> str:
    np.save(path, np.ascontiguousarray(array), allow_pickle=False)
    return file_hash(path, "sha256")


def _text(manifest: dict) -> str:
    return json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
