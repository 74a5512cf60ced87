"""Study E's rule beside the exact one, in closed form."""

import numpy as np
import pytest
import torch
from helpers import image, noise, unit_images

from kelvin import degradations
from kelvin.common.errors import KelvinError
from kelvin.common.streams import BatchRandom, generator
from kelvin.degradations import State
from kelvin.restoration.restorer import Restorer
from kelvin.restoration.rules import RULES, check_rule, factor, restore
from kelvin.sampling.samplers import samplers
from kelvin.sampling.single_shot import ANCESTRAL, brightness, by_rule, near_black, single_shot, unmapped
from kelvin.sampling.trajectories import traced

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


def test_as_eps_is_ho_et_als_step_with_the_scaled_noise_in_the_place_of_eps():
    """Algorithm 2, line 4, as printed: (x - beta / sqrt(1 - abar) p) / sqrt(alpha)."""
    process, spec = noise(**STUDY), image()
    x, p = torch.randn(2, 4, 1, 8, 8, dtype=torch.float64, generator=generator(0))
    betas = torch.linspace(1e-3, 0.02, 1000, dtype=torch.float64)
    beta, abar = (v[T - 1].view(-1, 1, 1, 1) for v in (betas, (1 - betas).cumprod(0)))
    restorer = Restorer(lambda x, time: p, "scaled-eps", process, spec, clip=False, rule="as-eps")
    mean, _ = process.posterior(x, restorer.x0_hat(p, x, T), T, T - 1)
    torch.testing.assert_close(mean, (x - beta / (1 - abar).sqrt() * p) / (1 - beta).sqrt(),
                               rtol=1e-9, atol=1e-9)


def fed_back(restorer, x, times):
    process = restorer.degradation
    states = samplers.find("fed-back")(restorer, State(x, None), times,
                                       BatchRandom(len(x), generator(0)))
    return process, [state.x for state in states]


def test_fed_back_takes_x0_hat_for_the_next_state():
    """Told the truth, the state is the image plus the posterior's noise, and the image at the end."""
    process, spec = noise(steps=50, **STUDY), image()
    x0 = torch.full((64, 1, 8, 8), 0.5)
    restorer = Restorer(Oracle(process, x0), "scaled-eps", process, spec, clip=False)
    _, states = fed_back(restorer, torch.randn(64, 1, 8, 8, generator=generator(1)), range(50, -1, -1))
    torch.testing.assert_close(states[-1], x0, rtol=0, atol=1e-5)
    at, before = torch.full((64,), 26), torch.full((64,), 25)
    _, std = process.posterior(x0, x0, at, before)
    assert (states[24] - x0).std().item() == pytest.approx(std[0].item(), rel=0.05)  # 4,096 pixels


def test_fed_back_with_the_studys_scaler_overflows_and_is_drawn_black():
    """A network that leaves a share c of its input: the product of c f_t, beyond float32."""
    process, spec = noise(**STUDY), image()
    restorer = Restorer(lambda x, time: 0.5 * x, "scaled-eps", process, spec, clip=False)
    times = torch.arange(1, 1001)
    log10 = (0.5 * factor("study-e", process, times)).log10().flip(0).cumsum(0)
    assert log10[-1] < log10.max() and log10.max() > 38  # it would shrink again, had it not overflowed
    _, found = brightness(restorer, 2, (0, "b"), 10)
    black = found["study-e, fed back"]
    assert black.finite[-1].sum() == 0 and (found["study-e"].finite == 1).all()
    assert (found["unscaled, fed back"].finite == 1).all() and found["study-e"].mean[-1].min() > 0

    def falls_apart(x, time):  # as group norm does: inf - inf
        return 0.5 * (x - x + x)

    restorer = Restorer(falls_apart, "scaled-eps", process, spec, clip=False)
    black = brightness(restorer, 2, (0, "b"), 10)[1]["study-e, fed back"]
    assert (black.mean[-1] == 0).all() and (black.first[-1] == 0).all() and black.finite[-1].sum() == 0


def test_clipped_ways_clip_x0_hat_and_the_others_do_not():
    """A network that takes x0_hat to be 5 x_t, far out of the range."""
    process, spec = noise(steps=50, **STUDY), image()

    def outside(x, time):
        return x - process.gain((time * 50).round().long(), None).to(x.dtype) * 5 * x

    restorer = Restorer(outside, "scaled-eps", process, spec, clip=False)
    _, found = brightness(restorer, 4, (0, "b"), 10)
    free, clipped = found["exact"], found["exact, clipped"]
    assert torch.equal(free.mean[0], clipped.mean[0])  # the same noise
    assert not torch.equal(free.mean[-1], clipped.mean[-1])
    _, x = traced(by_rule(restorer, "exact", True), ANCESTRAL, 4, (0, "b"), 10)
    assert x[-1].abs().max() <= 1 and torch.equal(clipped.mean[-1], spec.decode(x[-1]).flatten(1).mean(1))


def test_infinite_pixels_are_not_finite_though_they_are_drawn():
    """x grows without a sign change: +-inf, clipped to white and black, and never not a number."""
    restorer = Restorer(lambda x, time: -0.5 * x, "scaled-eps", noise(**STUDY), image(), clip=False)
    grown = brightness(restorer, 2, (0, "b"), 10)[1]["study-e, fed back"]
    assert grown.finite[-1].sum() == 0 and 0.2 < grown.mean[-1].mean() < 0.8


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
    visited, found = brightness(restorer, 3, (0, "b"), 10)
    assert visited[0] == 50 and visited[-1] == 0
    assert set(found) == {*RULES, *(f"{rule}, {how}" for rule in RULES
                                    for how in ("clipped", "fed back"))}
    assert torch.allclose(found["exact"].mean[-1], torch.tensor(0.1), atol=1e-3)
    assert torch.equal(found["exact"].unmapped[-1], torch.zeros(3))  # -0.8 drawn as if in [0, 1]
    assert all((x.finite == 1).all() for x in found.values())
    assert found["exact"].first.shape == (11, 1, 8, 8)
    assert unmapped(torch.tensor([0.0, 0.5, 0.75, 1.0]), -1, 1).tolist() == [0, 0, 0.5, 1]
    assert torch.equal(near_black(torch.tensor([[0.04, 0.0, 1.0], [0.04, 0.06, 0.0]]).view(2, 1, 3)),
                       torch.tensor(1 / 3))  # a pixel counts where all its channels are dark
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


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "exact"])
@pytest.mark.parametrize("zero", [True, False])
def test_rules_that_divide_by_a_lost_signal_are_refused(rule, zero):
    schedule = {"kind": "linear", "steps": 1000, "beta_min": 1e-4, "beta_max": 0.02 if zero else 0.5}
    process = degradations.build(image(), {"kind": "gaussian-noise"},
                                 schedule | ({"zero_terminal_snr": True} if zero else {}),
                                 {"kind": "normal"})
    t = torch.arange(1, 1001)
    one = torch.ones(1000, 1, 1, 1)
    if restore(rule, process, -one, one, t).isfinite().all():
        check_rule(rule, "scaled-eps", process=process)
        assert rule != "as-eps"
    else:
        with pytest.raises(KelvinError, match=f"^runs.a.rule = '{rule}' cannot be turned into x0_hat"):
            check_rule(rule, "scaled-eps", "runs.a.rule", process)
