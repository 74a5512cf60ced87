"""A learned variance: its bounds, the samplers and the bound that use it, and what is refused."""

import pytest
import torch
from helpers import blur, image, noise, unit_images
from torch.distributions import Normal, kl_divergence

from kelvin import networks
from kelvin.common.errors import KelvinError
from kelvin.common.streams import BlockRandom, generator
from kelvin.degradations import State
from kelvin.networks import Shape
from kelvin.restoration.restorer import Restorer
from kelvin.restoration.variance import bounds, log_variance
from kelvin.sampling.likelihood import bits_per_dimension, step_kl
from kelvin.sampling.samplers import samplers

SPEC = image()


def restorer(process, v, variance="learned", clip=True):
    """eps of a fixed smooth function, and one v for every pixel."""
    def network(x, time):
        eps = torch.tanh(x.roll(1, -1) * 0.7 + time.view(-1, 1, 1, 1) - 0.2)
        return eps if variance == "fixed" else torch.cat([eps, torch.full_like(eps, 2 * v - 1)], 1)

    return Restorer(network, "eps", process, SPEC, clip, variance=variance)


def test_v_of_0_and_1_are_the_two_bounds_of_the_paper():
    """log beta-tilde_t and log beta_t from the betas alone, v between them linear in the log; 1e-9."""
    process = noise()
    t = torch.tensor([2, 3, 10, 500, 1000])
    beta, alpha_bar = (torch.from_numpy(x) for x in (process.schedule.beta, process.schedule.alpha_bar))
    tilde = (1 - alpha_bar[t - 1]) / (1 - alpha_bar[t]) * beta[t]
    between = {v: log_variance(process, torch.tensor(v), t, t - 1).flatten() for v in (0.0, 0.25, 1.0)}
    torch.testing.assert_close(between[0.0], tilde.log(), rtol=1e-9, atol=0)
    torch.testing.assert_close(between[1.0], beta[t].log(), rtol=1e-9, atol=0)
    torch.testing.assert_close(between[0.25], 0.25 * beta[t].log() + 0.75 * tilde.log(),
                               rtol=1e-9, atol=0)
    at_1, at_2 = (log_variance(process, torch.tensor(0.3), torch.tensor([t]), torch.tensor([t - 1]))
                  for t in (1, 2))
    assert torch.equal(at_1, at_2)


def test_the_network_says_v_by_pixel():
    x, t = torch.zeros(5, 1, 8, 8), torch.tensor([1, 3, 10, 500, 1000])
    torch.testing.assert_close(restorer(noise(), 0.25)(x, t).v, torch.full_like(x, 0.25))


@pytest.mark.parametrize("zero", [False, True])
def test_bounds_of_longer_steps_are_those_of_the_chain_respaced(zero):
    """beta of the step t -> s is 1 - alpha-bar_t / alpha-bar_s; 1e-9, without a signal at T as well."""
    process = noise(steps=100, beta_max=0.1, zero_terminal_snr=zero)
    alpha_bar = torch.from_numpy(process.schedule.alpha_bar)
    t, s = torch.tensor([100, 60, 7]), torch.tensor([60, 7, 2])
    beta = 1 - alpha_bar[t] / alpha_bar[s]
    small, large = (found.flatten() for found in bounds(process, t, s))
    torch.testing.assert_close(large, beta.log(), rtol=1e-9, atol=1e-12)
    tilde = (1 - alpha_bar[s]) / (1 - alpha_bar[t]) * beta
    torch.testing.assert_close(small, tilde.log(), rtol=1e-9, atol=1e-12)


