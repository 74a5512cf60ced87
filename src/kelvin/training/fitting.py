"""A degradation and its prior fitted to training images, and the images that morphing blends towards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from kelvin.artifacts.starts import StartFolder
from kelvin.datasets.sources.convert import convert_images
from kelvin.datasets.store import PreparedStore
from kelvin.networks import Shape
from kelvin.restoration.restorer import Restorer

FITTED = 20_000  # training images at most that a prior or a severity is fitted to


def fit_process(restorer: Restorer, images: np.ndarray, other: Callable[[], torch.Tensor]) -> None:
    """Fit degradation and prior to training images (a part of them in a large set)."""
    chosen = torch.from_numpy(np.ascontiguousarray(images[:FITTED])).float() / 255
    x0 = restorer.image.encode(chosen)
    restorer.degradation.fit(x0, lambda: restorer.image.encode(other()))
    restorer.degradation.prior.fit(x0)


def save_blend(folder: Path, store: PreparedStore, shape: Shape) -> None:
    """Training images of another data set, brought to this shape, uint8 (n, C, H, W)."""
    images = store.split("train").first(FITTED).images
    StartFolder(folder).write_blend(convert_images(images, (shape.height, shape.width), shape.channels))


def load_blend(folder: Path) -> torch.Tensor:
    """The images that a morphing run blends towards, (n, C, H, W) in [0, 1]."""
    return torch.from_numpy(StartFolder(folder).blend()).float() / 255
