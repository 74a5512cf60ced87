"""Blur: composed matrices against kernels applied one by one with scipy, every border."""

import numpy as np
import pytest
import torch
from helpers import BLUR, HEAT, blur, image, unit_images
from scipy import ndimage
from scipy.fft import dctn, idctn

from kelvin.common.errors import KelvinError

MODES = {"circular": "wrap", "reflect": "mirror", "zero": "constant"}


def kernel(process, i):
    offsets = np.arange(process.taps) - process.taps // 2
    weights = np.exp(-0.5 * (offsets / process.sigmas[i]) ** 2)
    return weights / weights.sum()


@pytest.mark.parametrize("border", MODES)
@pytest.mark.parametrize("size", [(1, 8, 8), (3, 12, 9)], ids=str)
def test_composed_is_the_kernels_one_by_one(border, size):
    """To 1e-5, at every t, in the model's range [-1, 1] where a zero border means black."""
    spec = image(*size)
    process = blur(spec, steps=6, border=border, kernel=1.0)  # kernels as wide as the image
    unit = unit_images(2, spec)
    slow = unit.double().numpy()
    for t in range(1, 7):
        for axis in (2, 3):
            slow = ndimage.convolve1d(slow, kernel(process, t - 1), axis, mode=MODES[border])
        fast = process.degrade(spec.encode(unit), torch.full((2,), t), None)
        np.testing.assert_allclose(fast.numpy(), 2 * slow - 1, atol=1e-5)


def test_single_is_kernel_t_alone():
    process = blur(steps=6, reading="single", border="reflect")
    unit = unit_images(2, image())
    slow = unit.double().numpy()
    for axis in (2, 3):
        slow = ndimage.convolve1d(slow, kernel(process, 4), axis, mode="mirror")
    fast = process.degrade(2 * unit - 1, torch.full((2,), 5), None)
    np.testing.assert_allclose(fast.numpy(), 2 * slow - 1, atol=1e-5)


def test_heat_is_the_ideal_kernel_in_the_cosine_basis():
    process, spec = blur(image(1, 10, 7), **HEAT), image(1, 10, 7)
    x = spec.encode(unit_images(3, spec))
    for t in (1, 4, 8):
        sigma = process.sigmas[t - 1]
        u, v = np.arange(10)[:, None] / 10, np.arange(7)[None] / 7
        decay = np.exp(-0.5 * (sigma * np.pi) ** 2 * (u**2 + v**2))
        slow = idctn(decay * dctn(x.numpy(), axes=(2, 3), norm="ortho"), axes=(2, 3), norm="ortho")
        fast = process.degrade(x, torch.full((3,), t), None)
        np.testing.assert_allclose(fast.numpy(), slow, atol=1e-5)


def test_totals_of_kernels_add_in_squares():
    """sigma_of total: the heat kernels of the steps compose to the wanted sigma."""
    total, step = (blur(border="heat", sigma_of=of, growth="geometric", sigma=s, sigma_start=0.05)
                   for of, s in (("total", 0.5), ("step", 0.3)))
    x = 2 * unit_images(1, image()) - 1
    sigma = np.sqrt(np.sum(step.sigmas**2))
    same = blur(border="heat", sigma_of="total", growth="geometric", sigma_start=0.05,
                sigma=float(sigma / 8))
    end = torch.tensor([8])
    torch.testing.assert_close(step.degrade(x, end, None), same.degrade(x, end, None),
                               rtol=0, atol=1e-5)
    assert total.sigmas[-1] == pytest.approx(4.0)


def test_the_studys_weak_setting_is_the_identity_in_float32(params):
    """Kernel 3, sigma 0.1 at width 28: study B's "less blurred" success was no blur at all."""
    run = params.run("blur-weak")
    process = blur(image(1, 28, 28), steps=20, **run.degradation.model_dump())
    assert process.taps == 3 and process.sigmas[-1] == pytest.approx(0.1, rel=1e-3)
    x = 2 * unit_images(2, image(1, 28, 28)) - 1
    assert torch.equal(process.degrade(x, torch.full((2,), 20), None), x)


def test_presets_mean_the_same_at_every_width(params):
    run = params.run("blur-strong").degradation.model_dump()
    at_28, at_56 = (blur(image(1, n, n), steps=20, **run) for n in (28, 56))
    assert at_28.taps == 13 and at_28.sigmas[-1] == pytest.approx(7.0)
    assert at_56.taps in (25, 27) and at_56.sigmas[-1] == pytest.approx(14.0)


def test_total_needs_growth():
    with pytest.raises(KelvinError, match="needs a sigma that grows"):
        blur(**{**BLUR, "growth": "constant", "sigma_of": "total"})
