"""Study E's rule beside the exact one, in closed form."""

import numpy as np
import pytest
import torch
from helpers import image, noise, unit_images

from kelvin.errors import KelvinError
from kelvin.random import BatchRandom, generator
from kelvin.restoration import Restorer
from kelvin.restoration.over_time import brightness, rules_of, single_shot, unmapped
from kelvin.restoration.rules import factor

STUDY = {"beta_min": 1e-3, "beta_max": 0.02}
T = torch.tensor([1, 50, 500, 1000])


def test_the_studys_figures_at_500():
    """5.2 where 4.2 is right, as the study's own numbers have it."""
    at = torch.tensor([500])
    assert round(factor("study-e", noise(**STUDY), at).item(), 1) == 5.2
    assert round(factor("exact", noise(**STUDY), at).item(), 1) == 4.2


def test_factors_against_betas_by_hand():
    betas = np.linspace(1e-3, 0.02, 1000)
    for t in T.tolist():
        at, beta = torch.tensor([t]), betas[t - 1]
        assert factor("study-e", noise(**STUDY), at).item() == pytest.approx(
            (1 / (1 - beta) ** 0.5 - 1) * 8 * (t / 50) ** 2 + 1, rel=1e-9)
        assert factor("exact", noise(**STUDY), at).item() == pytest.approx(
            np.prod(1 - betas[:t]) ** -0.5, rel=1e-9)


@pytest.mark.parametrize("rule", ["exact", "study-e", "unscaled"])
def test_given_the_true_noise_each_rule_returns_its_factor_times_the_signal(rule):
    process, spec = noise(**STUDY), image()
    x0 = spec.encode(unit_images(4, spec)).double()
    z = process.draw(BatchRandom(4, generator(0))).double()
    restorer = Restorer(lambda x, time: x, "scaled-eps", process, spec, clip=False, rule=rule)
    x_t = process.degrade(x0, T, z)
    target = restorer.target(x0, z, x_t, T)
    signal = torch.from_numpy(process.schedule.alpha_bar)[T].sqrt().view(-1, 1, 1, 1)
    torch.testing.assert_close(target, (1 - signal**2).sqrt() * z, rtol=1e-6, atol=1e-9)
    wanted = x0 if rule == "exact" else factor(rule, process, T) * signal * x0
    torch.testing.assert_close(restorer.x0_hat(target, x_t, T), wanted, rtol=1e-6, atol=1e-6)


def test_a_rule_without_its_target_is_refused():
    with pytest.raises(KelvinError, match="'study-e' goes with restorer.parameterisation = 'scaled-eps'"):
        Restorer(lambda x, time: x, "eps", noise(), image(), clip=True, rule="study-e")


class Oracle:
    """Predicts the scaled noise of one known image: sqrt(1 - abar) eps = x_t - sqrt(abar) x0."""

    def __init__(self, process, x0):
        self.process, self.x0 = process, x0

    def __call__(self, x, time):
        t = (time * self.process.steps).round().long()
        return x - self.process.gain(t, None).to(x.dtype) * self.x0


def test_brightness_of_ancestral_sampling_with_a_perfect_network():
    """Told the truth, the exact rule ends at the image's brightness, and the restorer stays as it was."""
    process, spec = noise(steps=50, **STUDY), image()
    x0 = torch.full((1, 1, 8, 8), -0.8)
    restorer = Restorer(Oracle(process, x0), "scaled-eps", process, spec, clip=True)
    visited, means, shown = brightness(restorer, 3, (0, "b"), 10)
    assert visited[0] == 50 and visited[-1] == 0 and set(means) == set(rules_of(restorer))
    assert torch.allclose(means["exact"][-1], torch.tensor(0.1), atol=1e-3)
    assert torch.equal(shown["exact"][-1], torch.zeros(3))  # -0.8 drawn as if in [0, 1]
    assert unmapped(torch.tensor([0.0, 0.5, 0.75, 1.0]), -1, 1).tolist() == [0, 0, 0.5, 1]
    assert restorer.rule == "exact" and restorer.clip  # the restorer itself is left as it was


def test_single_shot_by_rule():
    process, spec = noise(**STUDY), image()
    truth = unit_images(1, spec)
    restorer = Restorer(Oracle(process, spec.encode(truth)), "scaled-eps", process, spec, clip=True)
    x_t, found = single_shot(restorer, truth, (0, "s"), [50, 500])
    assert x_t.shape == (2, 1, 1, 8, 8)
    assert (found["exact"] - truth).abs().max() < 1e-5
    shrunk = 0.5 + (truth - 0.5) * float(process.schedule.alpha_bar[500] ** 0.5)
    assert torch.allclose(found["unscaled"][1], shrunk, atol=1e-5)
