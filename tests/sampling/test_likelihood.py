"""The variational bound against closed forms, torch.distributions, scipy and quadrature."""

import math

import numpy as np
import pytest
import torch
from helpers import LINEAR, NORMAL, blur, image, noise, unit_images
from scipy.stats import norm
from torch.distributions import Normal, kl_divergence

from kelvin import degradations
from kelvin.common.errors import KelvinError
from kelvin.common.streams import generator
from kelvin.restoration.restorer import Restorer
from kelvin.sampling.likelihood import bits_per_dimension, end_kl, log_level, step_kl, strata, why_not

MEAN, SD = 0.1, 0.25  # of the Gaussian data, in the model's range [-1, 1]
SCHEDULES = {
    "linear": ("gaussian-noise", LINEAR),
    "cosine": ("gaussian-noise", {"kind": "cosine", "steps": 300, "offset": 0.008, "beta_cap": 0.999}),
    "matched": ("gaussian-noise", {"kind": "matched", "steps": 40, "beta_min": 1e-4,
                                   "alpha_bar_end": 0.01}),
    "no signal at T": ("gaussian-noise", {"kind": "linear", "steps": 200, "beta_min": 1e-4,
                                          "beta_max": 0.1, "zero_terminal_snr": True}),
    "straight line": ("interpolation", {"kind": "own", "steps": 50}),
    "straight line, tied": ("interpolation", LINEAR),
}


def built(name, spec=None):
    kind, schedule = SCHEDULES[name]
    return degradations.build(spec or image(), {"kind": kind}, schedule, NORMAL)


def at_time(process, time):
    """Signal and noise at the times a network is told, (n, 1, 1, 1)."""
    t = (time * process.steps).round().long()
    return process.gain(t, None), process.std(t)


def gaussian_restorer(process):
    """The exact E[x0 | x_t] of data N(MEAN, SD^2 I), never clipped."""
    def network(x, time):
        a, s = at_time(process, time)
        return MEAN + a * SD**2 / (a**2 * SD**2 + s**2) * (x - a * MEAN)

    return Restorer(network, "x0", process, process.image, clip=False)


def gaussian_images(n, spec, grey_levels, seed=0):
    """Gaussian data cut into grey levels, in [0, 1]; so few SDs reach the ends that none is clipped."""
    x = MEAN + SD * torch.randn(n, *spec.shape, generator=torch.Generator().manual_seed(seed),
                                dtype=torch.float64)
    return (spec.to_unit(x) * (grey_levels - 1)).round().clamp(0, grey_levels - 1) / (grey_levels - 1)


def slow_steps(process, x0):
    """Sum over t >= 2 of E KL(q(x_s | x_t, x0) || p(x_s | x_t)) in nats for Gaussian data, (n,).

    Written out without SNRs: the posterior as a product of Gaussians, N(x_s; a_s x0, s_s^2) times
    N(x_t; r x_s, s_t^2 - r^2 s_s^2), and x0_hat's mean and variance over x_t.
    """
    total, d = torch.zeros(len(x0), dtype=torch.float64), x0[0].numel()
    distance2 = (x0 - MEAN).square().flatten(1).sum(1)
    a, s = process.signal.tolist(), process.noise.tolist()
    for t in range(2, process.steps + 1):
        r = a[t] / a[t - 1]
        step = s[t] ** 2 - r**2 * s[t - 1] ** 2
        variance = 1 / (1 / s[t - 1] ** 2 + r**2 / step)
        lever = variance * a[t - 1] / s[t - 1] ** 2  # of x0 in the posterior mean
        shrink = a[t] * SD**2 / (a[t] ** 2 * SD**2 + s[t] ** 2)
        error = distance2 * (shrink * a[t] - 1) ** 2 + d * (shrink * s[t]) ** 2
        total += lever**2 * error / (2 * variance)
    return total


