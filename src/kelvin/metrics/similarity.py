"""How alike two images are, pixel by pixel and patch by patch."""

import numpy as np
from scipy.ndimage import correlate1d

from kelvin.common.errors import KelvinError
from kelvin.metrics.checks import check_pair


def rmse(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Root mean square error per image, (n,), of images (n, C, H, W) in [0, 1]."""
    x, y = check_pair(x, y)
    return np.sqrt(np.mean((x - y) ** 2, axis=(1, 2, 3)))


def psnr(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio per image in dB, (n,), peak 1; infinite for equal images."""
    error = rmse(x, y)
    with np.errstate(divide="ignore"):
        return -20 * np.log10(error)


def ssim(x: np.ndarray, y: np.ndarray, window: int = 7, gaussian: bool = False) -> np.ndarray:
    """Structural similarity per image, (n,), mean over channels and over whole windows.

    Wang et al. (2004), eq. 13, data range 1, K1 = 0.01, K2 = 0.03, sample covariance: the defaults
    of scikit-image. window: an odd side, at most the image's. gaussian: weights of sigma 1.5
    over 11 pixels, as in the paper, in place of the uniform window.
    """
    x, y = check_pair(x, y)
    side = 11 if gaussian else window
    if side % 2 == 0 or side < 3:
        raise KelvinError(f"SSIM's window is {side}, it must be odd and at least 3.")
    if side > min(x.shape[2:]):
        raise KelvinError(f"SSIM's window {side} does not fit images of {x.shape[2]}x{x.shape[3]}.")
    kernel = _gaussian_kernel(side // 2) if gaussian else np.full(side, 1 / side)
    sample = side**2 / (side**2 - 1)
    mean_x, mean_y = _smooth(x, kernel), _smooth(y, kernel)
    var_x = sample * (_smooth(x * x, kernel) - mean_x**2)
    var_y = sample * (_smooth(y * y, kernel) - mean_y**2)
    cov = sample * (_smooth(x * y, kernel) - mean_x * mean_y)
    c1, c2 = 0.01**2, 0.03**2
    likeness = (2 * mean_x * mean_y + c1) * (2 * cov + c2)
    likeness /= (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    return likeness.mean(axis=(1, 2, 3))


def _gaussian_kernel(radius: int, sigma: float = 1.5) -> np.ndarray:
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return weights / weights.sum()


def _smooth(images: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Weighted mean over every whole window, (n, C, H - side + 1, W - side + 1)."""
    r = len(kernel) // 2
    rows = correlate1d(images, kernel, axis=2)[:, :, r : images.shape[2] - r]
    return correlate1d(rows, kernel, axis=3)[:, :, :, r : images.shape[3] - r]
