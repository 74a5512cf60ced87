"""Small published weights: one safetensors file that knows its network, prior and sampler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kelvin.artifacts.weights import read_weights, write_weights
from kelvin.common.files import as_uint8, write_arrays
from kelvin.restoration import assemble
from kelvin.restoration.restorer import Restorer
from kelvin.sampling.trajectories import generate


@dataclass(frozen=True)
class Samples:
    """Images in [0, 1], float32 (n, C, H, W)."""

    images: np.ndarray

    def save(self, path: str | Path, scale: int = 8) -> None:
        """A PNG of all images in rows of at most eight, each pixel `scale` pixels wide; to a path in
        .npz, the images as uint8 (n, C, H, W)."""
        from PIL import Image

        if Path(path).suffix.lower() == ".npz":
            write_arrays(Path(path), images=as_uint8(torch.from_numpy(self.images)))
            return

        n, channels, height, width = self.images.shape
        columns = min(8, n)
        rows = -(-n // columns)
        sheet = np.zeros((rows * (height + 1) - 1, columns * (width + 1) - 1, channels), np.uint8)
        for i, image in enumerate(self.images):
            top, left = i // columns * (height + 1), i % columns * (width + 1)
            pixels = as_uint8(torch.from_numpy(image)).transpose(1, 2, 0)
            sheet[top:top + height, left:left + width] = pixels
        picture = Image.fromarray(sheet if channels == 3 else sheet[..., 0])
        picture.resize((picture.width * scale, picture.height * scale), Image.NEAREST).save(path)


@dataclass(frozen=True)
class Published:
    """A trained restorer with the sampler it was measured with."""

    restorer: Restorer
    sampler: Mapping[str, Any]
    about: Mapping[str, Any]

    def sample(self, n: int, seed: int = 0, label: int | None = None, guidance: float = 1.0) -> Samples:
        """n new images from nothing but a seed; image i is the same whatever n is.

        label: the class that all of them are to be of, where the network was trained with classes.
        """
        labels = None if label is None else torch.full((n,), label)
        drawn = generate(self.restorer, self.sampler, n, (seed, "samples"), batch=256, labels=labels,
                         guidance=guidance)
        return Samples(drawn.images.numpy())


def publish(weights: Path, sampler: Mapping[str, Any], about: Mapping[str, Any], path: Path) -> None:
    """Copy trained weights to `path` with their sampler and where they come from.

    The same weights make the same bytes, so the repository does not grow by them.
    """
    trained = read_weights(weights)
    write_weights(path, replace(trained, about={**trained.about, "sampler": dict(sampler),
                                                "about": dict(about)}))


def load(path: str | Path) -> Published:
    """A file that `publish` wrote; KelvinError where it is missing or is something else."""
    path = Path(path)
    weights = read_weights(path)
    return Published(assemble.restored(weights, path), weights.about["sampler"], weights.about["about"])
