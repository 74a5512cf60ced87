"""Degradations against other people's code, or against a slow loop over their definition."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import HEAT, blur, image, unit_images
from scipy import ndimage
from skimage.measure import block_reduce
from skimage.util import random_noise
from torchvision.transforms.functional import rgb_to_grayscale

from kelvin import degradations
from kelvin.common.streams import BatchRandom, generator

CONSTANT = {"kind": "constant", "level": 0.5, "jitter": 0.0}


def make(spec, kind, steps=4, **options):
    return degradations.build(spec, {"kind": kind, **options}, {"kind": "own", "steps": steps}, CONSTANT)


def drawn(process, n, seed=0):
    return process.draw(BatchRandom(n, generator(seed)))


def at(process, x, t, z=None):
    return process.degrade(x, torch.full((len(x),), t), z)


def test_pixelate_is_block_means_and_area_resampling():
    """Sides 2 and 4: skimage's block means repeated, and torch's area mode, to 1e-6."""
    spec = image(3, 8, 8)
    process, x = make(spec, "pixelate", steps=2, blocks=2, antialiased=True), 2 * unit_images(3, spec) - 1
    for t, side in ((1, 2), (2, 4)):
        means = block_reduce(x.double().numpy(), (1, 1, side, side), np.mean)
        np.testing.assert_allclose(at(process, x, t), means.repeat(side, 2).repeat(side, 3), atol=1e-6)
        area = F.interpolate(F.interpolate(x, (8 // side,) * 2, mode="area"), (8, 8), mode="nearest")
        torch.testing.assert_close(at(process, x, t), area, rtol=0, atol=1e-6)


def test_pixelate_blocks_that_are_no_whole_pixels():
    """A row of 7 pixels as a step function: its means over blocks of 7^(t/4), by fine sampling, are a
    step function again, and a pixel shows the mean of that, to 2e-3."""
    spec, fine = image(1, 1, 7), 4000
    process, x = make(spec, "pixelate", blocks=1, antialiased=True), 2 * unit_images(1, spec) - 1
    where = (np.arange(7 * fine) + 0.5) / fine
    row = x[0, 0, 0].double().numpy()[where.astype(int)]
    for t in range(1, 5):
        block = (where / 7 ** (t / 4)).astype(int)
        shown = np.array([row[block == b].mean() for b in range(block.max() + 1)])[block]
        slow = [shown[where.astype(int) == pixel].mean() for pixel in range(7)]
        np.testing.assert_allclose(at(process, x, t)[0, 0, 0], slow, atol=2e-3)


def test_pixelate_without_antialiasing_shows_a_blocks_centre():
    spec = image(1, 9, 9)
    x = 2 * unit_images(2, spec) - 1
    got = at(make(spec, "pixelate", steps=1, blocks=3, antialiased=False), x, 1)
    assert torch.equal(got, x[:, :, 1::3, 1::3].repeat_interleave(3, 2).repeat_interleave(3, 3))


@pytest.mark.parametrize(("of", "axes"), [("rows", (3,)), ("columns", (2,)), ("both", (3, 2))])
def test_averaging_is_numpys_mean(of, axes):
    """(1 - u) x + u mean, axis after axis, to 1e-6."""
    spec = image(3, 9, 7)
    x = 2 * unit_images(2, spec) - 1
    slow = x.double().numpy()
    for axis in axes:
        slow = 0.25 * slow + 0.75 * slow.mean(axis, keepdims=True)
    np.testing.assert_allclose(at(make(spec, "averaging", of=of), x, 3), slow, atol=1e-6)


@pytest.mark.parametrize("angle", [0.0, 90.0, 30.0, -45.0, 170.0])
@pytest.mark.parametrize("size", [(9, 7), (15, 15)], ids=str)
def test_motion_blur_is_the_line_integral(angle, size):
    """scipy's Fourier shift to each of 400 places along the line, and their mean, to 1e-4.

    Odd sizes: at an even one a Nyquist frequency has no half-pixel shift.
    """
    spec = image(1, *size)
    process, x = make(spec, "motion-blur", length=0.6, angle=angle), 2 * unit_images(1, spec) - 1
    length, spectrum = 0.75 * 0.6 * size[1], np.fft.fft2(x[0, 0].double().numpy())
    slow = np.zeros(size)
    for place in (np.arange(400) + 0.5) / 400 - 0.5:
        across, up = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        shift = (-length * place * up, length * place * across)  # rows run downwards
        slow += np.fft.ifft2(ndimage.fourier_shift(spectrum, shift)).real / 400
    np.testing.assert_allclose(at(process, x, 3)[0, 0], slow, atol=1e-4)


def test_motion_blur_uses_each_images_own_angle():
    spec = image(1, 9, 9)
    x = 2 * unit_images(2, spec) - 1
    own = at(make(spec, "motion-blur", length=0.6, angle="drawn"), x, 4, torch.tensor([[0.5], [2.0]]))
    for i, angle in enumerate((0.5, 2.0)):
        alone = make(spec, "motion-blur", length=0.6, angle=math.degrees(angle))
        torch.testing.assert_close(own[i:i + 1], at(alone, x[i:i + 1], 4), rtol=0, atol=1e-5)


@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.5])
def test_heat_blur_is_scipys_gaussian_filter(sigma):
    """Moderate sigmas, mirrored ends, to 2e-3 (1e-2 at 1 pixel): scipy samples the kernel."""
    process, spec = blur(image(1, 16, 12), **{**HEAT, "sigma": sigma / 12}), image(1, 16, 12)
    x = 2 * unit_images(2, spec) - 1
    slow = ndimage.gaussian_filter(x.double().numpy(), (0, 0, sigma, sigma), mode="reflect", truncate=8)
    np.testing.assert_allclose(at(process, x, 8), slow, atol=1e-2 if sigma == 1 else 2e-3)


def test_fade():
    """To a grey level and to each image's own colour, to 1e-6."""
    spec = image(3, 9, 7, low=-1.0)
    x = 2 * unit_images(2, spec) - 1
    grey = 0.75 * x + 0.25 * (2 * 0.8 - 1)
    torch.testing.assert_close(at(make(spec, "fade", to=0.8), x, 1), grey, rtol=0, atol=1e-6)
    colour = 0.75 * x.numpy() + 0.25 * x.numpy().mean((2, 3), keepdims=True)
    np.testing.assert_allclose(at(make(spec, "fade", to="mean"), x, 1), colour, atol=1e-6)


