"""Where a data set comes from: scikit-learn's own, torchvision's sets, any folder, tar or zip.

A spec (a data set's entry in params.yaml) is read by its attributes: source, name, path,
image_size, channels, classes, validation, test, seed, licence, on_error, groups, labels, folds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import distribution
from pathlib import Path

import numpy as np

from kelvin.common.errors import KelvinError
from kelvin.config.schema import Images
from kelvin.datasets.sources.convert import convert_images, select_classes
from kelvin.datasets.sources.folders import Check, load_folder
from kelvin.datasets.sources.groups import block_groups
from kelvin.datasets.sources.raw import RawData
from kelvin.datasets.sources.torchvision_sets import load_published
from kelvin.datasets.sources.walk import spelt

_DOWNLOADS = Path("data/raw")
_TILE = 32  # pixels a side of a tile of a photograph


def data_roots(environ: Mapping[str, str]) -> list[Path]:
    """Folders to look for raw data in, best first: KELVIN_DATA, then data/raw of the project.

    A relative KELVIN_DATA is taken from the working directory or else from DVC_ROOT, since a
    queued DVC experiment works in a temporary copy of the repository that DVC_ROOT names.
    """
    bases = [Path.cwd()]
    if environ.get("DVC_ROOT"):
        bases.append(Path(environ["DVC_ROOT"]))
    roots = []
    if environ.get("KELVIN_DATA"):
        named = [base / at_home(environ["KELVIN_DATA"], "KELVIN_DATA") for base in bases]
        roots.append(next((path for path in named if path.is_dir()), named[0]))
    # The repository before its temporary copy: a download must outlive the experiment.
    roots += [base / _DOWNLOADS for base in reversed(bases)]
    return list(dict.fromkeys(root.resolve() for root in roots))


def at_home(path: str, key: str) -> Path:
    """The path, with the home that a ~ at its beginning stands for; KelvinError where there is none."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise KelvinError(f"{key} = {path!r}: no home is known for ~; write the folder out") from error


def load_source(spec: Images, roots: Sequence[Path], room: Path | None = None,
                check: Check | None = None) -> RawData:
    """The data set that spec describes, at its size, channels and classes, not yet split.

    room: an .npy file that images may be decoded into, instead of into memory. check: see load_folder.
    """
    if spec.source == "folder":
        return load_folder(find_folder(spec.path, roots), spec, room, check)
    for key in ("path", "labels"):
        if (value := getattr(spec, key)) is not None:
            raise KelvinError(f"{key}: {value!r} is of use to source: folder alone; set it to null")
    if spec.source == "sklearn":
        raw = load_embedded(spec.name)
    elif spec.source == "torchvision":
        raw = load_published(spec.name, roots)
    else:
        raise KelvinError(
            f"source {spec.source!r} is unknown; choose sklearn, torchvision or folder"
        )
    # Blocks of the source as it stands, before any class is left out.
    raw = replace(raw, groups=block_groups(len(raw.labels), spec.groups))
    if spec.order == "shuffled":
        raw = reordered(raw, np.random.RandomState(spec.seed).permutation(len(raw.labels)))
    raw = select_classes(raw, spec.classes)
    images = convert_images(raw.images, spec.image_size, spec.channels)
    resampled = images.shape[1:] != raw.images.shape[1:] and not _only_repeated(raw.images, images)
    return replace(raw, images=images, grey_levels=256 if resampled else raw.grey_levels)


def reordered(raw: RawData, order: np.ndarray) -> RawData:
    """The same images in another order."""
    test = None if raw.given_test is None else raw.given_test[order]
    return replace(raw, images=raw.images[order], labels=raw.labels[order], groups=raw.groups[order],
                   given_test=test)


def load_embedded(name: str) -> RawData:
    """scikit-learn's own images: `digits` or `photos`."""
    loaders = {"digits": load_digits, "photos": load_photos}
    if name not in loaders:
        raise KelvinError(
            f"sklearn data set {name!r} is unknown; choose from {', '.join(loaders)}"
        )
    return loaders[name]()


def load_digits() -> RawData:
    """scikit-learn's 1,797 handwritten 8x8 digits, 17 grey levels spread over 0..255."""
    # its file, read as scikit-learn reads it: the import of sklearn takes a second of two stages
    file = distribution("scikit-learn").locate_file("sklearn/datasets/data/digits.csv.gz")
    rows = np.loadtxt(str(file), delimiter=",")
    pixels, labels = rows[:, :-1].reshape(-1, 1, 8, 8), rows[:, -1].astype(np.int64)
    return RawData(
        images=np.rint(pixels * (255 / 16)).astype(np.uint8),
        labels=labels,
        class_names=[str(digit) for digit in range(10)],
        groups=np.arange(len(labels), dtype=np.int64),
        grey_levels=17,
    )


def load_photos() -> RawData:
    """520 RGB tiles, 32x32, side by side from scikit-learn's two photographs (classes)."""
    import sklearn.datasets

    photos = sklearn.datasets.load_sample_images()
    tiles = [_tiles(photo) for photo in photos.images]
    return RawData(
        images=np.concatenate(tiles),
        labels=np.repeat(np.arange(len(tiles)), [len(part) for part in tiles]),
        class_names=[Path(name).stem for name in photos.filenames],
        groups=np.arange(sum(map(len, tiles)), dtype=np.int64),
    )


def _tiles(photo: np.ndarray) -> np.ndarray:
    """(H, W, 3) -> (n, 3, 32, 32), row by row; what is left at the right and below is cut off."""
    down, across = photo.shape[0] // _TILE, photo.shape[1] // _TILE
    cut = photo[: down * _TILE, : across * _TILE].reshape(down, _TILE, across, _TILE, 3)
    return cut.transpose(0, 2, 4, 1, 3).reshape(-1, 3, _TILE, _TILE)


def find_folder(path: str | None, roots: Sequence[Path]) -> Path:
    """The folder, tar or zip that path names: under a root, the working directory or the project."""
    if not path:
        raise KelvinError("source: folder needs a path; name a folder, tar or zip of class folders")
    projects = [root.parents[1] for root in roots if root.parts[-2:] == _DOWNLOADS.parts]
    bases = list(dict.fromkeys([*roots, Path.cwd(), *projects]))
    for base in bases:
        if folder := spelt(base / at_home(path, "path")):
            return folder
    raise KelvinError(
        f"folder, tar or zip {path!r} was not found under {', '.join(map(str, bases))}; "
        "put it there or set KELVIN_DATA=<folder> to the folder that holds it"
    )


def _only_repeated(before: np.ndarray, after: np.ndarray) -> bool:
    return before.shape[1] == 1 and before.shape[2:] == after.shape[2:]
