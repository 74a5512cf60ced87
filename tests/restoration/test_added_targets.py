"""Targets that add to a known image: residual and linear+, derived a second time; saved; refused."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import Ridge

from kelvin.common.errors import KelvinError
from kelvin.common.streams import BatchRandom, generator
from kelvin.config.schema import ModelConfig
from kelvin.degradations import ImageSpec, build
from kelvin.networks import Shape
from kelvin.restoration import assemble
from kelvin.restoration.parameterisation import PARAMETERISATIONS
from kelvin.restoration.restorer import Restorer
from kelvin.sampling.linear import LinearRestorer
from kelvin.training.fitting import fit_process
from kelvin.training.weightings import build_weights

IMAGES = (load_digits().images[:600, None] * 255 / 16).round().astype(np.uint8)
SHAPE = Shape(1, 8, 8)
RUNS = ("tied-noise", "tied-blur", "tied-pixels", "tied-blur-noise", "tied-flow")


def config(params, name, target):
    run = params.run(name)
    values = run.model_dump(include=set(ModelConfig.model_fields))
    values["schedule"]["steps"] = 8
    values["restorer"]["parameterisation"] = target
    return ModelConfig(**values)


def fitted(params, name, target):
    torch.manual_seed(0)
    restorer = assemble.build(config(params, name, target), SHAPE)
    fit_process(restorer, IMAGES, None)
    return restorer


def some(restorer, n=50):
    x0 = restorer.image.encode(torch.from_numpy(IMAGES[:n]).float() / 255)
    t = torch.arange(n) % restorer.degradation.steps + 1
    z = restorer.degradation.draw(BatchRandom(n, generator("some")))
    return x0, z, restorer.degradation.degrade(x0, t, z), t


@pytest.mark.parametrize("target", ["residual", "linear+"])
@pytest.mark.parametrize("name", RUNS)
def test_the_right_prediction_gives_the_image_and_zero_the_known_one(params, name, target):
    restorer = fitted(params, name, target)
    x0, z, x_t, t = some(restorer)
    prediction = restorer.target(x0, z, x_t, t)
    torch.testing.assert_close(restorer.x0_hat(prediction, x_t, t), x0, rtol=0, atol=2e-5)
    known = restorer.x0_hat(torch.zeros_like(x0), x_t, t)
    if target == "residual":
        assert torch.equal(known, x_t) and torch.equal(prediction, x0 - x_t)


def test_zero_with_linear_plus_is_scikit_learns_ridge(params):
    """At each t of noise, from 8 bits, with the ridge that leave-one-out takes: predictions to 1e-4."""
    restorer = fitted(params, "tied-noise", "linear+")
    process, n = restorer.degradation, len(IMAGES)
    x0 = restorer.image.encode(torch.from_numpy(IMAGES).float() / 255)
    z = process.draw(BatchRandom(n, generator("linear map")))
    for t in (2, 5, 8):
        at = torch.full((n,), t)
        x_t = process.degrade(x0, at, z)
        X, Y = restorer.image.rounded(x_t.double()).flatten(1).numpy(), x0.flatten(1).double().numpy()
        ridge = LinearRestorer(x_t, x0, restorer.image).ridge
        alpha = ridge * ((X - X.mean(0)) ** 2).sum() / X.shape[1]
        theirs = Ridge(alpha, solver="svd").fit(X, Y).predict(X)
        ours = restorer.x0_hat(torch.zeros_like(x0), restorer.image.rounded(x_t.double()).float(), at)
        np.testing.assert_allclose(ours.flatten(1), theirs, atol=1e-4)


@pytest.mark.parametrize("target", ["residual", "linear+"])
def test_it_is_saved_with_the_weights(params, target, tmp_path):
    restorer = fitted(params, "tied-blur", target)
    x0, _, x_t, t = some(restorer)
    path = tmp_path / "ema.safetensors"
    assemble.save(path, restorer.network, restorer, config(params, "tied-blur", target), SHAPE)
    restorer.network.eval()
    assert torch.equal(assemble.load(path)(x_t, t).x0_hat, restorer(x_t, t).x0_hat)


def test_weights_are_those_of_x0(params):
    """x0_hat moves one to one with the prediction, as for the target x0."""
    process = fitted(params, "tied-noise", "linear+").degradation
    for kind in ({"kind": "min-snr", "gamma": 5.0}, {"kind": "vlb"}):
        expected = build_weights(kind, process, PARAMETERISATIONS["x0"])
        for target in ("residual", "linear+"):
            assert torch.equal(build_weights(kind, process, PARAMETERISATIONS[target]), expected)


def test_what_cannot_be_is_refused(params):
    section = params.run("tied-blur").degradation.model_dump()
    constant = {"kind": "constant", "level": 0.5, "jitter": 0.0}

    def restorer(side, steps):
        image = ImageSpec(1, side, side, -1.0, 1.0)
        process = build(image, section, {"kind": "own", "steps": steps}, constant)
        return Restorer(lambda x, t: x, "linear+", process, image, True)

    with pytest.raises(KelvinError, match="adds to a fitted linear restorer"):
        restorer(8, 4).x0_hat(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8), torch.tensor([1]))
    with pytest.raises(KelvinError, match="a matrix of 1,024 x 1,024 for each of 200 times"):
        restorer(32, 200)