def test_desaturate_is_torchvisions_luma():
    """At u = 1, to 2e-3 (torchvision rounds its weights); halfway to it at u = 1/2."""
    spec = image(3, 9, 7)
    unit, process = unit_images(2, spec), make(image(3, 9, 7), "desaturate")
    grey = 2 * rgb_to_grayscale(unit, 3) - 1
    torch.testing.assert_close(at(process, 2 * unit - 1, 4), grey, rtol=0, atol=2e-3)
    half = (2 * unit - 1 + grey) / 2
    torch.testing.assert_close(at(process, 2 * unit - 1, 2), half, rtol=0, atol=2e-3)


def test_random_pixels_loses_the_share_u():
    """To 4 standard errors of 30 x 784 pixels, whole pixels in every channel; the rest is untouched."""
    spec, n = image(3, 28, 28), 30 * 784
    process = make(spec, "random-pixels", fill=0.25)
    x = torch.full((30, *spec.shape), 0.9)
    for t in range(1, 5):
        x_t = at(process, x, t, drawn(process, 30))
        lost = x_t == -0.5
        assert (lost | (x_t == x)).all() and torch.equal(lost.any(1), lost.all(1))
        u = t / 4
        assert abs(lost[:, 0].float().mean() - u) <= 4 * (u * (1 - u) / n) ** 0.5


def test_salt_and_pepper_has_skimages_statistics():
    """Mean and variance of a grey image with random_noise's s&p, to 4 standard errors of the mean."""
    spec = image(1, 28, 28, low=0.0)
    process, x = make(spec, "salt-and-pepper", salt=0.3), torch.full((40, 1, 28, 28), 0.5)
    for t in range(1, 5):
        ours = at(process, x, t, drawn(process, 40)).double().numpy()
        theirs = random_noise(x.numpy(), "s&p", rng=t, amount=t / 4, salt_vs_pepper=0.3)
        assert set(np.unique(ours)) <= {0.0, 0.5, 1.0}
        error = 4 * (2 * theirs.var() / theirs.size) ** 0.5
        assert abs(ours.mean() - theirs.mean()) < error and abs(ours.var() - theirs.var()) < error


