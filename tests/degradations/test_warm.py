"""Warm diffusion: gains and posteriors against Gaussian conditioning done the long way."""

import numpy as np
import pytest
import torch
from helpers import image, unit_images
from scipy.fft import dctn

from kelvin import degradations
from kelvin.common.streams import BatchRandom, generator

CONSTANT = {"kind": "constant", "level": 0.5, "jitter": 0.0}
BLUR_NOISE = {"kind": "blur-noise", "sigma": 0.4, "floor": 0.001}
MASK_NOISE = {"kind": "mask-noise", "lag": 2.0}
HEAT_NOISE = {"kind": "heat-dissipation", "sigma": 0.75, "sigma_start": 0.02, "noise": 0.01}
ALL = [BLUR_NOISE, MASK_NOISE, HEAT_NOISE]
kinds = pytest.mark.parametrize("options", ALL, ids=lambda o: o["kind"])


def make(options, spec=None, steps=10):
    return degradations.build(spec or image(1, 6, 5), options, {"kind": "own", "steps": steps}, CONSTANT)


def times(*t):
    return torch.tensor(t)


def spectrum(x):
    return dctn(np.asarray(x), axes=(-2, -1), norm="ortho")


def frequency2(height, width):
    return (np.pi * np.arange(height)[:, None] / height) ** 2 + (np.pi * np.arange(width) / width) ** 2


def by_hand(options, u, shape):
    """Gain for each frequency and the noise's deviation, from the papers' formulas."""
    f2 = frequency2(*shape)
    if options["kind"] == "blur-noise":
        sigma = 0.4 * shape[1] * np.sin(np.pi * u / 2) ** 2
        decay = 0.999 * np.exp(-(sigma**2) * f2 / 2) + 0.001
        return np.cos(np.pi * u / 2) * decay, np.sin(np.pi * u / 2)
    sigma = 0.02 * shape[1] * (0.75 / 0.02) ** u if u > 0 else 0.0
    return np.exp(-(sigma**2) * f2 / 2), 0.02 * (u > 0)


@pytest.mark.parametrize("options", [BLUR_NOISE, HEAT_NOISE], ids=lambda o: o["kind"])
def test_degrade_is_a_gain_for_each_frequency_and_noise(options):
    """x_t in scipy's cosine basis = gain * spectrum of x0 + std * spectrum of z, to 1e-5."""
    process, x0 = make(options), 2 * unit_images(2, image(1, 6, 5)).double() - 1
    z = process.draw(BatchRandom(2, generator(0))).double()
    for t in range(11):
        gain, std = by_hand(options, t / 10, (6, 5))
        np.testing.assert_allclose(process.gain(times(t), None)[0, 0], gain, atol=1e-6)
        assert process.std(times(t)).item() == pytest.approx(std, abs=1e-6)
        x_t = process.degrade(x0, times(t, t), z)
        np.testing.assert_allclose(spectrum(x_t), gain * spectrum(x0) + std * spectrum(z), atol=1e-5)


def test_mask_noise_pixel_by_pixel():
    """alpha(u) x where the field is at least u^lag, else nothing; then noise; to 1e-6."""
    process, x0 = make(MASK_NOISE), 2 * unit_images(1, image(1, 6, 5)) - 1
    z = process.draw(BatchRandom(1, generator(0)))
    for t in range(1, 11):
        u, slow = t / 10, np.empty((6, 5))
        for i, j in np.ndindex(6, 5):
            kept = np.cos(np.pi * u / 2) * x0[0, 0, i, j].item() if z[0, 0, i, j] >= u**2 else 0.0
            slow[i, j] = kept + np.sin(np.pi * u / 2) * z[0, 1, i, j].item()
        np.testing.assert_allclose(process.degrade(x0, times(t), z)[0, 0], slow, atol=1e-6)