def test_an_ancestral_step_has_the_learned_variance_and_ddim_its_own():
    """x_s is the posterior's mean plus exp(log variance / 2) times the drawn noise (1e-6)."""
    process, v = noise(), 0.8
    x = torch.randn(3, 1, 8, 8, generator=generator(0))
    learned, fixed = restorer(process, v), restorer(process, v, "fixed")
    for t, s in ((1000, 900), (500, 499), (2, 1)):
        at, to = torch.full((3,), t), torch.full((3,), s)
        out = [next(iter(samplers.find("ancestral")(r, State(x, x), [t, s], BlockRandom(0, 3, t)))).x
               for r in (learned, fixed)]
        mean, std = process.posterior(x, fixed(x, at).x0_hat, at, to)
        drawn = BlockRandom(0, 3, t).normal(1, 8, 8)
        sigma = (log_variance(process, torch.tensor(v), at, to) / 2).exp()
        torch.testing.assert_close(out[0], (mean + sigma * drawn).float(), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(out[1], mean + std * drawn)
        assert (out[0] - out[1]).abs().max() > 2e-5
        ddim = [next(iter(samplers.find("ddim")(r, State(x, x), [t, s], BlockRandom(0, 3, t),
                                                eta=0.5))).x for r in (learned, fixed)]
        assert torch.equal(*ddim)


@pytest.mark.parametrize("t", [2, 3, 50, 999, 1000])
def test_the_bounds_step_is_the_kl_of_two_gaussians(t):
    """Against torch.distributions with v by pixel (1e-9); v = 0 is the fixed variance (1e-9)."""
    process, at = noise(), torch.full((4,), t)
    x0, x0_hat, z, v = (torch.rand(4, 1, 8, 8, generator=generator(i), dtype=torch.float64)
                        for i in range(4))
    x_t = process.degrade(x0, at, z)
    (q, std), (p, _) = (process.posterior(x_t, x, at, at - 1) for x in (x0, x0_hat))
    sigma = (log_variance(process, v, at, at - 1) / 2).exp()
    expected = kl_divergence(Normal(q, std.expand_as(q)), Normal(p, sigma)).flatten(1).sum(1)
    torch.testing.assert_close(step_kl(process, x0, x0_hat, at, z, v), expected, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(step_kl(process, x0, x0_hat, at, z, 0 * v),
                               step_kl(process, x0, x0_hat, at, z), rtol=1e-9, atol=1e-12)


def test_the_bound_uses_the_learned_variance():
    """v = 0 is the fixed bound, another v is not; L_0 and L_T never change."""
    process = noise(steps=20, beta_max=0.3)
    images = (unit_images(4, SPEC) * 16).round() / 16
    fixed, zero, half = (bits_per_dimension(r, images, 17, (0,)) for r in (
        restorer(process, 0, "fixed"), restorer(process, 0.0), restorer(process, 0.5)))
    torch.testing.assert_close(zero.total, fixed.total)
    assert torch.equal(half.l0, fixed.l0) and torch.equal(half.lT, fixed.lT)
    assert (half.lt - fixed.lt).abs().min() > 1e-3


@pytest.mark.parametrize("section", [
    {"kind": "unet", "channels": 8, "multipliers": [1], "blocks": 1},
    {"kind": "cnn", "hidden": [4], "kernel": 3},
    {"kind": "unet-simple", "widths": [4, 8, 4]}, {"kind": "unet-conv", "widths": [4, 8, 4]},
    {"kind": "unet-resnet", "channels": 8, "multipliers": [1, 2], "blocks": [1, 1],
     "attention": "bottom"},
    {"kind": "fruit-unet", "channels": 4}, {"kind": "ddpm-unet", "channels": 8, "multipliers": [1, 2],
                                            "blocks": 1, "attention": []}], ids=lambda s: s["kind"])
def test_every_network_gives_twice_the_channels(section):
    network = networks.build(section, Shape(3, 8, 8, outputs=2)).eval()
    assert network(torch.zeros(2, 3, 8, 8), torch.ones(2)).shape == (2, 6, 8, 8)


def test_what_has_no_variance_to_learn_is_refused():
    def one(x, time):
        return x

    with pytest.raises(KelvinError, match="'learned' lies between two variances of a hot process, but"):
        Restorer(one, "x0", blur(), SPEC, True, variance="learned")
    with pytest.raises(KelvinError, match="'learned' needs schedule.steps of 2 at least"):
        Restorer(one, "x0", noise(steps=1), SPEC, True, variance="learned")
    with pytest.raises(KelvinError, match="needs a network of 2 output channels .* gives 1"):
        restorer = Restorer(one, "x0", noise(), SPEC, True, variance="learned")
        restorer(torch.zeros(1, 1, 8, 8), torch.tensor([1]))
