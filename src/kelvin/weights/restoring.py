"""`kelvin restore`: one picture from a file, restored, as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kelvin.common.errors import KelvinError
from kelvin.datasets.sources.reading import pixels_of
from kelvin.weights.images import Samples, sheet, unit_images
from kelvin.weights.published import Published


def restore_photo(model: Published, photo: Path, t: int, out: Path, is_clean: bool, is_resized: bool,
                  sampler: str | None, seed: int) -> None:
    """Write `photo`, restored from t, to the PNG `out`.

    is_clean: degrade it to t first; `out` shows photo, x_t and restoration side by side. is_resized:
    bring it to the weights' size. Colours become grey where the weights are of grey images. Raises
    KelvinError.
    """
    channels, height, width = model.restorer.image.shape
    try:
        content = photo.read_bytes()
    except FileNotFoundError as error:
        raise KelvinError(f"{photo} is not there") from error
    except OSError as error:
        raise KelvinError(f"{photo} cannot be read ({error.strerror})") from error
    pixels = pixels_of(content, (height, width) if is_resized else None, channels)
    if isinstance(pixels, str):
        raise KelvinError(f"{photo} cannot be read as a picture: it {pixels}")
    if pixels.shape[1:] != (height, width):
        raise KelvinError(f"{photo} has {pixels.shape[2]}x{pixels.shape[1]} pixels, but these weights "
                          f"are of {width}x{height}: add --resize, or resize it first")
    degraded = model.degrade(pixels, t, seed) if is_clean else Samples(unit_images(
        pixels, model.restorer.image.shape).numpy())
    restored = model.restore(degraded, t, sampler, seed=seed)
    if is_clean:
        clean = unit_images(pixels, model.restorer.image.shape).numpy()
        sheet([np.concatenate([clean, degraded.images, restored.images])], 8).save(out)
    else:
        restored.save(out, scale=1)
