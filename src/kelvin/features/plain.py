"""Extractors without training: raw pixels, and a random convolutional network.

They share no bias with a classifier: a ranking of runs that all agree on is not the classifier's own.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from kelvin.common.errors import KelvinError
from kelvin.features.extractor import Extractor
from kelvin.metrics.checks import check_images
from kelvin.metrics.moments import stream_moments
from kelvin.metrics.principal import principal

if TYPE_CHECKING:
    import torch

WIDTHS = (32, 64, 128, 128)  # channels before each halving of the random network


def fit_projection(reference_images: np.ndarray, max_dim: int, batch_size: int = 1024
                   ) -> dict[str, np.ndarray]:
    """Arguments of `pixel_extractor`: none where there are at most max_dim pixels, else the mean (d,)
    and the first max_dim principal components (d, max_dim) of reference images (n, C, H, W).

    More than max_dim images are needed then. Memory: d^2 for d = C*H*W.
    """
    if max_dim < 1:
        raise KelvinError(f"max_dim = {max_dim} of the pixel extractor must be at least 1")
    shape = check_images(reference_images[:1], "reference images").shape[1:]
    size = int(np.prod(shape))
    if size <= max_dim:
        return {}
    if len(reference_images) <= max_dim:
        raise KelvinError(f"{len(reference_images)} reference images cannot give {max_dim} principal "
                          f"components of {size} pixels: more than {max_dim} are needed")
    mean, components = _principal(reference_images, max_dim, batch_size)
    return {"mean": mean, "components": components}


def pixel_extractor(shape: tuple[int, int, int], mean: np.ndarray | None = None,
                    components: np.ndarray | None = None) -> Extractor:
    """Pixels of images of `shape` (C, H, W) as features: all, or what `fit_projection` projects to.

    Components are centred, not whitened, so that distances remain root sums of squared pixels. The
    hash covers shape, mean and components: another reference is another extractor.
    """
    size = int(np.prod(shape))
    shape, preprocessing = tuple(shape), "none"
    if components is not None:
        preprocessing = (f"first {components.shape[1]} of {size} principal components of the reference")

    def function(images: np.ndarray) -> np.ndarray:
        if images.shape[1:] != shape:
            raise KelvinError(f"images of shape {images.shape[1:]} are given to a pixel extractor of "
                              f"{shape}")
        flat = images.reshape(len(images), -1).astype(np.float64)
        return flat if components is None else (flat - mean) @ components

    arrays = [np.array(shape), *(a for a in (mean, components) if a is not None)]
    dim = size if components is None else components.shape[1]
    return Extractor("pixels", dim, preprocessing, _hash(arrays), function)


def random_extractor(shape: tuple[int, int, int], dim: int, seed: int, device: str = "cpu") -> Extractor:
    """A random convolutional network as an Extractor, the same for the same shape, dim and seed.

    shape: (C, H, W) of the images; any size. 3x3 convolutions and ReLU, halved by 2x2 means down to
    4x4 or less, then `dim` channels, averaged over positions. Weights are normal with variance 2 /
    inputs (He et al. 2015). Naeem et al. (2020) find that random features tell distributions apart
    where pretrained ones were not trained on such images.
    """
    if len(shape) != 3 or min(shape) < 1 or dim < 1:
        raise KelvinError(f"a random extractor needs a shape (C, H, W) and a dim of at least 1: given "
                          f"{tuple(shape)} and {dim}")
    import torch

    network = _random_network(tuple(shape), dim, seed).to(device)

    def function(images: np.ndarray) -> np.ndarray:
        if images.shape[1:] != tuple(shape):
            raise KelvinError(f"images of shape {images.shape[1:]} are given to a random extractor of "
                              f"{tuple(shape)}")
        with torch.inference_mode():
            return network(torch.from_numpy(images).to(device) * 2 - 1).cpu().numpy()

    weights = [parameter.detach().cpu().numpy() for parameter in network.parameters()]
    return Extractor("random", dim, "pixels to [-1, 1]", _hash([np.array(shape), *weights]), function)


def _random_network(shape: tuple[int, int, int], dim: int, seed: int) -> torch.nn.Module:
    import torch
    from torch import nn

    from kelvin.common.streams import generator  # late, as torch is

    (channels, height, width), layers = shape, []
    with torch.random.fork_rng(devices=[]):  # torch's own stream is the caller's
        for outputs in WIDTHS:
            if max(height, width) <= 4:
                break
            layers += [nn.Conv2d(channels, outputs, 3, padding=1), nn.ReLU(),
                       nn.AvgPool2d(2, ceil_mode=True)]
            channels, height, width = outputs, -(-height // 2), -(-width // 2)
        layers += [nn.Conv2d(channels, dim, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
                   nn.Flatten()]
    network, source = nn.Sequential(*layers), generator("random extractor", *shape, dim, seed)
    for layer in network:
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=(2 / (9 * layer.in_channels)) ** 0.5, generator=source)
            nn.init.normal_(layer.bias, std=0.1, generator=source)
    return network.eval().requires_grad_(False)


def _principal(images: np.ndarray, count: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean (d,) and first components (d, count), orthonormal, of the pixels."""
    basis = principal(stream_moments(
        check_images(images[start : start + batch_size], "reference images").reshape(-1, images[0].size)
        for start in range(0, len(images), batch_size)), count)
    return basis.mean, basis.components


def _hash(arrays: list[np.ndarray]) -> str:
    """SHA-256 of shapes and values, 16 hex digits."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
