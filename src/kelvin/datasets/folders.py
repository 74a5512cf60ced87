"""Any tree of class folders as a data set.

Understood layouts, each also inside one enclosing folder: `<class>/...`, `<split>/<class>/...`,
images with no class folder at all. Split folders are known by name in any case (train, training;
test, testing, validation, valid, val). The held-out part is `test` where there is one, else
`validation`; where there are both, `validation` joins the training part, of which Kelvin draws
its own. Hidden files are not looked at.
"""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kelvin.datasets.archives import Tree, open_tree, printable
from kelvin.datasets.convert import choose_classes
from kelvin.datasets.groups import file_groups
from kelvin.datasets.raw import RawData
from kelvin.datasets.reading import Troubles, in_file, in_memory, read_images
from kelvin.errors import KelvinError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
_SPLITS = {
    "train": "train", "training": "train",
    "test": "test", "testing": "test",
    "validation": "validation", "valid": "validation", "val": "validation",
}  # fmt: skip
_NO_CLASS = "images"
_FOREIGN = "is not a PNG, JPEG or BMP file"


@dataclass(frozen=True)
class Item:
    """One image file of a layout, and where the layout puts it."""

    file: str
    inside: str  # the same below the split folder
    class_name: str
    held_out: bool


def load_folder(path: Path, spec, room: Path | None = None) -> RawData:
    """The images below a folder or inside a tar, in natural order of their names or in a seeded one.

    room: an .npy file to decode into, which the data then hold mapped; without it, into memory.
    """
    allocate = in_memory if room is None else in_file(room)
    with open_tree(path) as tree:
        items, class_names, foreign = read_layout(tree, spec.path)
        if spec.classes is not None:
            class_names = [class_names[i] for i in choose_classes(class_names, spec.classes)]
        items = [item for item in items if item.class_name in class_names]
        if spec.order == "shuffled":
            items = shuffled(items, spec.seed)
        names = [item.file for item in items]
        images, good, broken = read_images(
            tree, names, spec.image_size, spec.channels, allocate
        )
        troubles = foreign | broken
        _refuse(troubles, spec.path, spec.on_error)
        kept = [item for item, fine in zip(items, good, strict=True) if fine]
        checksum = tree.checksum([item.file for item in kept])
    labels = np.array([class_names.index(item.class_name) for item in kept], np.int64)
    _refuse_empty_classes(labels, class_names, spec.path)
    held_out = np.array([item.held_out for item in kept], bool)
    return RawData(
        images=images,
        labels=labels,
        class_names=class_names,
        groups=file_groups(
            [item.file for item in kept], [item.inside for item in kept], spec.groups, path
        ),
        given_test=held_out if held_out.any() else None,
        checksums={spec.path: checksum},
        skipped=[
            {"file": printable(name), "why": troubles[name]}
            for name in sorted(troubles, key=natural_key)
        ],
        files=[printable(item.file) for item in kept],
        images_file=room,
    )


def shuffled(items: Sequence[Item], seed: int) -> list[Item]:
    """A tree lists class by class; whoever takes the first images of a split must get all classes."""
    # RandomState's stream is frozen by numpy's policy (NEP 19): the order outlives an upgrade.
    return [items[i] for i in np.random.RandomState(seed).permutation(len(items))]


def load_folder_images(
    path: Path | str, image_size: int | None, channels: int | None, on_error: str = "refuse"
) -> tuple[np.ndarray, str]:
    """All images below a folder or inside a tar, whatever its folders mean, for scoring.

    Returns uint8 (n, C, H, W) in natural order of the names, and the SHA-256 of shape and pixels,
    which covers the conversion. Broken and foreign files are refused, or left out by "skip".
    """
    with open_tree(Path(path)) as tree:
        names, foreign = _images_of(tree, path)
        images, good, broken = read_images(tree, names, image_size, channels)
    _refuse(foreign | broken, path, on_error)
    if not len(images):
        raise KelvinError(f"{path}: every image in it is broken; check what wrote them")
    digest = hashlib.sha256(repr(images.shape).encode() + b"\0")
    digest.update(images)
    return images, digest.hexdigest()


def natural_key(name: str) -> tuple:
    """Sorts 2.png before 10.png and ignores case; the name itself settles ties."""
    pieces = re.split("([0-9]+)", unicodedata.normalize("NFC", name))
    return [int(p) if i % 2 else p.casefold() for i, p in enumerate(pieces)], name


