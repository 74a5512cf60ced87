"""A folder, tar or zip of pictures as a data set, or as images to score (see sources.layout)."""

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from kelvin.common.errors import KelvinError
from kelvin.config.schema import Images
from kelvin.datasets.sources.archives import Tree, open_tree, printable
from kelvin.datasets.sources.convert import choose_classes
from kelvin.datasets.sources.groups import file_groups
from kelvin.datasets.sources.layout import Item, natural_key, read_layout, sort_files
from kelvin.datasets.sources.raw import RawData
from kelvin.datasets.sources.reading import Troubles, in_file, in_memory, read_images
from kelvin.datasets.sources.tables import read_table

log = logging.getLogger("kelvin")
_LISTED = 5  # names in a line
_LOOSE = ("give all", "one size (--resize)", "one number of channels (grey or RGB)")  # no entry's
Check = Callable[[RawData], object]


def load_folder(path: Path, spec: Images, room: Path | None = None, check: Check | None = None
                ) -> RawData:
    """The images below a folder or in an archive, in natural order of their names or in a seeded one.

    room: an .npy file to decode into, which the data then hold mapped; without it, into memory.
    check: gets the data without their pixels before any is decoded, where no picture may be left out
    for being broken: what names, labels and groups show is refused before hours of work.
    """
    allocate = in_memory if room is None else in_file(room)
    advice = ", or leave such files out with on_error: skip" if spec.on_error == "refuse" else ""
    with open_tree(path) as tree:
        table = None if spec.labels is None else read_table(spec.labels, tree, "label", "labels")
        layout = read_layout(tree, spec.path, table)
        items, class_names = layout.items, layout.class_names
        if spec.classes is not None:
            class_names = [class_names[i] for i in choose_classes(class_names, spec.classes)]
        items = [item for item in items if item.class_name in class_names]
        if spec.order == "shuffled":
            items = shuffled(items, spec.seed)
        names = [item.file for item in items]
        if spec.on_error == "refuse":  # before hours of decoding
            _refuse(layout.foreign, spec.path, advice)
            outline = _described(items, class_names, spec, tree)
            if check is not None:
                check(outline)
        images, good, broken = read_images(tree, names, spec.image_size, spec.channels, allocate)
        if spec.on_error == "refuse":
            _refuse(broken, spec.path, advice)
        troubles = layout.foreign | broken
        good_items = [item for item, fine in zip(items, good, strict=True) if fine]
        checksum = tree.checksum([item.file for item in good_items])
        described = outline if spec.on_error == "refuse" else _described(
            good_items, class_names, spec, tree)
    return replace(
        described,
        images=images,
        checksums={spec.path: checksum},
        skipped=_listing(troubles),
        left_out=_listing(layout.left_out),
        files=[printable(item.file) for item in good_items],
        images_file=room,
    )


def _described(items: Sequence[Item], class_names: list[str], spec: Images, tree: Tree) -> RawData:
    """Labels and groups of these images, by names and tables; KelvinError where one is missing."""
    labels = np.array([class_names.index(item.class_name) for item in items], np.int64)
    _refuse_empty_classes(labels, class_names, spec.path)
    groups = file_groups([item.file for item in items], [item.inside for item in items], spec.groups,
                         tree)  # fmt: skip
    held_out = np.array([item.held_out for item in items], bool)
    return RawData(
        images=np.empty((len(items), 0, 0, 0), np.uint8),
        labels=labels,
        class_names=class_names,
        groups=groups,
        given_test=held_out if held_out.any() else None,
    )


def shuffled(items: Sequence[Item], seed: int) -> list[Item]:
    """In seeded order: a tree lists class by class, but the head of a split must show all classes."""
    # RandomState's stream is frozen by numpy's policy (NEP 19): the order outlives an upgrade.
    return [items[i] for i in np.random.RandomState(seed).permutation(len(items))]


def load_folder_images(
    path: Path | str, image_size: int | Sequence[int] | None, channels: int | None,
    on_error: str = "refuse",
) -> tuple[np.ndarray, str]:
    """All images below a folder or in an archive, whatever its folders mean, for scoring.

    Returns uint8 (n, C, H, W) in natural order of the names, and the SHA-256 of shape and pixels,
    which covers the conversion. Broken and foreign files are refused, or left out by "skip".
    """
    with open_tree(Path(path)) as tree:
        names, foreign, left_out = sort_files(tree, path)
        if on_error == "refuse":
            _refuse(foreign, path)
        images, good, broken = read_images(tree, names, image_size, channels, cure=_LOOSE)
    if on_error == "refuse":
        _refuse(broken, path)
    if not len(images):
        raise KelvinError(f"{path}: every image in it is broken; check what wrote them")
    log_left_out(str(path), _listing(left_out))
    digest = hashlib.sha256(repr(images.shape).encode() + b"\0")
    digest.update(images)
    return images, digest.hexdigest()


def log_left_out(where: str, left_out: Sequence[Mapping[str, str]]) -> None:
    """Log one line on files left out that are no pictures; none where there are none."""
    if left_out:
        names = ", ".join(f"{entry['file']!r} {entry['why']}" for entry in left_out[:_LISTED])
        more = f" and {len(left_out) - _LISTED} more" if len(left_out) > _LISTED else ""
        log.info("%s: left out, no picture: %s%s", where, names, more)


def _listing(reasons: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"file": printable(name), "why": reasons[name]} for name in sorted(reasons, key=natural_key)]


def _refuse(troubles: Troubles, where: Path | str, advice: str = "") -> None:
    if troubles:
        name = min(troubles, key=natural_key)
        more = f" (and {len(troubles) - 1} more like it)" if len(troubles) > 1 else ""
        raise KelvinError(
            f"{where}: {printable(name)!r} {troubles[name]}{more}; repair or remove it{advice}")


def _refuse_empty_classes(labels: np.ndarray, class_names: list[str], where: str) -> None:
    empty = np.flatnonzero(np.bincount(labels, minlength=len(class_names)) == 0)
    if len(empty):
        raise KelvinError(
            f"{where}: class {class_names[empty[0]]!r} holds no usable image; "
            "fill it, remove its folder, or leave it out by `classes`"
        )
