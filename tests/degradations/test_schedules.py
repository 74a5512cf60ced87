"""Schedules against diffusers, their own definitions, and the studies' figures."""

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr

from kelvin.common.errors import KelvinError
from kelvin.degradations import build_schedule, schedules
from kelvin.schedules import check_schedule

LINEAR = {"kind": "linear", "steps": 1000, "beta_min": 1e-4, "beta_max": 0.02}
EXAMPLES = [
    LINEAR,
    {**LINEAR, "kind": "linear-ramp"},
    {**LINEAR, "kind": "quadratic"},
    {**LINEAR, "kind": "sigmoid"},
    {"kind": "cosine", "steps": 1000, "offset": 0.008, "beta_cap": 0.999},
    {"kind": "matched", "steps": 200, "beta_min": 1e-4, "alpha_bar_end": 4.04e-5},
]


def test_every_schedule_has_an_example():
    assert {e["kind"] for e in EXAMPLES} == set(schedules.kinds())


@pytest.mark.parametrize(("section", "name"), [
    (EXAMPLES[0], "linear"), (EXAMPLES[2], "scaled_linear"), (EXAMPLES[3], "sigmoid"),
    (EXAMPLES[4], "squaredcos_cap_v2")], ids=lambda v: v if isinstance(v, str) else "")
def test_equal_to_diffusers(section, name):
    """alpha-bar to 2e-5 relative: diffusers accumulates in float32."""
    theirs = DDPMScheduler(1000, 1e-4, 0.02, name).alphas_cumprod.numpy()
    np.testing.assert_allclose(build_schedule(section).alpha_bar[1:], theirs, rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(build_schedule(section).alpha_bar[1:700], theirs[:699], rtol=5e-5)


@pytest.mark.parametrize("section", EXAMPLES, ids=lambda s: s["kind"])
def test_definitions(section):
    schedule = build_schedule(section)
    product = 1.0
    for t, beta in enumerate(schedule.betas, 1):  # the slow obvious loop
        product *= 1 - beta
        assert schedule.alpha_bar[t] == pytest.approx(product, rel=1e-12)
    assert schedule.alpha_bar[0] == 1 and schedule.beta[0] == 0
    snr = schedule.alpha_bar[1:] / (1 - schedule.alpha_bar[1:])
    np.testing.assert_allclose(schedule.log_snr[1:], np.log(snr), rtol=1e-9, atol=1e-9)
    assert schedule.log_snr[0] == np.inf and np.all(np.diff(schedule.log_snr[1:]) < 0)
    assert all(a.dtype == np.float64 for a in (schedule.beta, schedule.alpha_bar, schedule.log_snr))


def test_the_two_linear_schedules_differ_as_study_c_says():
    assert build_schedule(LINEAR).alpha_bar[-1] == pytest.approx(4.04e-5, rel=2e-3)
    assert build_schedule({**LINEAR, "kind": "linear-ramp"}).alpha_bar[-1] == pytest.approx(
        4.00e-5, rel=2e-3)


@pytest.mark.parametrize("steps", [5, 200, 1000, 5000])
def test_matched_ends_in_the_wanted_noise(steps):
    section = {**EXAMPLES[5], "steps": steps}
    assert build_schedule(section).alpha_bar[-1] == pytest.approx(4.04e-5, rel=1e-9)


@pytest.mark.parametrize("steps, beta_max", [(1000, 0.02), (5000, 0.004), (200, 0.1)])
def test_study_a_ends_are_of_one_order_of_magnitude(steps, beta_max):
    end = build_schedule({**LINEAR, "steps": steps, "beta_max": beta_max}).alpha_bar[-1]
    assert 1e-5 < end < 1e-4


@pytest.mark.parametrize(("change", "said"), [
    ({"beta_max": 1.5}, "schedule.beta_max = 1.5"), ({"steps": 0}, "schedule.steps = 0"),
    ({"steps": 2.5}, "schedule.steps = 2.5"), ({"bta": 1}, "schedule.bta is not a known parameter"),
    ({"kind": "linea"}, "no such schedule; known are cosine, linear")])
def test_bad_values_are_refused_by_name(change, said):
    with pytest.raises(KelvinError, match=said.replace(".", r"\.")):
        build_schedule({**LINEAR, **change})


def test_matched_says_when_it_cannot():
    with pytest.raises(KelvinError, match="cannot be reached in 5 steps"):
        build_schedule({"kind": "matched", "steps": 5, "beta_min": 0.9, "alpha_bar_end": 0.5})


@pytest.mark.parametrize("section", EXAMPLES, ids=lambda s: s["kind"])
def test_zero_terminal_snr_equals_diffusers(section):
    """rescale_zero_terminal_snr of our own betas, both in float64: 1e-9 on alpha-bar; no signal at T,
    the first alpha-bar kept, and the other entries untouched where the option is off."""
    theirs = rescale_zero_terminal_snr(torch.from_numpy(build_schedule(section).betas)).numpy()
    ours = build_schedule({**section, "zero_terminal_snr": True})
    np.testing.assert_allclose(ours.alpha_bar[1:], np.cumprod(1 - theirs), rtol=1e-9, atol=1e-15)
    assert ours.alpha_bar[-1] == 0 and ours.log_snr[-1] == -np.inf and ours.betas[-1] == 1
    assert ours.betas[0] == build_schedule(section).betas[0]
    assert np.all(np.diff(ours.log_snr[1:]) < 0)
    off = build_schedule({**section, "zero_terminal_snr": False})
    assert np.array_equal(off.betas, build_schedule(section).betas)


def test_bad_zero_terminal_snr_is_refused():
    with pytest.raises(KelvinError, match=r"schedule.zero_terminal_snr = 1: it should be true or false"):
        build_schedule({**LINEAR, "zero_terminal_snr": 1})
    with pytest.raises(KelvinError, match="needs schedule.steps of 2 at least"):
        build_schedule({**LINEAR, "steps": 1, "zero_terminal_snr": True})
    with pytest.raises(KelvinError, match="schedule.bta is not a known parameter"):
        check_schedule({**LINEAR, "zero_terminal_snr": True, "bta": 1})