@pytest.mark.parametrize(("t", "s"), [(10, 9), (10, 3), (5, 4), (7, 1), (2, 1)])
def test_posterior_of_blurring_noise_is_bayes_in_each_frequency(t, s):
    """The joint Gaussian of (x_s, x_t) under the Markov chain, conditioned on x_t, to 1e-5."""
    process, x0 = make(BLUR_NOISE), 2 * unit_images(1, image(1, 6, 5)).double() - 1
    z = process.draw(BatchRandom(1, generator(1))).double()
    x_t = process.degrade(x0, times(t), z)
    mean, std = process.posterior(x_t, x0, times(t), times(s), eta=1.0)
    (gain_t, std_t), (gain_s, std_s) = (by_hand(BLUR_NOISE, k / 10, (6, 5)) for k in (t, s))
    y0, y_t, got = spectrum(x0)[0, 0], spectrum(x_t)[0, 0], spectrum(mean)[0, 0]
    for k in np.ndindex(6, 5):
        step = gain_t[k] / gain_s[k]  # x_t = step * x_s + fresh noise
        covariance = np.array([[std_s**2, step * std_s**2], [step * std_s**2, std_t**2]])
        assert np.linalg.eigvalsh(covariance)[0] > -1e-12
        gained = covariance[0, 1] / covariance[1, 1]
        wanted = gain_s[k] * y0[k] + gained * (y_t[k] - gain_t[k] * y0[k])
        assert got[k] == pytest.approx(wanted, abs=1e-5)
        variance = covariance[0, 0] - gained * covariance[1, 0]
        assert std[(0, 0, *k)].item() ** 2 == pytest.approx(variance, abs=1e-6)


@kinds
@pytest.mark.parametrize(("t", "s"), [(10, 5), (6, 5), (3, 1), (4, 0)])
def test_without_fresh_noise_the_posterior_keeps_z(options, t, s):
    """eta = 0 at the true x0: the mean is D(x0, s; z) to 1e-4 and nothing is added."""
    process, x0 = make(options), 2 * unit_images(3, image(1, 6, 5)) - 1
    z = process.draw(BatchRandom(3, generator(2)))
    x_t = process.degrade(x0, times(t, t, t), z)
    mean, std = process.posterior(x_t, x0, times(t, t, t), times(s, s, s), eta=0.0, z=process.public(z)
                                  if options is MASK_NOISE else None)
    torch.testing.assert_close(mean, process.degrade(x0, times(s, s, s), z), rtol=0, atol=1e-4)
    assert (std == 0).all()


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("t", "s"), [(10, 9), (6, 2)])
@kinds
def test_posterior_keeps_the_marginal(options, t, s, eta):
    """Over 20,000 draws x_t ~ q(x_t | x0), mean + spread has q(x_s | x0)'s law, to 5 standard errors.

    Mean, variance of each pixel, and no correlation of pixels; one mask for all draws.
    """
    spec, n = image(1, 4, 3), 20_000
    process, x0 = make(options, spec), (2 * unit_images(1, spec) - 1).double().expand(n, -1, -1, -1)
    source = BatchRandom(n, generator(3))
    z = process.draw(source).double()
    if options is MASK_NOISE:
        z = process.with_eps(z[:1, :1].expand(n, -1, -1, -1), z[:, 1:])
    at_t, at_s = torch.full((n,), t), torch.full((n,), s)
    mean, std = process.posterior(process.degrade(x0, at_t, z), x0, at_t, at_s, eta=eta, z=z)
    x_s = (mean + process.spread(std, source.normal(*spec.shape))).flatten(1).numpy()
    wanted = process.mean(x0[:1], times(s), z[:1]).flatten().numpy()
    level = process.std(times(s)).item()
    assert (np.abs(x_s.mean(0) - wanted) < 5 * level / n**0.5).all()
    error = 5 * (2 / n) ** 0.5 * level**2
    np.testing.assert_allclose(np.cov(x_s.T), level**2 * np.eye(12), rtol=0, atol=error)


def test_a_restoration_is_told_the_mask_but_not_the_noise():
    process = make(MASK_NOISE)
    z = process.draw(BatchRandom(2, generator(4)))
    told = process.public(z)
    assert torch.equal(told[:, :1], z[:, :1]) and (told[:, 1:] == 0).all()
    assert make(BLUR_NOISE).public(torch.ones(2, 1, 6, 5)) is None
