"""The files of a tree: pictures, with class and part, and other files.

Understood layouts, each also inside enclosing folders: `<class>/...`, `<split>/<class>/...` (also with
one folder between, `train/images/<class>/...`), pictures with no class folder at all, and any of them
with labels from a table. Split folders are known by name in any case (train, training; test, testing,
validation, valid, val). The held-out part is `test` where there is one, else `validation`; where there
are both, `validation` joins the training part, of which Kelvin draws its own.

Left out and listed, since no picture is lost by it: texts, a system's files, folders without a picture.
Any other file is foreign: it may be a picture in a format that is not read.
"""

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kelvin.common.errors import KelvinError
from kelvin.datasets.sources.archives import Tree
from kelvin.datasets.sources.reading import PICTURES, Troubles
from kelvin.datasets.sources.tables import Table
from kelvin.datasets.sources.walk import printable

SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".tif", ".tiff", ".webp")
_TEXTS = (
    ".txt", ".md", ".rst", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".toml", ".html",
    ".htm", ".css", ".js", ".pdf", ".doc", ".docx", ".xls", ".xlsx", ".odt", ".ods", ".tex", ".bib",
    ".py", ".ipynb", ".sh", ".bat", ".log", ".ini", ".cfg", ".lst", ".url", ".lnk", ".md5", ".sha1",
    ".sha256", ".sha512", ".xmp", ".aae",
)  # fmt: skip
_TEXT_NAMES = re.compile(
    r"(licen[cs]e|readme|copying|notice|authors|contributors|changelog|citation|version|manifest|"
    r"makefile|checksums|(md5|sha1|sha256|sha512)sums?)([._-].*)?", re.I)
_SYSTEM_FILES = ("thumbs.db", "thumbs.db:encryptable", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini",
                 "icon\r")
_BESIDE = (":zone.identifier", "@synoeastream", "@synoresource")  # of a file, as a file of its own
_SPLITS = {
    "train": "train", "training": "train",
    "test": "test", "testing": "test",
    "validation": "validation", "valid": "validation", "val": "validation",
}  # fmt: skip
# words in names of parts that no layout here understands: train2017 and val2017, train/ and holdout/
_HELD_OUT = {"test", "testing", "tst", "te", "ts", "val", "valid", "validation", "dev", "eval",
             "evaluation", "holdout", "held", "unlabeled", "unlabelled", "query", "gallery"}
_TRAINING = {"train", "training", "trn", "tr"}
_ADDED = re.compile(r"[ _.-]*(set|data|dataset|images|imgs|split|part|folder)?$")  # train_set is a split
_NO_CLASS = "images"
_FOREIGN = f"is not a {PICTURES} file"


@dataclass(frozen=True)
class Item:
    """One image file of a layout, and where the layout puts it."""

    file: str
    inside: str  # the same below the split folder
    class_name: str
    held_out: bool


@dataclass(frozen=True)
class Layout:
    """Items with all class names in natural order; foreign files; what was left out, with its reason."""

    items: list[Item]
    class_names: list[str]
    foreign: Troubles
    left_out: Mapping[str, str]