def read_layout(tree: Tree, where: str) -> tuple[list[Item], list[str], Troubles]:
    """What each file is: images with class and split, all class names, and foreign files."""
    names, foreign = _images_of(tree, where)
    depth = _enclosing(names)
    inside = {name: name.split("/")[depth:] for name in names}
    splits = _split_of({parts[0] for parts in inside.values() if len(parts) > 1}, where)
    level = 1 if splits else 0
    if splits:
        foreign |= {
            name: "lies outside the split folders"
            for name, parts in inside.items()
            if parts[0] not in splits
        }
    placed = {name: parts for name, parts in inside.items() if name not in foreign}
    flat = {name for name, parts in placed.items() if len(parts) == level + 1}
    if flat and len(flat) < len(placed):
        foreign |= dict.fromkeys(flat, "lies beside class folders, in none of them")
    flat_set = len(flat) == len(placed)
    held_out = "test" if "test" in splits.values() else "validation"
    items = [
        Item(
            file=name,
            inside=_normal("/".join(parts[level:])),
            class_name=_NO_CLASS if flat_set else _class_name(parts[level]),
            held_out=bool(splits) and splits[parts[0]] == held_out,
        )
        for name, parts in placed.items()
        if name not in foreign
    ]
    if flat_set:
        return items, [_NO_CLASS], foreign
    found = {item.class_name for item in items}
    for folder in filter(_visible, tree.folders):
        parts = folder.split("/")[depth:]
        if len(parts) == level + 1 and (not splits or parts[0] in splits):
            found.add(_class_name(parts[level]))
    return items, sorted(found, key=natural_key), foreign


def _images_of(tree: Tree, where: Path | str) -> tuple[list[str], Troubles]:
    files = sorted(filter(_visible, tree.files), key=natural_key)
    names = [name for name in files if name.lower().endswith(SUFFIXES)]
    if not names:
        raise KelvinError(f"{where}: there is no PNG, JPEG or BMP file in it; check the path")
    return names, {name: _FOREIGN for name in files if not name.lower().endswith(SUFFIXES)}


def _visible(name: str) -> bool:
    return not any(part.startswith(".") for part in name.split("/"))


def _enclosing(names: Sequence[str]) -> int:
    """How many outer folders hold everything and name neither a split nor a class."""
    parts = [name.split("/") for name in names]
    depth = 0
    while max(map(len, parts)) > depth + 2 and len({p[depth] for p in parts}) == 1:
        if parts[0][depth].casefold() in _SPLITS:
            break
        depth += 1
    return depth


def _split_of(tops: set[str], where: str) -> dict[str, str]:
    """{folder: split} where the top folders are splits, {} where they are classes."""
    splits = {top: _SPLITS[top.casefold()] for top in tops if top.casefold() in _SPLITS}
    kinds = set(splits.values())
    if kinds and "train" not in kinds and len(splits) == len(tops):
        raise KelvinError(f"{where}: it holds {sorted(tops)} but no training folder; add train/")
    # A lone `train` among other folders is a class of vehicles, not a split.
    is_split = "train" in kinds and (len(kinds) > 1 or len(splits) == len(tops))
    return splits if is_split else {}


def _class_name(folder: str) -> str:
    return _normal(printable(folder))


def _normal(name: str) -> str:
    # The same letters can be spelt in two ways in file names; one class must have one name.
    return unicodedata.normalize("NFC", name)


def _refuse(troubles: Troubles, where: Path | str, on_error: str) -> None:
    if troubles and on_error == "refuse":
        name = min(troubles, key=natural_key)
        more = f" (and {len(troubles) - 1} more like it)" if len(troubles) > 1 else ""
        raise KelvinError(
            f"{where}: {printable(name)!r} {troubles[name]}{more}; repair or remove it, "
            "or leave such files out with on_error: skip"
        )


def _refuse_empty_classes(labels: np.ndarray, class_names: list[str], where: str) -> None:
    empty = np.flatnonzero(np.bincount(labels, minlength=len(class_names)) == 0)
    if len(empty):
        raise KelvinError(
            f"{where}: class {class_names[empty[0]]!r} holds no usable image; "
            "fill it, remove its folder, or leave it out by `classes`"
        )
