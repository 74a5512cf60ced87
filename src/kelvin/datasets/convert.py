"""Sizes, channels and classes: from what a source holds to what a study asks for.

Every change of size is a central square crop, then Pillow's bicubic filter with antialiasing (its
support grows with the reduction, as in Clean-FID, Parmar et al. 2022). Grey is the ITU-R 601 luma.
"""

import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image, ImageOps

from kelvin.datasets.raw import RawData
from kelvin.errors import KelvinError

FORMATS = ("PNG", "JPEG", "BMP")
_MODES = {1: "L", 3: "RGB"}


def decode(content: bytes, image_size: int | None, channels: int | None) -> np.ndarray:
    """One encoded PNG, JPEG or BMP as uint8 (C, H, W), turned upright as its EXIF tag says.

    None keeps the native size or channels. Raises what Pillow raises on broken bytes, and
    ValueError for pixels that have no 8-bit grey or colour value (16 bits, transparency).
    """
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        image.load()
        plain = _opaque(ImageOps.exif_transpose(image))
    return _array(_fit(plain, image_size, channels))


def convert_images(images: np.ndarray, image_size: int | None, channels: int | None) -> np.ndarray:
    """uint8 (n, C, H, W) at the asked size and channels; the same array where nothing changes."""
    size = (image_size, image_size) if image_size else images.shape[2:]
    wanted = (channels or images.shape[1], *size)
    if images.shape[1:] == wanted:
        return images
    converted = np.empty((len(images), *wanted), np.uint8)
    for target, source in zip(converted, images, strict=True):
        target[:] = _array(_fit(_picture(source), image_size, channels))
    return converted


def choose_classes(class_names: Sequence[str], classes: Sequence[int | str]) -> list[int]:
    """Indices of the named classes, in the order asked for; an int is an index, a str a name."""
    chosen = []
    for wish in classes:
        known = range(len(class_names)) if isinstance(wish, int) else class_names
        if wish not in known:
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


def _opaque(image: Image.Image) -> Image.Image:
    """The image in mode L or RGB, by conversions that invent no pixel."""
    grey = image.mode in ("1", "L", "LA")
    if not grey and image.mode not in ("RGB", "RGBA", "P", "PA", "CMYK", "YCbCr"):
        raise ValueError(f"has pixels of mode {image.mode}, not 8-bit grey or colour")
    if image.has_transparency_data:
        alpha = image.convert("RGBA").getchannel("A")
        # What shows through is the viewer's choice: no background is the right one to invent.
        if alpha.getextrema()[0] < 255:
            raise ValueError("has transparent pixels")
    return image.convert("L" if grey else "RGB")


def _fit(image: Image.Image, image_size: int | None, channels: int | None) -> Image.Image:
    if channels is not None:
        image = image.convert(_MODES[channels])
    if image_size is None or image.size == (image_size, image_size):
        return image
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    box = (left, top, left + side, top + side)
    # Not resize(box=...): there the filter also reads pixels outside the box.
    return image.crop(box).resize((image_size, image_size), Image.Resampling.BICUBIC)


def _picture(array: np.ndarray) -> Image.Image:
    return Image.fromarray(array[0] if len(array) == 1 else np.moveaxis(array, 0, -1).copy())


def _array(image: Image.Image) -> np.ndarray:
    pixels = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)


def _listing(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:12]))
    return shown if len(names) <= 12 else f"{shown}, ... ({len(names)} in all)"
