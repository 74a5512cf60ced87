"""SSIM and PSNR against scikit-image, image by image."""

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from kelvin.common.errors import KelvinError
from kelvin.metrics.similarity import psnr, rmse, ssim


def pair(side, channels, n=6):
    rng = np.random.default_rng(side)
    x = rng.random((n, channels, side, side + 1)).astype(np.float32)
    damage = np.linspace(0, 0.6, n)[:, None, None, None] * rng.normal(size=x.shape)
    return x, np.clip(x + damage, 0, 1).astype(np.float32)


def reference(x, y, **options):
    return np.array(
        [
            structural_similarity(
                a.astype(np.float64), b.astype(np.float64), data_range=1, channel_axis=0, **options
            )
            for a, b in zip(x, y, strict=True)
        ]
    )


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [7, 8, 28, 32])
def test_ssim_equals_scikit_image(side, channels):
    """To 1e-6 (seen: 1e-12), for the default window, a smaller one and Gaussian weights."""
    x, y = pair(side, channels)
    np.testing.assert_allclose(ssim(x, y), reference(x, y), atol=1e-6)
    np.testing.assert_allclose(ssim(x, y, window=3), reference(x, y, win_size=3), atol=1e-6)
    if side >= 11:
        expected = reference(x, y, gaussian_weights=True)
        np.testing.assert_allclose(ssim(x, y, gaussian=True), expected, atol=1e-6)
    assert ssim(x, y)[0] == pytest.approx(1, abs=1e-12)


def test_psnr_and_rmse_equal_their_definitions():
    x, y = pair(16, 3)
    wide = [(a.astype(np.float64), b.astype(np.float64)) for a, b in zip(x, y, strict=True)]
    expected = [peak_signal_noise_ratio(a, b, data_range=1) for a, b in wide[1:]]
    np.testing.assert_allclose(psnr(x, y)[1:], expected, rtol=1e-12)
    assert psnr(x, y)[0] == np.inf
    np.testing.assert_allclose(rmse(x, y), [np.sqrt(np.mean((a - b) ** 2)) for a, b in wide])


def test_bytes_are_read_as_images():
    x, y = ((p * 255).astype(np.uint8) for p in pair(8, 1))
    np.testing.assert_allclose(ssim(x, y), ssim(x / 255, y / 255), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "side", "word"),
    [
        ({"window": 6}, 8, "odd"),
        ({"window": 1}, 8, "odd and at least 3"),
        ({"window": 0}, 8, "odd"),
        ({"window": 9}, 8, "does not fit images of 8x9"),
        ({"gaussian": True}, 10, "11 does not fit"),
    ],
)
def test_windows_that_make_no_sense_are_refused(options, side, word):
    with pytest.raises(KelvinError, match=word):
        ssim(*pair(side, 1), **options)


def test_different_shapes_are_refused():
    x, y = pair(8, 1)
    for measure in (ssim, psnr, rmse):
        with pytest.raises(KelvinError, match="not one shape"):
            measure(x, y[:1])
