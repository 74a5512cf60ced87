"""Recoverability: closed forms, real rounding and least squares; and severity tied by it."""

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from sklearn.datasets import load_digits

from kelvin import degradations
from kelvin.common.errors import KelvinError
from kelvin.common.streams import BatchRandom, generator
from kelvin.degradations import ImageSpec
from kelvin.degradations.recoverability import Moments, curve_times

IMAGE = ImageSpec(1, 8, 8, -1.0, 1.0)
X0 = IMAGE.encode(torch.from_numpy(load_digits().images).float()[:1257, None] / 16)
SCHEDULE = {"kind": "matched", "steps": 12, "beta_min": 1e-4, "alpha_bar_end": 0.01}
TIED = {**SCHEDULE, "tie": "recoverability"}
CONSTANT = {"kind": "constant", "level": 0.5, "jitter": 0.0}
BLUR = {"kind": "gaussian-blur", "kernel": 1.0, "sigma": 3.0, "sigma_start": 0.0025,
        "growth": "geometric", "sigma_of": "total", "border": "heat", "reading": "composed"}
SECTIONS = {"fade": {"kind": "fade", "to": 0.5}, "blur": BLUR,
            "pixels": {"kind": "random-pixels", "fill": 0.0},
            "blur-noise": {"kind": "blur-noise", "sigma": 0.4, "floor": 0.001},
            "mask-noise": {"kind": "mask-noise", "lag": 2.0}}


def make(name, schedule=TIED):
    process = degradations.build(IMAGE, SECTIONS.get(name, {"kind": name}), schedule, CONSTANT)
    process.fit(X0, None)
    return process


@pytest.fixture(scope="module")
def tied():
    return {name: make(name) for name in SECTIONS}


@pytest.mark.parametrize("name", ["gaussian-noise", *SECTIONS])
def test_equal_to_least_squares_on_images_that_were_rounded(tied, name):
    """Rows of 8-bit x_t, fresh z, numpy's lstsq: the error of both to 6 % (in-sample, ~20,000 rows), and
    1e-5 of the variance; 3e-4 where few masks of many lose a pixel at all."""
    process = tied.get(name) or make(name)
    rows = X0.repeat(16, 1, 1, 1)
    z = process.draw(BatchRandom(len(rows), generator("fresh")))
    found = Moments(process, X0).of(process, torch.arange(13))
    Y = rows.flatten(1).double().numpy()
    Y = Y - Y.mean(0)
    slack = 3e-4 if name in ("pixels", "mask-noise") else 1e-5
    for t in (1, 4, 7, 10, 12):
        x_t = IMAGE.rounded(process.degrade(rows, torch.full((len(rows),), t), z)).flatten(1).double()
        X = (x_t - x_t.mean(0)).numpy()
        if name in ("fade", "blur"):  # the same rows 16 times: rounding is dithered, to be noise
            step = 2 / 255
            dither = step * (torch.rand(x_t.shape, generator=generator("dither")).double() - 0.5)
            x_t = process.degrade(rows, torch.full((len(rows),), t), z).flatten(1).double() + dither
            X = (x_t - x_t.mean(0)).numpy()
        left = Y - X @ np.linalg.lstsq(X, Y, rcond=None)[0]
        error = (left**2).sum() / (Y**2).sum()
        assert 1 - float(found[t]) == pytest.approx(error, rel=0.06, abs=slack), t


def test_random_pixels_in_closed_form(tied):
    """Kept with probability p, black else: C_tt = p^2 C + p (1 - p) diag(E (x - low)^2) + rounding, and
    C_0t = p C. To 0.02 of the variance: the masks are drawn."""
    process = tied["pixels"]
    found = Moments(process, X0).of(process, torch.arange(13)).numpy()
    x = X0.flatten(1).double().numpy() + 1
    C, second = np.cov(x.T, bias=True), (x**2).mean(0)
    ones = torch.ones(4000, 1, 8, 8)
    z = process.draw(BatchRandom(4000, generator("masks")))
    for t in range(1, 13):
        p = float((process.degrade(ones, torch.full((4000,), t), z) > 0).float().mean())
        own = p**2 * C + p * (1 - p) * np.diag(second) + (2 / 255) ** 2 / 12 * np.eye(64)
        expected = np.trace(p * C @ np.linalg.solve(own, p * C)) / np.trace(C)
        assert found[t] == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("name", SECTIONS)
def test_severity_is_tied_to_what_the_noise_leaves(tied, name):
    """To a thousandth of what is left or lost, where it is reached; lost pixels jump. Severity rises;
    from clamped_from on it stands still."""
    process = tied[name]
    noise = degradations.build(IMAGE, {"kind": "gaussian-noise"}, TIED, CONSTANT)
    wanted = Moments(noise, X0).of(noise, torch.arange(13)).numpy()
    np.testing.assert_allclose(process.wanted, wanted, atol=1e-12)
    found, clamped = Moments(process, X0).of(process, torch.arange(13)).numpy(), process.clamped_from()
    np.testing.assert_allclose(process.reached, found, atol=1e-12)
    reached = slice(0, clamped)
    slack = np.maximum(1.1e-3 * np.minimum(wanted, 1 - wanted), 1e-6)[reached]
    gap = (found - wanted)[reached]
    assert (gap <= slack).all()
    if name == "blur":  # the least sigma is not zero
        gap = gap[2:]
        slack = slack[2:]
    jump = 0.05 if name in ("pixels", "mask-noise") else 0.0
    assert (gap >= -slack - jump * wanted[reached][-len(gap):]).all()
    u = process.u.numpy()
    assert u[0] == 0 and (np.diff(u) >= 0).all() and u[-1] <= 1
    if clamped is not None:
        assert (u[clamped:] == u[-1]).all() and found[clamped] > wanted[clamped]


def test_blur_loses_signal_variance_before_it_loses_what_can_be_recovered(tied):
    """Equal recoverability needs far stronger blur than equal variance; its mean stays: clamped."""
    by_variance = make("blur", SCHEDULE)
    assert (tied["blur"].sigmas[2:8] > 1.5 * by_variance.sigmas[2:8]).all()
    assert tied["blur"].clamped_from() is not None


@pytest.mark.parametrize("name", SECTIONS)
def test_saved_weights_carry_it(tied, name):
    process = tied[name]
    fresh = type(process)(IMAGE, TIED, **{k: v for k, v in SECTIONS[name].items() if k != "kind"})
    fresh.load(load(save(process.tensors())))
    assert torch.equal(fresh.u, process.u) and fresh.clamped_from() == process.clamped_from()


def test_what_has_no_such_tie_says_so():
    with pytest.raises(KelvinError, match="schedule.tie = 'both': it should be variance or rec"):
        make("fade", {**SCHEDULE, "tie": "both"})
    with pytest.raises(KelvinError, match="has no meaning for interpolation"):
        degradations.build(IMAGE, {"kind": "interpolation"}, TIED, CONSTANT)


def test_a_short_curve_has_every_time():
    assert curve_times(20, 64).tolist() == list(range(21))


@pytest.mark.parametrize("T, pixels, points", [(1000, 64, 101), (1000, 784, 21), (3, 784, 4)])
def test_a_curve_has_both_ends_and_no_more_than_a_hundred_steps(T, pixels, points):
    times = curve_times(T, pixels).tolist()
    assert (times[0], times[-1], len(times)) == (0, T, points)