def test_morph_and_interpolation_are_straight_lines():
    """(1 - u) x + u z to 1e-6; the bank keeps 8 bits, so morph ends in `other`'s images to 1/255."""
    spec = image(3, 4, 4)
    x, other = 2 * unit_images(6, spec) - 1, 2 * unit_images(9, spec, seed=1) - 1
    morph = make(spec, "morph")
    morph.fit(x, lambda: other)
    for process in (morph, make(spec, "interpolation")):
        z = drawn(process, 6)
        torch.testing.assert_close(at(process, x, 1, z), 0.75 * x + 0.25 * z, rtol=0, atol=1e-6)
        torch.testing.assert_close(at(process, x, 4, z), z, rtol=0, atol=1e-6)
    nearest = (drawn(morph, 6)[:, None] - other).abs().flatten(2).amax(2).amin(1)
    assert (nearest <= 1 / 255 + 1e-6).all()


def test_cut_out_covers_its_square():
    """A pixel is gone by the share of 200 x 200 points of it inside the square, to 0.01."""
    spec = image(1, 6, 5)
    process, z = make(spec, "cut-out", steps=7, fill=0.0), torch.tensor([[0.31, 0.87]])
    x, points = torch.ones(1, 1, 6, 5), (np.arange(200) + 0.5) / 200
    for t in (1, 2, 4, 7):
        half, slow = 6 * t / 7, np.empty((6, 5))
        for row in range(6):
            for column in range(5):
                inside = ((np.abs(row + points - 0.31 * 6) <= half)[:, None]
                          & (np.abs(column + points - 0.87 * 5) <= half))
                slow[row, column] = 1 - inside.mean()
        np.testing.assert_allclose((at(process, x, t, z)[0, 0] + 1) / 2, slow, atol=0.01)
    assert (at(process, x, 7, z) == -1).all()


@pytest.mark.parametrize("t", [1, 3, 4])
def test_fog_pixel_by_pixel(t):
    """ImageNet-C's (x + c p m) m / (m + c m), c = u / (1 - u), in [0, 1], to 1e-5; at u = 1 m p."""
    spec = image(3, 5, 4)
    process, unit = make(spec, "fog", decay=1.5), 0.8 * unit_images(2, spec)
    z, u, slow = drawn(process, 2), t / 4, np.empty((2, 3, 5, 4))
    assert z.amin() == 0 and z.amax() == 1
    for n, c, i, j in np.ndindex(slow.shape):
        brightest, cloud = unit[n].max().item(), z[n, 0, i, j].item()
        thick = u / (1 - u) if u < 1 else 1e9
        slow[n, c, i, j] = (unit[n, c, i, j].item() + thick * brightest * cloud) / (1 + thick)
    np.testing.assert_allclose(at(process, 2 * unit - 1, t, z), 2 * slow - 1, atol=1e-5)


def test_fog_is_a_cloud_of_the_wanted_decay():
    """Its amplitude falls as 1 / f^1.5: a slope of -1.5 in logarithms over 400 clouds, to 0.1."""
    cloud = drawn(make(image(1, 32, 32), "fog", decay=1.5), 400)[:, 0].double().numpy()
    cloud = (cloud - cloud.mean((1, 2), keepdims=True)) / cloud.std((1, 2), keepdims=True)
    power = (np.abs(np.fft.fft2(cloud)) ** 2).mean(0)[0, 1:16]
    slope = np.polyfit(np.log(np.arange(1, 16)), np.log(power) / 2, 1)[0]
    assert slope == pytest.approx(-1.5, abs=0.1)


@pytest.mark.parametrize("t", [1, 3, 4])
def test_snow_pixel_by_pixel(t):
    """Whitening by u * whiteness, then flakes and the flakes turned by half a turn, to 1e-5."""
    spec, dense = image(3, 6, 5), -0.5
    process = make(spec, "snow", flake=0.2, streak=0.3, whiteness=0.6, dense=dense)
    unit, z, u = unit_images(2, spec), drawn(process, 2), t / 4
    np.testing.assert_allclose(z.mean((1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(z.std((1, 2, 3)), 1, atol=1e-4)
    slow = np.empty((2, 3, 6, 5))

    def flake(n, i, j):  # above a threshold that falls from dense + 2 to dense
        return u * max(z[n, 0, i, j].item() - (dense + 2 * (1 - u)), 0.0)

    for n, c, i, j in np.ndindex(slow.shape):
        x, grey = unit[n, c, i, j].item(), unit[n, :, i, j].mean().item()
        k = 1 - 0.6 * u
        snow = flake(n, i, j) + flake(n, 5 - i, 4 - j)
        slow[n, c, i, j] = min(max(k * x + (1 - k) * max(x, 1.5 * grey + 0.5) + snow, 0.0), 1.0)
    assert (slow == 1).any() and (slow < 1).any()
    np.testing.assert_allclose(at(process, 2 * unit - 1, t, z), 2 * slow - 1, atol=1e-5)
