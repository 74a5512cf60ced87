"""Hot diffusion: the closed form against the chain, step by step."""

import pytest
import torch
from helpers import image, noise


@pytest.mark.parametrize("t", [1, 10, 60])
def test_closed_form_equals_the_chain_in_law(t):
    """Mean and variance over 40,000 draws of x_t from one x0, to 4 standard errors."""
    process, n = noise(image(1, 1, 1), steps=60, beta_max=0.2), 40_000
    generator, x0 = torch.Generator().manual_seed(0), torch.full((n, 1, 1, 1), 0.7)
    chain = x0.double()
    for s in range(1, t + 1):
        beta = process.schedule.beta[s]
        chain = (1 - beta) ** 0.5 * chain + beta**0.5 * torch.randn(chain.shape, generator=generator,
                                                                    dtype=torch.float64)
    shot = process.degrade(x0, torch.full((n,), t), torch.randn(n, 1, 1, 1, generator=generator))
    a = process.schedule.alpha_bar[t]
    for x in (chain, shot.double()):
        assert abs(x.mean() - 0.7 * a**0.5) < 4 * ((1 - a) / n) ** 0.5
        assert abs(x.var() / (1 - a) - 1) < 4 * (2 / n) ** 0.5


@pytest.mark.parametrize(("t", "s"), [(60, 59), (60, 20), (2, 1), (1, 0)])
def test_posterior_is_bayes(t, s):
    """q(x_s | x_t, x0) against Gaussian conditioning done the long way, to 1e-6."""
    process = noise(image(1, 1, 1), steps=60, beta_max=0.2)
    a = process.schedule.alpha_bar
    x0, x_t = 0.3, -0.8
    ratio = a[t] / a[s]  # x_t = sqrt(ratio) x_s + sqrt(1 - ratio) eps
    var_s = 1 - a[s]
    gain = var_s * ratio**0.5 / (ratio * var_s + 1 - ratio)
    mean = a[s] ** 0.5 * x0 + gain * (x_t - ratio**0.5 * a[s] ** 0.5 * x0)
    var = var_s - gain * ratio**0.5 * var_s
    got_mean, got_std = process.posterior(torch.full((1, 1, 1, 1), x_t), torch.full((1, 1, 1, 1), x0),
                                          torch.tensor([t]), torch.tensor([s]))
    assert got_mean.item() == pytest.approx(mean, abs=1e-6)
    assert got_std.item() == pytest.approx(max(var, 0) ** 0.5, abs=1e-6)
