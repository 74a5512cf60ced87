"""Every parameterisation: the right target gives back the image."""

import pytest
import torch
from helpers import blur, image, noise, unit_images

from kelvin import degradations
from kelvin.common.errors import KelvinError
from kelvin.common.streams import BatchRandom, generator
from kelvin.restoration.restorer import Restorer


@pytest.mark.parametrize("name", ["eps", "x0", "v", "velocity"])
def test_x0_hat_of_the_target_is_x0(name):
    process, spec = noise(), image()
    x0 = spec.encode(unit_images(6, spec)).double()
    z = process.draw(BatchRandom(6, generator(0))).double()
    t = torch.tensor([1, 5, 100, 400, 900, 1000])
    restorer = Restorer(lambda x, time: x, name, process, spec, clip=False)
    x_t = process.degrade(x0, t, z)
    target = restorer.target(x0, z, x_t, t)
    torch.testing.assert_close(restorer.x0_hat(target, x_t, t), x0, rtol=1e-9, atol=1e-9)


def test_targets_by_their_definitions():
    process, spec = noise(), image(1, 1, 1)
    x0, z, t = torch.full((1, 1, 1, 1), 0.4), torch.full((1, 1, 1, 1), -1.2), torch.tensor([300])
    a = process.schedule.alpha_bar[300]
    expected = {"eps": -1.2, "x0": 0.4, "v": a**0.5 * -1.2 - (1 - a) ** 0.5 * 0.4,
                "velocity": -1.6}
    for name, value in expected.items():
        restorer = Restorer(lambda x, time: x, name, process, spec, clip=False)
        assert restorer.target(x0, z, None, t).item() == pytest.approx(value, rel=1e-5)


def test_the_network_is_told_t_over_T_and_clip_clips():
    seen = []

    def network(x, time):
        seen.append(time)
        return torch.full_like(x, 3.0)

    restorer = Restorer(network, "x0", noise(), image(), clip=True)
    out = restorer(torch.zeros(2, 1, 8, 8), torch.tensor([1, 1000])).x0_hat
    assert out.max() == 1.0
    torch.testing.assert_close(seen[0], torch.tensor([0.001, 1.0]))


def test_meaningless_targets_are_refused():
    with pytest.raises(KelvinError, match="'eps' has no meaning for GaussianBlur; it takes x0"):
        Restorer(lambda x, time: x, "eps", blur(), image(), clip=True)


@pytest.mark.parametrize("t", [1, 2, 10])
def test_previous_is_the_blurrier_mean_and_its_deconvolution_restores(t):
    """The target leads from x_t to A_{t-1} x0 to 1e-5; at t = 1 the x0_hat it implies is x0."""
    spec = image()
    process = degradations.build(
        spec, {"kind": "heat-dissipation", "sigma": 0.5, "sigma_start": 0.05, "noise": 0.01},
        {"kind": "own", "steps": 10}, {"kind": "constant", "level": 0.0, "jitter": 0.0})
    x0, at = spec.encode(unit_images(4, spec)), torch.full((4,), t)
    z = process.draw(BatchRandom(4, generator(1)))
    x_t = process.degrade(x0, at, z)
    restorer = Restorer(lambda x, time: restorer.target(x0, z, x, at), "previous", process, spec, False)
    found = restorer(x_t, at)
    torch.testing.assert_close(found.previous, process.mean(x0, at - 1, z), rtol=0, atol=1e-5)
    if t == 1:
        torch.testing.assert_close(found.x0_hat, x0, rtol=0, atol=1e-5)
    error = [(x - x0).square().mean() for x in (found.x0_hat, found.previous)]
    assert error[0] <= error[1] + 1e-9  # sharpening brings the mean of x_{t-1} nearer to x0


def test_without_a_signal_at_T_eps_is_refused_and_the_others_give_x0_back():
    """v and velocity at T, where x_T is z alone (1e-9); eps in one sentence, that names the option."""
    process, spec = noise(zero_terminal_snr=True), image()
    assert process.signal[-1] == 0
    x0, t = spec.encode(unit_images(3, spec)).double(), torch.tensor([1, 999, 1000])
    z = process.draw(BatchRandom(3, generator(0))).double()
    for name in ("x0", "v", "velocity"):
        restorer = Restorer(lambda x, time: x, name, process, spec, clip=False)
        x_t = process.degrade(x0, t, z)
        found = restorer.x0_hat(restorer.target(x0, z, x_t, t), x_t, t)
        torch.testing.assert_close(found, x0, rtol=1e-9, atol=1e-9)
    with pytest.raises(KelvinError, match="'eps' cannot be turned into x0_hat at T, where "
                                          "schedule.zero_terminal_snr leaves no signal") as error:
        Restorer(lambda x, time: x, "eps", process, spec, clip=True)
    assert "\n" not in str(error.value)


# what is left at T: nothing; 6e-57, not 0 in float64; 2e-42, not 0 in float32 but too small to divide by
LOST = [{"kind": "linear", "steps": 1000, "beta_min": 1e-4, "beta_max": 0.02, "zero_terminal_snr": True},
        {"kind": "linear", "steps": 5000, "beta_min": 1e-4, "beta_max": 0.1},
        {"kind": "linear", "steps": 1000, "beta_min": 1e-4, "beta_max": 0.5},
        {"kind": "matched", "steps": 1000, "beta_min": 1e-4, "alpha_bar_end": 4e-84}]


@pytest.mark.parametrize("schedule", LOST)
@pytest.mark.parametrize("name", ["eps", "scaled-eps", "x0", "v", "velocity"])
def test_targets_that_divide_by_a_lost_signal_are_refused(schedule, name):
    """By the table in float32, whatever made it so; where a target is taken, x0_hat is finite."""
    spec = image()
    process = degradations.build(spec, {"kind": "gaussian-noise"}, schedule, {"kind": "normal"})
    if name in ("eps", "scaled-eps"):
        with pytest.raises(KelvinError, match=f"^restorer.parameterisation = '{name}' cannot be turned "
                                              "into x0_hat at .*: predict v or x0$"):
            Restorer(lambda x, time: x, name, process, spec, clip=True)
        return
    restorer = Restorer(lambda x, time: x, name, process, spec, clip=False)
    t = torch.arange(1, process.steps + 1)
    x = torch.ones(len(t), 1, 1, 1)
    assert restorer.x0_hat(-x, x, t).isfinite().all()


@pytest.mark.parametrize("name", ["eps", "scaled-eps"])
@pytest.mark.parametrize("end", [1e-60, 1e-12])
def test_a_signal_that_float32_divides_by_is_taken(name, end):
    schedule = {"kind": "matched", "steps": 1000, "beta_min": 1e-4, "alpha_bar_end": end}
    process = degradations.build(image(), {"kind": "gaussian-noise"}, schedule, {"kind": "normal"})
    restorer = Restorer(lambda x, time: x, name, process, image(), clip=True)
    x, T = torch.ones(1, 1, 8, 8), torch.tensor([1000])
    assert restorer.x0_hat(x, x, T).isfinite().all()


def test_noise_that_float32_does_not_hold_is_refused():
    schedule = {"kind": "linear", "steps": 10, "beta_min": 1e-17, "beta_max": 0.02}
    process = degradations.build(image(), {"kind": "gaussian-noise"}, schedule, {"kind": "normal"})
    assert process.noise[1] == 0
    with pytest.raises(KelvinError, match="adds no noise at t = 1 of 10 .*: raise the first betas"):
        Restorer(lambda x, time: x, "v", process, image(), clip=True)
