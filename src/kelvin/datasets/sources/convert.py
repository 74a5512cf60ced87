"""Sizes, channels and classes: from what a source holds to what a study asks for.

Every change of size is a central crop to the shape asked for, then Pillow's bicubic filter with
antialiasing (its support grows with the reduction, as in Clean-FID, Parmar et al. 2022). Grey is the
ITU-R 601 luma.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from kelvin.common.errors import KelvinError
from kelvin.datasets.sources.raw import RawData

_MODES = {1: "L", 3: "RGB"}


def convert_images(
    images: np.ndarray, image_size: int | Sequence[int] | None, channels: int | None
) -> np.ndarray:
    """uint8 (n, C, H, W) at the asked size and channels; the same array where nothing changes.

    image_size: a side of a square, or (height, width).
    """
    size = target_sides(image_size) or images.shape[2:]
    wanted = (channels or images.shape[1], *size)
    if images.shape[1:] == wanted:
        return images
    converted = np.empty((len(images), *wanted), np.uint8)
    for target, source in zip(converted, images, strict=True):
        target[:] = as_array(fit(_picture(source), image_size, channels))
    return converted


def choose_classes(class_names: Sequence[str], classes: Sequence[int | str]) -> list[int]:
    """Indices of the named classes, in the order asked for; an int is an index, a str a name."""
    chosen = []
    for wish in classes:
        wish = wish if isinstance(wish, int) else unicodedata.normalize("NFC", wish)
        choices = range(len(class_names)) if isinstance(wish, int) else class_names
        if wish not in choices:
            raise KelvinError(
                f"classes: {wish!r} is no class here; choose from {_listing(class_names)} "
                f"or indices 0 to {len(class_names) - 1}"
            )
        index = wish if isinstance(wish, int) else class_names.index(wish)
        if index in chosen:
            raise KelvinError(f"classes: {wish!r} is listed twice; name each class once")
        chosen.append(index)
    if not chosen:
        raise KelvinError("classes: an empty list keeps no class; leave it out to keep them all")
    return chosen


def select_classes(raw: RawData, classes: Sequence[int | str] | None) -> RawData:
    """Only the images of these classes, relabelled 0, 1, ... in the order asked for."""
    if classes is None:
        return raw
    chosen = choose_classes(raw.class_names, classes)
    new_label = np.full(len(raw.class_names), -1, np.int64)
    new_label[chosen] = np.arange(len(chosen))
    keep = new_label[raw.labels] >= 0
    return replace(
        raw,
        images=raw.images[keep],
        labels=new_label[raw.labels[keep]],
        class_names=[raw.class_names[index] for index in chosen],
        groups=raw.groups[keep],
        given_test=None if raw.given_test is None else raw.given_test[keep],
    )


def target_sides(image_size: int | Sequence[int] | None) -> tuple[int, int] | None:
    """(height, width) that an entry `image_size` asks for: a whole number is both sides."""
    return (image_size, image_size) if isinstance(image_size, int) else image_size and tuple(image_size)


def fit(image: Image.Image, image_size: int | Sequence[int] | None, channels: int | None) -> Image.Image:
    """The picture at the asked size and channels, by the rules of this module."""
    if channels is not None:
        image = image.convert(_MODES[channels])
    if image_size is None:
        return image
    high, wide = target_sides(image_size)
    width, height = image.size
    if (height, width) == (high, wide):
        return image
    # The largest box of the wanted shape.
    if width * high >= height * wide:
        box_wide, box_high = max(1, round(height * wide / high)), height
    else:
        box_wide, box_high = width, max(1, round(width * high / wide))
    left, top = (width - box_wide) // 2, (height - box_high) // 2
    # Not resize(box=...): there the filter also reads pixels outside the box.
    box = image.crop((left, top, left + box_wide, top + box_high))
    return box.resize((wide, high), Image.Resampling.BICUBIC)


def _picture(array: np.ndarray) -> Image.Image:
    return Image.fromarray(array[0] if len(array) == 1 else np.moveaxis(array, 0, -1).copy())


def as_array(image: Image.Image) -> np.ndarray:
    pixels = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)


def _listing(names: Sequence[str]) -> str:
    text = ", ".join(map(repr, names[:12]))
    return text if len(names) <= 12 else f"{text}, ... ({len(names)} in all)"