def read_layout(tree: Tree, where: str, labels: Table | None = None) -> Layout:
    """Class and part of every picture. KelvinError where there is no picture, or no training part."""
    names, foreign, left_out = sort_files(tree, where)
    depth = _enclosing([name.split("/") for name in names])
    inside = {name: name.split("/")[depth:] for name in names}
    splits = _split_of([parts for parts in inside.values() if len(parts) > 1], where)
    foreign |= {
        name: "lies outside the split folders"
        for name, parts in inside.items()
        if splits and parts[0] not in splits
    }
    placed = {name: parts for name, parts in inside.items() if name not in foreign}
    levels = _levels(placed.values()) if splits else {}
    below = {name: parts[levels.get(parts[0], 0):] for name, parts in placed.items()}
    flat = {name for name, parts in below.items() if len(parts) == 1}
    if labels is not None:
        class_of = _labelled(placed, below, labels, foreign)
    elif len(flat) == len(placed):
        class_of = dict.fromkeys(placed, _NO_CLASS)
    else:
        if not splits:
            _refuse_splits_in_classes([parts for name, parts in below.items() if name not in flat], where)
        foreign |= dict.fromkeys(flat, "lies beside class folders, in none of them")
        class_of = {name: class_name(below[name][0]) for name in placed if name not in flat}
    held_out = "test" if "test" in splits.values() else "validation"
    items = [
        Item(
            file=name,
            inside=normal("/".join(below[name])),
            class_name=label,
            held_out=bool(splits) and splits[placed[name][0]] == held_out,
        )
        for name, label in class_of.items()
    ]
    return Layout(items, sorted(set(class_of.values()), key=natural_key), foreign, left_out)


def sort_files(tree: Tree, where: Any) -> tuple[list[str], Troubles, dict[str, str]]:
    """Pictures by their suffix, in natural order; foreign files; what was left out, with its reason."""
    files = sorted(tree.files, key=natural_key)
    names = [name for name in files if name.lower().endswith(SUFFIXES)]
    if not names:
        raise KelvinError(f"{where}: there is no {PICTURES} file in it; check the path")
    others = [name for name in files if not name.lower().endswith(SUFFIXES)]
    foreign = {name: _FOREIGN for name in others if not _is_harmless(name)}
    full = {parent for name in [*names, *foreign] for parent in _parents(name)}
    folders = {parent for name in files for parent in _parents(name)} | set(tree.folders)
    empty = {folder for folder in folders - full if not set(_parents(folder)) - full}
    texts = [name for name in others if name not in foreign and not set(_parents(name)) - full]
    left_out = {f"{folder}/": "holds no picture" for folder in empty}
    left_out |= dict.fromkeys(texts, "is no picture") | tree.left_out
    return names, foreign, {name: left_out[name] for name in sorted(left_out, key=natural_key)}


def natural_key(name: str) -> tuple:
    """Sorts 2.png before 10.png and ignores case; the name itself settles ties."""
    pieces = re.split("([0-9]+)", normal(name))
    return [int(p) if i % 2 else p.casefold() for i, p in enumerate(pieces)], name


def class_name(folder: str) -> str:
    return normal(printable(folder))


def normal(name: str) -> str:
    # The same letters can be spelt in two ways in file names; one class must have one name.
    return unicodedata.normalize("NFC", name)


def _is_harmless(name: str) -> bool:
    own = name.split("/")[-1]
    return (own.lower() in _SYSTEM_FILES or own.lower().endswith(_TEXTS + _BESIDE)
            or _TEXT_NAMES.fullmatch(own) is not None)


def _parents(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:i]) for i in range(1, len(parts))]


def _enclosing(parts: Sequence[Sequence[str]]) -> int:
    """How many outer folders hold everything and name neither a split nor a class."""
    depth = 0
    while max(map(len, parts), default=0) > depth + 2 and len({p[depth] for p in parts}) == 1:
        if parts[0][depth].casefold() in _SPLITS:
            break
        depth += 1
    return depth


def _levels(placed: Collection[Sequence[str]]) -> dict[str, int]:
    """{split folder: how deep its class folders lie}: below what encloses the classes of all splits, and
    of one alone (train/images/cat beside test/cat)."""
    depth, tops = 1 + _enclosing([parts[1:] for parts in placed]), {parts[0] for parts in placed}

    def folders(chosen: Collection[str], level: int) -> set[str]:
        return {class_name(parts[level]) for parts in placed
                if parts[0] in chosen and len(parts) > level + 1}

    levels = dict.fromkeys(tops, depth)
    for top in tops:
        own, others = folders({top}, depth), folders(tops - {top}, depth)
        if len(own) == 1 and not own & others and folders({top}, depth + 1) & others:
            levels[top] += 1
    return levels


