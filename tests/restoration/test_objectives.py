"""Weightings over time against the KL divergences that they stand for."""

import pytest
import torch
from helpers import LINEAR, NORMAL, blur, image, noise
from torch.distributions import Normal, kl_divergence

from kelvin import degradations
from kelvin.errors import KelvinError
from kelvin.random import generator
from kelvin.restoration.objectives import WEIGHTINGS, check_weighting, loss_per_image
from kelvin.restoration.parameterisation import PARAMETERISATIONS

COSINE = {"kind": "cosine", "steps": 100, "offset": 0.008, "beta_cap": 0.999}


@pytest.mark.parametrize(("kind", "schedule", "name"), [
    *(("gaussian-noise", schedule, name) for schedule in (LINEAR, COSINE)
      for name in ("eps", "x0", "v", "velocity")),
    *(("interpolation", {"kind": "own", "steps": 50}, name) for name in ("x0", "velocity")),
    ("interpolation", LINEAR, "velocity")])
def test_vlb_weights_times_the_loss_are_the_kl_of_a_wrong_prediction(kind, schedule, name):
    """A finite error in the prediction: weight times loss over the direct KL is one number at every t
    (1e-4: weights are float32), at t = 1 over the Gaussian log-density it costs."""
    process = degradations.build(image(), {"kind": kind}, schedule, NORMAL)
    parameterisation, T = PARAMETERISATIONS[name], process.steps
    weights = WEIGHTINGS["vlb"](process, parameterisation)
    x0, z, error = (torch.randn(1, 1, 8, 8, generator=generator(i), dtype=torch.float64)
                    for i in range(3))
    ratios = []
    for t in (1, 2, 3, 10, T // 2, T - 1, T):
        at = torch.tensor([t])
        x_t = process.degrade(x0, at, z)
        target = parameterisation.target(process, x0, z, x_t, at)
        x0_hat = parameterisation.x0_hat(process, target + error, x_t, at)
        if t == 1:
            sd = process.noise[1] / process.signal[1]
            cost = (Normal(x0, sd).log_prob(x0) - Normal(x0_hat, sd).log_prob(x0)).sum()
        else:
            (p, std), (q, _) = (process.posterior(x_t, x, at, at - 1) for x in (x0_hat, x0))
            cost = kl_divergence(Normal(q, std), Normal(p, std)).sum()
        ratios.append(float(weights[t] * loss_per_image("l2", target + error, target) / cost))
    assert ratios == pytest.approx([ratios[0]] * len(ratios), rel=1e-4)
    assert float(weights[1:].mean()) == pytest.approx(1, rel=1e-5) and weights[0] == 0


def test_simple_weights_are_one():
    for name, process in (("eps", noise()), ("x0", blur())):
        found = WEIGHTINGS["simple"](process, PARAMETERISATIONS[name])
        assert torch.equal(found, torch.ones(process.steps + 1))


def test_weights_without_meaning_are_refused():
    hot = noise()
    check_weighting("vlb", "l2", hot, "gaussian-noise")
    check_weighting("simple", "l1", blur(), "gaussian-blur")
    for loss, process, said in (("l2", blur(), "but mine is cold: set weighting to simple"),
                                ("huber", hot, "but training.loss = 'huber': set loss to l2")):
        with pytest.raises(KelvinError, match=said) as error:
            check_weighting("vlb", loss, process, "mine")
        assert "\n" not in str(error.value)
