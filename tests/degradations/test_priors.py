"""Priors: what x_T is drawn from, against the training images it was fitted to."""

import numpy as np
import pytest
import torch
from helpers import HEAT, image

from kelvin import degradations
from kelvin.common.errors import KelvinError
from kelvin.common.streams import BatchRandom, generator

MANY = 40_000


def make(spec, degradation, prior, steps=4):
    return degradations.build(spec, degradation, {"kind": "own", "steps": steps}, prior)


def drawn(process, n=MANY):
    return process.prior.draw(BatchRandom(n, generator("prior")))


def images(n, spec, seed=0):
    """Correlated pixels of different mean and variance."""
    rng, pixels = np.random.default_rng(seed), int(np.prod(spec.shape))
    root = np.random.default_rng(99).normal(size=(pixels, pixels)) / pixels**0.5
    flat = 0.2 * rng.normal(size=(n, pixels)) @ root.T + np.linspace(-0.5, 0.5, pixels)
    return torch.from_numpy(flat.reshape(n, *spec.shape)).float()


def assert_alike(x, wanted_mean, wanted_covariance):
    """Mean and covariance of MANY draws, each entry to 5 standard errors."""
    scale = np.sqrt(np.diag(wanted_covariance))
    assert (np.abs(x.mean(0) - wanted_mean) <= 5 * scale / MANY**0.5 + 1e-6).all()
    error = 5 * (2 / MANY) ** 0.5 * np.outer(scale, scale) + 1e-6
    assert (np.abs(np.cov(x.T) - wanted_covariance) <= error).all()


@pytest.mark.parametrize("size", [(1, 5, 4), (3, 3, 3)], ids=str)
def test_gaussian_is_the_law_of_degraded_training_images(size):
    """A blur is linear: x_T has the mean and covariance of the blurred training images."""
    spec = image(*size)
    process = make(spec, {**HEAT, "sigma": 0.15}, {"kind": "gaussian", "rank": 1024, "jitter": 0.0})
    x0 = images(300, spec)
    process.prior.fit(x0)
    blurred = process.degrade(x0, torch.full((300,), 4), None).flatten(1).double().numpy()
    state = drawn(process)
    assert state.z is None
    assert_alike(state.x.flatten(1).double().numpy(), blurred.mean(0), np.cov(blurred.T))


def test_jitter_adds_its_own_variance():
    """jitter 0.05 of [0, 1] is 0.1 of [-1, 1], on every pixel on its own."""
    spec = image(1, 3, 3)
    process = make(spec, {"kind": "fade", "to": 0.25}, {"kind": "constant", "level": 0.9, "jitter": 0.05})
    assert_alike(drawn(process).x.flatten(1).double().numpy(), np.full(9, -0.5), 0.01 * np.eye(9))


def test_low_rank_keeps_the_largest_directions():
    """rank 3 of 16 pixels: the covariance is the three largest singular values' part, from numpy."""
    spec = image(1, 4, 4)
    process = make(spec, {"kind": "fade", "to": 0.5}, {"kind": "gaussian", "rank": 3, "jitter": 0.0})
    x0 = images(500, spec)
    process.prior.fit(x0)
    flat = x0.flatten(1).double().numpy()
    _, values, vectors = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
    wanted = (vectors[:3].T * values[:3] ** 2 / 499) @ vectors[:3]
    g = process.prior.stand_in(BatchRandom(MANY, generator(1))).flatten(1).double().numpy()
    assert np.linalg.matrix_rank(np.cov(g.T), tol=1e-6) == 3
    assert_alike(g, flat.mean(0), wanted)


