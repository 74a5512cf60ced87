"""FID's feature extractor: the published Inception weights, found or fetched, and always checked.

Heusel et al. 2017: "GANs trained by a two time-scale update rule converge to a local Nash equilibrium".
Without the published weights there is no FID and a reason instead: no other weights stand in.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kelvin.common.errors import KelvinError
from kelvin.features.extractor import Extractor
from kelvin.features.weights_file import Published, load_network

if TYPE_CHECKING:
    import torch

FILE = "pt_inception-2015-12-05-6726825d.pth"
URL = f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{FILE}"
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
RESIZES = ("pytorch-fid", "tf1", "clean")
# images through the network at once: 0.3 GiB of activations on a CPU, 5 GiB on a GPU
_CHUNK = {"cpu": 16, "cuda": 256}
_PIECE = 1 << 20  # bytes read at once
_SILENCE = 30  # seconds without a byte after which a server counts as unreachable


def fid_extractor(data_root: str | Path, resize: str = "pytorch-fid", *, download: bool = False,
                  download_root: str | Path = "data/raw",
                  device: torch.device | str = "cpu", sha256: str = SHA256, url: str = URL,
                  patience: float = 600) -> tuple[Extractor | None, str | None]:
    """(Extractor, None) of FID's 2048 pool features, or (None, why): one sentence for fid_why.

    The weights are the file pt_inception-2015-12-05-6726825d.pth, looked for in the folder
    `inception` of data_root (the folder that KELVIN_DATA names, or None), then of download_root;
    where there is none and download is true, it is fetched from url into the latter, whole or not at
    all, within `patience` seconds. A file with another sha256 is refused, never used.
    resize: pytorch-fid (its features to 1e-4), tf1 or clean: see kelvin.features.inception_resize.
    The extractor takes images (n, 1 or 3, H, W) in [0, 1] of any size, grey ones widened to three
    channels; its memory does not grow with n. Raises KelvinError for an unknown resize.
    """
    if resize not in RESIZES:
        raise KelvinError(f"FID's resize is {resize!r}; choose from {', '.join(RESIZES)}.")
    # Paths are told by the names that users know them by: reasons enter records that machines share.
    roots = {"KELVIN_DATA": data_root, "data/raw": download_root}
    paths = {f"{name}/inception/": Path(root) / "inception" / FILE
             for name, root in roots.items() if root}
    place = next((place for place, path in paths.items() if path.is_file()), None)
    if place is None:
        place, path = "data/raw/inception/", Path(download_root) / "inception" / FILE
        failed = _download(path, url, sha256, patience) if download else ""
        if failed is not None:
            unset = "" if data_root else " (or set KELVIN_DATA to a folder whose inception/ holds it)"
            return None, (f"FID is null: {FILE} was not found{failed}; put that file, sha256 {sha256}, "
                          f"published at {url}, in {' or '.join(paths)}{unset}.")
    return _load(place + FILE, paths[place], resize, device, sha256, url)


def _load(name: str, path: Path, resize: str, device: torch.device | str, sha256: str,
          url: str) -> tuple[Extractor | None, str | None]:
    """(Extractor, None) of the file at path, or (None, why); name: what a sentence calls it."""
    from kelvin.features.inception_network import DIM, pool_network
    from kelvin.features.inception_resize import PREPROCESSING

    network = load_network(path, Published(name, "FID's Inception weights", sha256, "FID is null: ",
                                           f"replace it by the file published at {url}."), pool_network)
    if isinstance(network, str):
        return None, network
    import torch

    network = network.to(device, memory_format=torch.channels_last)  # a fifth faster on the CPU
    function = _features(network, resize, device)
    return Extractor("inception", DIM, PREPROCESSING[resize], sha256, function), None


def _features(network: torch.nn.Module, mode: str, device: torch.device | str
              ) -> Callable[[np.ndarray], np.ndarray]:
    """(b, C, H, W) float32 array in [0, 1] -> (b, 2048) float32 array, a few images at a time."""
    import torch

    from kelvin.features.inception_resize import normalise, resize

    chunk = _CHUNK.get(torch.device(device).type, _CHUNK["cpu"])

    def few(x: np.ndarray) -> torch.Tensor:
        x = normalise(resize(torch.from_numpy(x).to(device), mode), mode).expand(-1, 3, -1, -1)
        return network(x.contiguous(memory_format=torch.channels_last))

    def function(images: np.ndarray) -> np.ndarray:
        if images.shape[1] not in (1, 3):
            raise KelvinError(
                f"inception: the images have {images.shape[1]} channels, it sees grey (1) or RGB (3)."
            )
        with torch.inference_mode():
            starts = range(0, len(images), chunk)
            return torch.cat([few(images[i:i + chunk]) for i in starts]).cpu().numpy()

    return function


def _download(path: Path, url: str, sha256: str, patience: float) -> str | None:
    """None when path holds the file, else what went wrong as a clause; nothing half-fetched stays."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = _fetch(url, part, patience)
        if digest != sha256:
            return f" and what the download sent has another sha256 ({digest})"
        os.replace(part, path)
        return None
    except urllib.error.HTTPError as error:
        return f" and the download was answered with HTTP status {error.code}"
    except TimeoutError:
        return " and the download took too long"
    except (urllib.error.URLError, http.client.HTTPException):  # worded otherwise on each machine
        return " and could not be downloaded"
    except OSError:
        return " and could not be written to data/raw/inception/"
    finally:
        part.unlink(missing_ok=True)


def _fetch(url: str, path: Path, patience: float) -> str:
    """Write what url sends to path; its sha256. A TimeoutError once patience (seconds) is spent."""
    deadline, digest = time.monotonic() + patience, hashlib.sha256()
    with urllib.request.urlopen(url, timeout=min(_SILENCE, patience)) as answer, path.open("wb") as file:
        while piece := answer.read1(_PIECE):
            if time.monotonic() > deadline:
                raise TimeoutError
            file.write(piece)
            digest.update(piece)
    return digest.hexdigest()
