"""Images to Inception's 299 x 299, by three conventions that give three different FIDs.

Parmar, Zhang and Zhu 2022, "On aliased resizing and surprising subtleties in GAN evaluation", show
what the choice does to FID. Each is linear and separable: the two that torch lacks are a matrix per
axis here.

`tf1`: the original FID's (Heusel et al. 2017; torch-fidelity's too). TensorFlow 1's resize_bilinear,
    align_corners=False: output pixel i samples at i * in / out, without half-pixel centres, so that
    the image shifts by up to half a pixel; no antialiasing. The network sees (255 x - 128) / 128.
`pytorch-fid`: what pytorch-fid does, and with it most papers. torch's F.interpolate(bilinear,
    align_corners=False): the sample lies at (i + 1/2) in / out - 1/2; no antialiasing. The network
    sees 2 x - 1.
`clean`: Clean-FID's. Pillow's antialiased bicubic (Keys' kernel, a = -1/2, widened by in / out where
    the image shrinks), channel by channel in float, cut to [0, 1]. The network sees
    (255 x - 128) / 128.
"""

from functools import cache

import torch
import torch.nn.functional as F

SIDE = 299


def tf1_matrix(size: int, out: int) -> torch.Tensor:
    """(out, size) float64: between the two samples around i * size / out, the last one repeated."""
    at = (torch.arange(out, dtype=torch.float64) * size / out).clamp_max(size - 1)
    # the hat function around each sample: at most two are not zero
    return (1 - (at[:, None] - torch.arange(size)).abs()).clamp_min(0)


def bicubic_matrix(size: int, out: int) -> torch.Tensor:
    """(out, size) float64: Keys' cubic (1981), a = -1/2, stretched when shrinking, rows summing to 1."""
    stretch = max(size / out, 1.0)
    centre = (torch.arange(out, dtype=torch.float64) + 0.5) * size / out
    t = ((torch.arange(size) + 0.5 - centre[:, None]) / stretch).abs()
    near = 1.5 * t**3 - 2.5 * t**2 + 1
    far = -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
    weights = torch.where(t < 1, near, torch.where(t < 2, far, 0.0))
    return weights / weights.sum(1, keepdim=True)


_MATRICES = {"tf1": tf1_matrix, "clean": bicubic_matrix}
# What is done to the images, in words: part of the name of any statistics computed from them.
PREPROCESSING = {
    "pytorch-fid": "pytorch-fid: bilinear with half-pixel centres to 299x299, 2x - 1",
    "tf1": "tf1: bilinear without half-pixel centres to 299x299, (255x - 128) / 128",
    "clean": "clean: antialiased bicubic to 299x299, cut to [0, 1], (255x - 128) / 128",
}


@cache
def _matrix(mode: str, size: int) -> torch.Tensor:
    return _MATRICES[mode](size, SIDE).float()


def resize(x: torch.Tensor, mode: str) -> torch.Tensor:
    """Images (b, C, H, W) in [0, 1] to (b, C, 299, 299) in [0, 1]; a side of 299 stays as it is."""
    if mode == "pytorch-fid":
        return F.interpolate(x, (SIDE, SIDE), mode="bilinear", align_corners=False)
    for axis in (-1, -2):
        if x.shape[axis] != SIDE:
            x = torch.tensordot(x, _matrix(mode, x.shape[axis]).to(x.device), ([axis], [1]))
            x = x.movedim(-1, axis)
    return x.clamp(0, 1) if mode == "clean" else x


def normalise(x: torch.Tensor, mode: str) -> torch.Tensor:
    """[0, 1] to what the network was trained on; pytorch-fid's differs from TensorFlow's by 1/128."""
    return 2 * x - 1 if mode == "pytorch-fid" else (255 * x - 128) / 128