def _split_of(placed: Collection[Sequence[str]], where: str) -> dict[str, str]:
    """{folder: split} where the top folders are splits, {} where they are classes; KelvinError where they
    look like parts of a data set by other names, whose images would become classes of one part."""
    tops = {parts[0] for parts in placed}
    splits = {top: _SPLITS[top.casefold()] for top in tops if top.casefold() in _SPLITS}
    kinds = set(splits.values())
    if kinds and "train" not in kinds and len(splits) == len(tops):
        raise KelvinError(f"{where}: it holds {sorted(tops)} but no training folder; add train/")
    # A lone `train` among other folders is a class of vehicles, not a split.
    if "train" in kinds and (len(kinds) > 1 or len(splits) == len(tops)):
        return splits
    plain = {top: _ADDED.sub("", top.strip().casefold()) for top in tops}
    alike = {top: "validation" if name == "dev" else _SPLITS.get(name) for top, name in plain.items()}
    if (None not in alike.values() and len(set(alike.values())) > 1) or _are_parts(tops, placed):
        raise KelvinError(f"{where}: its folders {listing(tops)} are parts of a data set by their names, "
                          "not classes; call them train, validation and test")
    return {}


def _are_parts(tops: Collection[str], placed: Collection[Sequence[str]]) -> bool:
    """Whether folders differ in a word such as train and test alone (cifar_train, cifar_test), or hold
    the same folders while one has a held-out part's name (train and holdout, both with cat and dog)."""
    words = {top: re.findall(r"[^\W\d_]+", top.casefold()) for top in tops}
    held = {top for top in tops if _HELD_OUT & set(words[top])}
    training = {top for top in tops if _TRAINING & set(words[top])} - held
    rest = {tuple(word for word in words[top] if word not in _HELD_OUT | _TRAINING) for top in tops}
    if held and training and len(held | training) == len(tops) and len(rest) == 1:
        return True
    inner = [{parts[1] for parts in placed if parts[0] == top and len(parts) > 2} for top in tops]
    return bool(held) and len(tops) > 1 and len(set.intersection(*inner)) > 1


def _refuse_splits_in_classes(parts: Collection[Sequence[str]], where: str) -> None:
    """KelvinError where the folders of every class are splits: all would be drawn into one part."""
    inner = {part[1].casefold() for part in parts if len(part) > 2}
    if inner and all(len(part) > 2 for part in parts) and inner <= _SPLITS.keys() and "train" in {
            _SPLITS[name] for name in inner} and len({_SPLITS[name] for name in inner}) > 1:
        raise KelvinError(f"{where}: its class folders hold {listing(inner)}; put the parts above the "
                          "classes, as train/cat and test/cat")


def listing(names: Collection[str]) -> str:
    """At most five names, in order."""
    shown = [repr(name) for name in sorted(names)]
    return ", ".join(shown[:5]) + (f" and {len(shown) - 5} more" if len(shown) > 5 else "")


def _labelled(
    placed: Mapping[str, Sequence[str]], below: Mapping[str, Sequence[str]], labels: Table,
    foreign: Troubles,
) -> dict[str, str]:
    """{file: label}; a file without a row, and a row without a file, become foreign."""
    rows = labels.find({name: (name, "/".join(parts), "/".join(below[name]))
                        for name, parts in placed.items()})  # fmt: skip
    if not rows:
        raise KelvinError(f"labels: {labels.place} names no picture here, which would be like "
                          f"{printable(next(iter(placed), 'cat/1.png'))!r}; correct its column file")
    unused = labels.unused(rows)
    foreign |= {name: f"has no row in {labels.place}" for name in placed if name not in rows}
    foreign |= dict.fromkeys(unused, f"has a row in {labels.place} and names no picture here, or several")
    return {name: normal(labels.values[row]) for name, row in rows.items()}