def test_mixture_has_the_law_of_the_mean_colours():
    """One colour an image; over all components their mean and covariance are the training colours'.

    Two groups of colours, 3 to 1: a single Gaussian would miss the gap between them.
    """
    spec = image(3, 4, 4)
    process = make(spec, HEAT, {"kind": "mixture", "components": 2, "jitter": 0.0})
    rng = np.random.default_rng(5)
    group = np.where(np.arange(400) % 4 == 0, 0.5, -0.3)[:, None]
    colour = group + 0.05 * rng.normal(size=(400, 3)) @ np.array([[1, 0.5, 0], [0, 1, 0.2], [0, 0, 1]])
    x0 = torch.from_numpy(colour).float()[..., None, None].expand(-1, 3, 4, 4)
    process.prior.fit(x0 + 0.1 * torch.tensor([1.0, -1.0]).repeat(2))  # stripes leave the mean alone
    x = drawn(process).x
    torch.testing.assert_close(x, x[..., :1, :1].expand_as(x), rtol=0, atol=1e-5)
    got = x[..., 0, 0].double().numpy()
    assert_alike(got, colour.mean(0), np.cov(colour.T, bias=True))
    assert ((got[:, 0] > 0.1).mean() == pytest.approx(0.25, abs=5 * (0.1875 / MANY) ** 0.5)
            and ((got[:, 0] > 0.0) & (got[:, 0] < 0.2)).mean() < 1e-3)


@pytest.mark.parametrize("schedule", [{"kind": "own", "steps": 4},
                                      {"kind": "linear", "steps": 4, "beta_min": 0.1, "beta_max": 0.3}],
                         ids=["own", "tied"])
@pytest.mark.parametrize("kind", ["gaussian", "constant"])
def test_start_and_mask_fit_each_other(kind, schedule):
    """Where z < u_T a pixel shows the fill, and elsewhere the stand-in."""
    spec = image(1, 6, 6)
    prior = {"gaussian": {"rank": 36}, "constant": {"level": 0.9}}[kind]
    process = degradations.build(spec, {"kind": "random-pixels", "fill": 0.25}, schedule,
                                 {"kind": kind, "jitter": 0.0, **prior})
    x0 = images(60, spec)
    process.fit(x0, lambda: x0)
    process.prior.fit(x0)
    state, u = drawn(process, 50), process.u[-1]
    assert (u == 1) == (schedule["kind"] == "own")
    lost = state.z < u
    assert (state.x[lost] == -0.5).all() and (state.x[~lost] != -0.5).all()
    assert lost.float().mean() == pytest.approx(u.item(), abs=5 * 0.5 / (50 * 36) ** 0.5)


def test_standard_normal_is_its_own_z():
    process = degradations.build(image(1, 3, 3), {"kind": "interpolation"}, {"kind": "own", "steps": 4},
                                 {"kind": "normal"})
    state = drawn(process)
    assert torch.equal(state.x, state.z)
    assert_alike(state.x.flatten(1).double().numpy(), np.zeros(9), np.eye(9))


@pytest.mark.parametrize("kind", ["gaussian", "mixture"])
def test_saved_and_loaded(kind):
    """A fresh prior with the tensors of a fitted one draws the same x_T, bit by bit."""
    spec = image(3, 4, 4)
    options = {"kind": kind, "jitter": 0.01, **({"rank": 5} if kind == "gaussian" else {"components": 2})}
    whole, fresh = (make(spec, HEAT, options) for _ in range(2))
    with pytest.raises(KelvinError, match="the prior is not fitted"):
        drawn(fresh, 2)
    whole.prior.fit(images(100, spec))
    fresh.prior.load(whole.prior.tensors())
    assert torch.equal(drawn(whole, 20).x, drawn(fresh, 20).x)


@pytest.mark.parametrize(("prior", "said"), [
    ({"kind": "normal"}, "prior.kind = 'normal' is where noise alone ends, but the degradation is Fade"),
    ({"kind": "real"}, "which restores and does not generate")], ids=["normal", "real"])
def test_what_cannot_start_a_cold_process_is_refused(prior, said):
    with pytest.raises(KelvinError, match=said):
        make(image(), {"kind": "fade", "to": 0.5}, prior)


def test_more_components_than_images_are_refused():
    process = make(image(3), HEAT, {"kind": "mixture", "components": 9, "jitter": 0.0})
    with pytest.raises(KelvinError, match="prior.components = 9 needs at least as many training images"):
        process.prior.fit(images(8, image(3)))
