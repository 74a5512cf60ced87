"""Images from users (pictures, arrays, tensors), and images that models return."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from kelvin.common.arguments import place_of_file, whole_number
from kelvin.common.errors import KelvinError
from kelvin.common.files import as_uint8, finite, write_arrays

Shape = tuple[int, int, int]  # of one image: C, H, W
MODES = {1: "L", 3: "RGB"}
FAR = 16.0  # x_t of noise lies a few units beyond [0, 1]; 8-bit values written as floats lie farther


@dataclass(frozen=True, repr=False)
class Samples:
    """Images that a model made, float32 (n, C, H, W) in [0, 1]."""

    images: np.ndarray

    def save(self, path: str | Path, scale: int = 8) -> None:
        """A PNG of all images in rows of at most eight, each pixel `scale` pixels wide; to a path in
        .npz, the images as uint8 (n, C, H, W). Values beyond [0, 1] are clipped; KelvinError where one is
        not finite."""
        if refuse_unwritable(path, scale, (".png", ".npz")) == ".npz":
            write_arrays(Path(path), images=pixels(self.images))
            return
        rows = [self.images[i:i + 8] for i in range(0, len(self.images), 8)]
        sheet(rows, scale).save(path)

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self)} images of {words(self.images.shape[-3:])}>"


@dataclass(frozen=True, repr=False)
class Degraded(Samples):
    """x_t of images, not clipped: noise goes beyond [0, 1].

    t: where in 0..T. z (n, ...): the randomness of the process that made them (what was masked, which
    noise), None where it has none. process: which one that was, each of its parts as JSON; a restoration
    refuses images of another.
    """

    t: int
    z: torch.Tensor | None
    process: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, degraded to t = {self.t}>"


@dataclass(frozen=True, repr=False)
class Trajectory:
    """The way of samples from x_T to x_0: times (R,) from T down to 0, images (R, n, C, H, W) in
    [0, 1]."""

    times: list[int]
    images: np.ndarray

    def save(self, path: str | Path, scale: int = 8) -> None:
        """A PNG: a row for each sample, time from left to right."""
        refuse_unwritable(path, scale, (".png",))
        sheet(list(self.images.swapaxes(0, 1)), scale).save(path)

    def __repr__(self) -> str:
        return (f"<Trajectory: {self.images.shape[1]} images of {words(self.images.shape[-3:])} at t = "
                f"{', '.join(map(str, self.times))}>")


def refuse_unwritable(path: str | Path, scale: int, suffixes: Sequence[str]) -> str:
    """The ending of a file to write; KelvinError where it or its folder is none, or where the scale of
    its pixels is none."""
    whole_number("scale", scale, 1, 1000)
    if (suffix := Path(path).suffix.lower()) not in suffixes:
        raise KelvinError(f"{path} should end in {' or '.join(suffixes)}")
    place_of_file(str(path), Path(path))
    return suffix


def sheet(rows: Sequence[np.ndarray], scale: int) -> Image.Image:
    """Rows of images (n, C, H, W) with a black line between them, each pixel `scale` pixels wide."""
    channels, height, width = rows[0].shape[1:]
    columns = max(map(len, rows))
    canvas = np.zeros((len(rows) * (height + 1) - 1, columns * (width + 1) - 1, channels), np.uint8)
    for i, row in enumerate(rows):
        for j, image in enumerate(pixels(row).transpose(0, 2, 3, 1)):
            top, left = i * (height + 1), j * (width + 1)
            canvas[top:top + height, left:left + width] = image
    picture = Image.fromarray(canvas if channels == 3 else canvas[..., 0])
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)


def pixels(images: np.ndarray) -> np.ndarray:
    """uint8 of images, clipped to [0, 1]; KelvinError where a value is not finite."""
    return as_uint8(finite(torch.from_numpy(images)).clamp(0, 1))


def unit_images(images: Any, shape: Shape, is_bounded: bool = True) -> torch.Tensor:
    """float32 (n, C, H, W) of pictures, arrays or tensors.

    images: a PIL picture in mode L or RGB, as the shape (C, H, W) has it; an array or tensor of one
    image or several, channels first or last, or without them where C = 1: uint8 from 0 to 255, or floats
    from 0 to 1; `Samples`; or a list of any of these. is_bounded: floats beyond [0, 1] are refused;
    without it only those that can be no x_t. KelvinError, one sentence, for anything else.
    """
    if isinstance(images, Samples):
        images = images.images
    if isinstance(images, list | tuple):
        if not images:
            raise KelvinError("an empty list has no image; give one at least")
        return torch.cat([unit_images(image, shape, is_bounded) for image in images])
    if isinstance(images, Image.Image):
        images = picture_pixels(images, shape)
    if isinstance(images, np.ma.MaskedArray):
        raise KelvinError("these images are masked; give an array without a mask")
    if isinstance(images, np.ndarray):
        if images.dtype != np.uint8 and images.dtype.kind != "f":
            raise KelvinError(kind_of(images.dtype))
        wide = images.dtype.itemsize > 8  # of which torch has no floats
        images = torch.from_numpy(np.array(images, np.double if wide else images.dtype.newbyteorder("=")))
    if not isinstance(images, torch.Tensor):
        raise KelvinError(f"a {type(images).__name__} is no image; give a PIL picture, an array, a "
                          "tensor, or a list of them")
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise KelvinError(kind_of(images.dtype))
    images = arranged(plain(images), shape)
    if images.dtype == torch.uint8:
        return images.float() / 255
    low, high = (0.0, 1.0) if is_bounded else (-FAR, FAR)
    if not bool(((images >= low) & (images <= high)).all()):  # nor for what is not a number
        raise KelvinError(f"images of floats run from {images.min():.3g} to {images.max():.3g}; black is "
                          "0 and white is 1, or give them as uint8 from 0 to 255")
    return images.float()


def plain(images: torch.Tensor) -> torch.Tensor:
    """The tensor on the CPU, one of 8-bit floats, which torch does not compare, as float32; KelvinError
    where it holds no values that can be read one by one."""
    if images.is_nested or images.layout != torch.strided or images.is_meta:
        what = "nested" if images.is_nested else "on the device meta" if images.is_meta else "sparse"
        raise KelvinError(f"a tensor that is {what} has not a value for each pixel; give a dense one")
    try:
        images = images.detach().cpu()
        return images.float() if images.dtype.itemsize == 1 and images.is_floating_point() else images
    except NotImplementedError as error:  # 4-bit floats, two of them in a byte
        raise KelvinError(kind_of(images.dtype)) from error


def joined(images: Any, shape: Shape) -> Any:
    """One `Degraded` of a list of them, in its order; what holds none, as it is.

    KelvinError where the list holds other images too, or those of several times or processes.
    """
    each = list(leaves(images)) if isinstance(images, list | tuple) else []
    first = next((one for one in each if isinstance(one, Degraded)), None)
    if first is None:
        return images
    for one in each:
        if not isinstance(one, Degraded):
            raise KelvinError("a list holds what degrade returned and other images: restore them apart")
        if one.t != first.t:
            raise KelvinError(f"a list holds images that are degraded to t = {first.t} and to t = "
                              f"{one.t}: restore them apart")
        if one.process != first.process or (one.z is None) != (first.z is None):
            raise KelvinError("a list holds images that several processes degraded: restore them apart")
    x = torch.cat([unit_images(one, shape, is_bounded=False) for one in each])
    return replace(first, images=x.numpy(),
                   z=None if first.z is None else torch.cat([one.z for one in each]))


def leaves(images: Any) -> Iterator[Any]:
    """What a list holds, and the lists in it."""
    for image in images:
        if isinstance(image, list | tuple):
            yield from leaves(image)
        else:
            yield image


def kind_of(dtype: Any) -> str:
    return f"images of {dtype} may mean anything; give uint8 from 0 to 255, or floats from 0 to 1"


def picture_pixels(picture: Image.Image, shape: Shape) -> np.ndarray:
    """uint8 (H, W) or (H, W, 3) of a picture that has the model's size and mode."""
    mode, size = MODES[shape[0]], (shape[2], shape[1])
    if picture.size != size:
        raise KelvinError(f"a picture of {picture.width}x{picture.height} pixels was given, but these "
                          f"weights are of {words(shape)} images: resize it first")
    if picture.mode != mode:
        raise KelvinError(f"a picture of mode {picture.mode} was given, but these weights are of "
                          f"{words(shape)} images: picture.convert({mode!r}) first")
    return np.asarray(picture)


def arranged(images: torch.Tensor, shape: Shape) -> torch.Tensor:
    """(n, C, H, W) of one image or several, with channels first, last or, of grey ones, nowhere."""
    channels, height, width = shape
    own = tuple(images.shape)
    if images.ndim in (3, 4) and own[-3:] == shape:
        batch = images.reshape(-1, *shape)
    elif images.ndim in (3, 4) and own[-3:] == (height, width, channels):
        batch = images.movedim(-1, -3).reshape(-1, *shape)
    elif channels == 1 and images.ndim in (2, 3) and own[-2:] == (height, width):
        batch = images.reshape(-1, *shape)
    else:
        raise KelvinError(f"images of the shape {own} were given, but these weights are of "
                          f"{words(shape)} images: bring them to "
                          f"(n, {channels}, {height}, {width}) first")
    if not len(batch):
        raise KelvinError(f"an array of the shape {own} has no image; give one at least")
    return batch


def words(shape: Sequence[int]) -> str:
    """`28x28 grey`."""
    channels, height, width = shape
    return f"{width}x{height} {'grey' if channels == 1 else 'RGB'}"