@pytest.mark.parametrize("name", SCHEDULES)
def test_steps_on_gaussian_data_are_their_closed_form(name):
    """With the optimal restorer the sum of L_t is exact to four standard errors (of 1 % at most), and
    L_T of each image to 1e-6."""
    process = built(name)
    images = gaussian_images(256, process.image, 257)
    found = bits_per_dimension(gaussian_restorer(process), images, 257, (0, "test"), batch=2048)
    x0, bits = process.image.encode(images), 64 * math.log(2)
    off = found.lt - slow_steps(process, x0) / bits
    error = off.std() / math.sqrt(len(off))
    assert off.mean().abs() < 4 * error and error < 0.01 * found.lt.mean()
    a, s = process.signal[-1], process.noise[-1]
    end = kl_divergence(Normal(a * x0, s.expand_as(x0)), Normal(0.0, 1.0)).flatten(1).sum(1) / bits
    torch.testing.assert_close(found.lT, end, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(found.total, found.l0 + found.lt + found.lT)


def even_steps(T, spec):
    """A process of even steps in log-SNR, from 1e4 to 6e-6: one whose steps all shrink as T grows."""
    process = noise(spec, steps=T)
    alpha_bar = torch.linspace(math.log(1e4), -12, T, dtype=torch.float64).sigmoid()
    alpha_bar = torch.cat([torch.ones(1, dtype=torch.float64), alpha_bar])
    process.signal, process.noise = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    return process


def test_the_bound_approaches_the_exact_likelihood_as_T_grows():
    """Against the exact -log2 P of fine grey levels, from scipy's bins: the gap is positive, falls as
    1/T (to 15 %), and is below 0.01 bits at T = 20,000 (L_t in closed form there)."""
    spec, levels = image(), 1025
    images = gaussian_images(2048, spec, levels)
    k, width = (images * (levels - 1)).round().numpy(), 1 / (levels - 1)
    unit = norm(spec.to_unit(MEAN), SD / 2)
    exact = -np.log2(unit.cdf((k + 0.5) * width) - unit.cdf((k - 0.5) * width)).mean((1, 2, 3))
    gaps = {}
    for T in (100, 400):
        found = bits_per_dimension(gaussian_restorer(even_steps(T, spec)), images[:512], levels, (0,),
                                   batch=2048)
        gaps[T] = found.total.numpy().mean() - exact[:512].mean()
    assert gaps[100] / gaps[400] == pytest.approx(4, rel=0.15) and gaps[400] > 0.1
    process = even_steps(20_000, spec)
    found = bits_per_dimension(gaussian_restorer(process), images, levels, (0,), times=1, batch=2048)
    steps = slow_steps(process, spec.encode(images)) / (64 * math.log(2))
    assert abs((found.l0 + steps + found.lT).numpy().mean() - exact.mean()) < 0.01


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_step_is_the_kl_of_the_two_posteriors(name):
    """0.5 (SNR_s - SNR_t) |x0 - x0_hat|^2 equals torch.distributions' KL, to 1e-6 in float64."""
    process = built(name)
    x0, x0_hat, z = (torch.randn(5, 1, 8, 8, generator=generator(i), dtype=torch.float64)
                     for i in range(3))
    T = process.steps
    t = torch.tensor([2, 3, T // 2, T - 1, T])
    x_t = process.degrade(x0, t, z)
    (p, std), (q, _) = (process.posterior(x_t, x, t, t - 1) for x in (x0_hat, x0))
    direct = kl_divergence(Normal(q, std), Normal(p, std)).flatten(1).sum(1)
    torch.testing.assert_close(step_kl(process, x0, x0_hat, t, None), direct, rtol=1e-6, atol=1e-6)


def test_warm_steps_are_exact_for_each_frequency():
    """Blur and noise: the KL in the cosine basis equals torch.distributions', to 1e-5 (float32 basis)."""
    process = degradations.build(image(), {"kind": "blur-noise", "sigma": 0.4, "floor": 0.001},
                                 {"kind": "own", "steps": 20},
                                 {"kind": "constant", "level": 0.5, "jitter": 0.0})
    x0, x0_hat, z = (torch.randn(4, 1, 8, 8, generator=generator(i), dtype=torch.float64)
                     for i in range(3))
    t = torch.tensor([2, 7, 15, 19])
    x_t = process.degrade(x0, t, z)
    (p, std), (q, _) = (process.posterior(x_t, x, t, t - 1) for x in (x0_hat, x0))
    direct = kl_divergence(Normal(process.to_basis(q), std), Normal(process.to_basis(p), std))
    torch.testing.assert_close(step_kl(process, x0, x0_hat, t, None), direct.flatten(1).sum(1),
                               rtol=1e-5, atol=1e-5)
    end = kl_divergence(Normal(process.gain(t, None) * process.to_basis(x0),
                               process.std(t).expand_as(x0)), Normal(0.0, 1.0)).flatten(1).sum(1)
    torch.testing.assert_close(end_kl(process, x0, t, None), end, rtol=1e-9, atol=1e-9)


def test_one_pixel_of_two_levels_costs_one_bit():
    """x0 = -1 or 1, x0_hat = tanh(signal x_t / noise^2): the terms by quadrature, the sum 1 to 1.01."""
    process = noise(image(1, 1, 1))

    def network(x, time):
        a, s = at_time(process, time)
        return torch.tanh(a * x / s**2)

    restorer = Restorer(network, "x0", process, process.image, clip=True)
    images = torch.tensor([0.0, 1.0]).repeat(200).view(-1, 1, 1, 1)
    found = bits_per_dimension(restorer, images, 2, (0, "test"))
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    a, s = process.signal.numpy()[1:, None], process.noise.numpy()[1:, None]
    error = ((1 - np.tanh(a * (a + s * nodes) / s**2)) ** 2 * weights).sum(1) / weights.sum()
    ratio = (a / s)[:, 0] ** 2
    expected = (0.5 * (ratio[:-1] - ratio[1:]) * error[1:]).sum() / math.log(2)
    sure = found.lt.std() / math.sqrt(len(images))
    assert abs(found.lt.mean() - expected) < 4 * sure and sure < 0.03
    assert 1 <= expected < 1.01
    assert found.l0.max() < 1e-9 and found.lT.max() < 1e-4


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_bins_add_to_one_and_are_scipys(levels):
    """Every level's probability against scipy's cdf to 1e-12; far tails finite, and their slope right."""
    level = torch.arange(levels, dtype=torch.float64).view(-1, 1, 1, 1)
    for mean, std in ((0.3, 0.2), (0.5, 0.01), (1.2, 1.0)):
        found = log_level(level, torch.full_like(level, mean), std, levels).flatten()
        edges = np.concatenate([[-np.inf], (np.arange(levels - 1) + 0.5) / (levels - 1), [np.inf]])
        np.testing.assert_allclose(found.exp(), np.diff(norm(mean, std).cdf(edges)), rtol=0, atol=1e-12)
        assert float(found.exp().sum()) == pytest.approx(1, abs=1e-12)
    far = log_level(level, torch.full_like(level, 1.0), 1e-3, levels)[0].item()
    edge = (1 - 0.5 / (levels - 1)) / 1e-3
    assert far == pytest.approx(norm.logcdf(-edge), rel=1e-9)


def test_twice_the_grey_levels_cost_one_bit_more():
    """L_0 alone changes: by 1 bit a doubling where bins are finer than the decoder, else by less."""
    process = noise(image(1, 4, 4))
    images = gaussian_images(32, process.image, 17)  # multiples of 1/16 are levels of 33, 65, ... too
    restorer = Restorer(lambda x, time: x, "x0", process, process.image, clip=True)
    found = [bits_per_dimension(restorer, images, n, (1,), times=3)
             for n in (17, 33, 4 * 256 + 1, 8 * 256 + 1)]
    for other in found[1:]:
        assert torch.equal(other.lt, found[0].lt) and torch.equal(other.lT, found[0].lT)
    l0 = [float(one.l0.mean()) for one in found]
    assert l0[3] - l0[2] == pytest.approx(1, abs=0.01)
    assert 0 <= l0[1] - l0[0] < 0.1  # decoder of 0.01, bins of 0.125 and 0.0625


def test_fewer_times_leave_the_expectation():
    """8 of 1000 times: unbiased to four standard errors (4 %) over 30 seeds; strata hold each t once."""
    process = noise(image(1, 2, 2))
    images = gaussian_images(64, process.image, 257)
    exact = slow_steps(process, process.image.encode(images)) / (4 * math.log(2))
    runs = [bits_per_dimension(gaussian_restorer(process), images, 257, (seed,), times=8)
            for seed in range(30)]
    off = torch.stack([run.lt - exact for run in runs])
    error = off.std() / math.sqrt(off.numel())
    assert off.mean().abs() < 4 * error and error < 0.01 * exact.mean()
    one = runs[0]
    covered = [t for a, b in zip(one.first.tolist(), one.last.tolist(), strict=True)
               for t in range(a, b + 1)]
    assert covered == list(range(2, 1001)) and len(one.first) == 8
    width = (one.last - one.first + 1).double()
    assert float((width * one.curve).sum()) == pytest.approx(float(one.lt.mean()))


@pytest.mark.parametrize("T", [1, 2, 3, 57])
def test_strata_part_the_times(T):
    assert strata(T, None).tolist() == list(range(2, T + 2))
    for K in range(1, T):
        edges = strata(T, K)
        assert (edges[0], edges[-1], len(edges)) == (2, T + 1, K + 1) and (edges.diff() > 0).all()


def test_the_batch_does_not_matter_and_the_seed_does():
    process = built("straight line", image(1, 4, 4))
    images = (unit_images(37, process.image) * 255).round() / 255
    one, two, other = (bits_per_dimension(gaussian_restorer(process), images, 256, seed, None, batch)
                       for seed, batch in (((0,), 256), ((0,), 10), ((1,), 256)))
    for name, value in vars(one).items():
        torch.testing.assert_close(getattr(two, name), value, rtol=1e-12, atol=1e-12)
    assert not torch.equal(one.lt, other.lt) and torch.equal(one.lT, other.lT)


def test_a_single_time_has_no_steps():
    process = noise(image(1, 2, 2), steps=1)
    images = gaussian_images(3, process.image, 17)
    found = bits_per_dimension(gaussian_restorer(process), images, 17, (0,))
    assert found.lt.tolist() == [0, 0, 0] and found.curve.shape == (0,)


def test_what_has_no_bound_is_refused_in_one_sentence():
    spec = image()
    cold = blur()
    fitted = degradations.build(spec, {"kind": "gaussian-noise"}, LINEAR,
                                {"kind": "gaussian", "rank": 4, "jitter": 0.0})
    images = torch.zeros(2, *spec.shape)
    for process, said in ((cold, "needs a Gaussian process, but the degradation is GaussianBlur"),
                          (fitted, "needs prior.kind = 'normal'")):
        assert said in why_not(process)
        with pytest.raises(KelvinError, match=said) as error:
            bits_per_dimension(Restorer(lambda x, t: x, "x0", process, spec, True), images, 17, (0,))
        assert "\n" not in str(error.value)
    restorer = gaussian_restorer(noise())
    assert why_not(restorer.degradation) is None
    for changed, said in (({"images": images + 0.03}, "do not lie on 17 grey levels"),
                          ({"images": images + 1.0625}, "between 0 and 1"),
                          ({"grey_levels": 1}, "two at least"), ({"times": 1000}, "T - 1 = 999"),
                          ({"times": 0}, "times = 0 must be 1 to")):
        arguments = {"images": images, "grey_levels": 17, "seed": (0,), **changed}
        with pytest.raises(KelvinError, match=said):
            bits_per_dimension(restorer, **arguments)


def test_eight_bit_copies_of_17_levels_are_on_them():
    """digits are stored as uint8: round(255 k / 16) / 255 counts as level k."""
    stored = ((torch.arange(17) * 255 / 16).round() / 255).view(17, 1, 1, 1)
    process = noise(image(1, 1, 1))
    found = bits_per_dimension(Restorer(lambda x, t: x, "x0", process, process.image, True), stored, 17,
                               (0,), times=1)
    assert found.l0.max() < 0.01


def test_draws_follow_the_process():
    """x_1 as the network sees it has signal_1 x0 as mean and noise_1 as spread."""
    process, seen = noise(image(1, 8, 8)), {}

    def network(x, time):
        for value, t in zip(x, (time * process.steps).round().tolist(), strict=True):
            seen.setdefault(t, []).append(value)
        return x

    bits_per_dimension(Restorer(network, "x0", process, process.image, True),
                       torch.ones(64, 1, 8, 8), 256, (0,), times=5)
    assert len(seen[1]) == 64 and sum(map(len, seen.values())) == 64 * 6
    first = (torch.stack(seen[1]) - process.signal[1]) / process.noise[1]
    assert abs(first.mean()) < 4 / 64 and float(first.std()) == pytest.approx(1, abs=0.05)
