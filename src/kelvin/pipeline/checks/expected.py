"""What the prepared store of a data set will hold: what its raw files show before any is decoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kelvin.common.errors import KelvinError
from kelvin.config.schema import Images
from kelvin.datasets.preparation import divide
from kelvin.datasets.settle import Manifest
from kelvin.datasets.sources.archives import open_tree
from kelvin.datasets.sources.convert import choose_classes, target_sides
from kelvin.datasets.sources.find import data_roots, find_folder, load_source
from kelvin.datasets.sources.groups import file_groups
from kelvin.datasets.sources.layout import read_layout
from kelvin.datasets.sources.raw import RawData
from kelvin.datasets.sources.reading import read_images
from kelvin.datasets.sources.tables import read_table
from kelvin.datasets.store import PARTS


class Published(NamedTuple):
    """A published set: (C, H, W), and the images of each class in its training and its test part."""

    shape: tuple[int, int, int]
    train: Sequence[int]
    test: Sequence[int]


PUBLISHED = {
    "MNIST": Published((1, 28, 28), (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
                       (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)),
    "FashionMNIST": Published((1, 28, 28), (6000,) * 10, (1000,) * 10),
    "CIFAR10": Published((3, 32, 32), (5000,) * 10, (1000,) * 10),
    "CIFAR100": Published((3, 32, 32), (500,) * 100, (100,) * 100)}


def expected_manifest(spec: Images, environ: Mapping[str, str]) -> Manifest | None:
    """sizes, image_shape and classes that the manifest of the prepared store will have.

    None where only decoding shows them. KelvinError where the raw images are not there, or
    cannot be split as the entry asks. Broken pictures, which `on_error: skip` leaves out, still count.
    """
    raw = without_decoding(spec, data_roots(environ))
    return None if raw is None else manifest_of(raw, spec)


def manifest_of(raw: RawData, spec: Images) -> Manifest:
    """The same of data without their pixels; KelvinError where they cannot be split as asked."""
    split, _ = divide(raw, spec)
    counts = [np.bincount(split[raw.labels == label], minlength=len(PARTS))
              for label in range(len(raw.class_names))]
    classes = [{"name": name} | dict(zip(PARTS, map(int, row), strict=True))
               for name, row in zip(raw.class_names, counts, strict=True)]
    return {"sizes": {part: sum(entry[part] for entry in classes) for part in PARTS},
            "image_shape": list(raw.images.shape[1:]), "classes": classes}


def without_decoding(spec: Images, roots: Sequence[Path]) -> RawData | None:
    """The data set without its pixels: `images` has the shape, and takes no memory."""
    if spec.source == "sklearn":  # as they are: at another size they may not fit into memory
        raw = load_source(spec.model_copy(update={"image_size": None, "channels": None}), roots)
        return without_pixels(spec, raw.images.shape[1:], raw.labels, raw.class_names, raw.groups,
                              raw.given_test)
    return published_set(spec) if spec.source == "torchvision" else folder_set(spec, roots)


def published_set(spec: Images) -> RawData | None:
    """A set of torchvision, downloaded or not; None where its class names or its order would matter."""
    published = PUBLISHED.get(spec.name)
    if published is None or spec.groups is not None \
            or any(isinstance(c, str) for c in spec.classes or ()):
        return None
    names = [str(label) for label in range(len(published.train))]
    chosen = choose_classes(names, spec.classes or range(len(names)))
    parts = [np.repeat(np.arange(len(chosen)), [counts[c] for c in chosen])
             for counts in (published.train, published.test)]
    labels = np.concatenate(parts)
    return without_pixels(spec, published.shape, labels, [names[c] for c in chosen],
                          np.arange(len(labels)), np.repeat([False, True], [len(part) for part in parts]))


def folder_set(spec: Images, roots: Sequence[Path]) -> RawData | None:
    """A folder or archive by the names in it; one picture is decoded where the entry leaves the size or
    the channels open; None where that one is broken."""
    path = find_folder(spec.path, roots)
    with open_tree(path) as tree:
        table = None if spec.labels is None else read_table(spec.labels, tree, "label", "labels")
        layout = read_layout(tree, spec.path, table)
        names = layout.class_names
        if spec.classes is not None:
            names = [names[i] for i in choose_classes(names, spec.classes)]
        items = [item for item in layout.items if item.class_name in names]
        if not items:
            raise KelvinError(f"{spec.path}: no picture in it has a class; check its folders")
        size, channels = target_sides(spec.image_size), spec.channels
        if size and channels:
            shape: Sequence[int] = (channels, *size)
        else:
            first, good, _ = read_images(tree, [items[0].file], spec.image_size, channels)
            if not good[0]:
                return None
            shape = first.shape[1:]
        groups = file_groups([item.file for item in items], [item.inside for item in items], spec.groups,
                             tree)
    held_out = np.array([item.held_out for item in items])
    labels = np.array([names.index(item.class_name) for item in items])
    return without_pixels(spec, shape, labels, names, groups, held_out if held_out.any() else None)


def without_pixels(spec: Images, shape: Sequence[int], labels: np.ndarray, names: list[str],
                   groups: np.ndarray, given_test: np.ndarray | None) -> RawData:
    channels, sides = spec.channels or shape[0], target_sides(spec.image_size) or shape[1:]
    images = np.broadcast_to(np.uint8(0), (len(labels), channels, *sides))
    return RawData(images, labels, names, groups, given_test)
