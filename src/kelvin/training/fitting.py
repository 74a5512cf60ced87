"""A degradation and its prior fitted to training images, and the images that morphing blends towards."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from kelvin.artifacts.models import Process
from kelvin.artifacts.starts import StartFolder
from kelvin.common.streams import BatchRandom, generator
from kelvin.datasets.sources.convert import convert_images
from kelvin.datasets.store import PreparedStore
from kelvin.degradations import Degradation, Graded
from kelvin.degradations.recoverability import Moments, curve_times
from kelvin.networks import Shape
from kelvin.restoration import linear_map
from kelvin.restoration.parameterisation import LINEAR
from kelvin.restoration.restorer import Restorer
from kelvin.sampling.linear import LinearRestorer

LINEAR_FIT = 5000  # training images at most that the linear maps of the target linear+ are fitted to
FITTED = 20_000  # training images at most that a prior or a severity is fitted to


def fit_process(restorer: Restorer, images: np.ndarray, other: Callable[[], torch.Tensor]
                ) -> torch.Tensor:
    """Fit degradation and prior to training images (a part of them in a large set), which are returned in
    the model's range."""
    chosen = torch.from_numpy(np.ascontiguousarray(images[:FITTED])).float() / 255
    x0 = restorer.image.encode(chosen)
    restorer.degradation.fit(x0, lambda: restorer.image.encode(other()))
    restorer.degradation.prior.fit(x0)
    if restorer.target_name == LINEAR:
        fit_linear(restorer, x0[:LINEAR_FIT])
    return x0


def fit_linear(restorer: Restorer, x0: torch.Tensor) -> None:
    """The least squares that the network adds to: from 8 bits, at each t, z drawn once for each image."""
    process, n = restorer.degradation, len(x0)
    z = process.draw(BatchRandom(n, generator("linear map")))
    maps = [LinearRestorer(process.degrade(x0, torch.full((n,), t), z), x0, restorer.image)
            for t in range(1, process.steps + 1)]
    linear_map.put(process, torch.stack([m.weights for m in maps]),
                   torch.stack([m.mean_0 - m.mean_t @ m.weights for m in maps]))


def about_process(process: Degradation, x0: torch.Tensor) -> Process:
    """The record of a fitted process: the signal variance left at every t, and at some the share that
    linear least squares gets back from 8 bits (kelvin.degradations.recoverability); where severity is
    tied to a noise schedule, by what (`tie`), the values wanted, and from which t on they are out of
    reach.

    `wanted`: alpha-bar_t, where S_t is tied to it. x0: training images in the model's range.
    """
    process = copy.deepcopy(process).to("cpu")
    tied = process if isinstance(process, Graded) and process.tied else None
    times = curve_times(process.steps, x0[0].numel())
    data = Moments(process, x0.cpu())
    return {"temperature": process.temperature,
            "signal_variance": process.signal_variance().double().tolist(),
            "tie": tied.tie if tied else None,
            "wanted": tied.alpha_bar.tolist() if tied and tied.tie == "variance" else None,
            "recoverability_times": times.tolist(),
            "recoverability": data.of(process, times).tolist(),
            "wanted_recoverability": tied.wanted[times].tolist()
            if tied and tied.wanted is not None else None,
            "clamped_from": tied.clamped_from() if tied else None}


def save_blend(folder: Path, store: PreparedStore, shape: Shape) -> None:
    """Training images of another data set, brought to this shape, uint8 (n, C, H, W)."""
    images = store.split("train").first(FITTED).images
    StartFolder(folder).write_blend(convert_images(images, (shape.height, shape.width), shape.channels))


def load_blend(folder: Path) -> torch.Tensor:
    """The images that a morphing run blends towards, (n, C, H, W) in [0, 1]."""
    return torch.from_numpy(StartFolder(folder).blend()).float() / 255
