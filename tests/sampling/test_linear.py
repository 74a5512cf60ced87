"""The linear restorer against scikit-learn, a slow loop, and the Wiener filter it should find."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LinearRegression, Ridge

from kelvin import degradations
from kelvin.common.streams import BatchRandom, generator
from kelvin.degradations import ImageSpec
from kelvin.sampling.linear import LinearRestorer, fit_count


def pairs(n=60, side=3, noise=0.3, seed=0):
    source = torch.Generator().manual_seed(seed)
    x0 = torch.randn(n, 1, side, side, generator=source, dtype=torch.float64) * 0.5 + 0.2
    return 0.8 * x0 + noise * torch.randn(x0.shape, generator=source, dtype=torch.float64), x0


def test_equal_to_scikit_learn_and_close_to_wiener():
    """Predictions equal least squares to 1e-9 (no ridge is needed here); on white data with noise the
    gain is s2 / (s2 + n2)."""
    x_t, x0 = pairs(4000)
    ours = LinearRestorer(x_t, x0)
    model = LinearRegression().fit(x_t.flatten(1).numpy(), x0.flatten(1).numpy())
    np.testing.assert_allclose(ours(x_t).flatten(1), model.predict(x_t.flatten(1).numpy()), atol=1e-9)
    gain = 0.8 * 0.25 / (0.64 * 0.25 + 0.09)
    np.testing.assert_allclose(ours.weights.diagonal(), gain, atol=0.05)


def test_the_ridge_taken_is_scikit_learns_and_its_error_that_of_a_slow_loop():
    """Few pairs of much noise: a ridge helps. Same predictions as Ridge to 1e-8; the leave-one-out error
    is that of as many fits, to 1e-8."""
    x_t, x0 = pairs(14, noise=3.0)
    ours = LinearRestorer(x_t, x0)
    X, Y = x_t.flatten(1).numpy(), x0.flatten(1).numpy()
    alpha = ours.ridge * ((X - X.mean(0)) ** 2).sum() / X.shape[1]
    assert ours.ridge > 1e-3
    theirs = Ridge(alpha, solver="svd").fit(X, Y).predict(X)
    np.testing.assert_allclose(ours(x_t).flatten(1), theirs, atol=1e-8)
    squares = []
    for i in range(len(X)):
        rest = np.arange(len(X)) != i
        # the mean counts among what is fitted: its share of the leverage is 1 / n
        found = Ridge(alpha, solver="svd").fit(X[rest], Y[rest]).predict(X[i:i + 1])
        squares.append((found - Y[i]) ** 2)
    assert ours.error == pytest.approx(np.sqrt(np.mean(squares)), rel=1e-8)


@pytest.mark.parametrize("noise", [0.01, 3.0])
def test_a_large_image_has_its_ridge_from_a_part_of_its_pixels(monkeypatch, noise):
    """The ridge that all pixels give, and the same predictions; the error within 5 % of theirs."""
    from kelvin.sampling import linear

    x_t, x0 = pairs(60, side=18, noise=noise)
    monkeypatch.setattr(linear, "JUDGED", x0[0].numel())
    whole = LinearRestorer(x_t, x0)
    monkeypatch.setattr(linear, "JUDGED", 100)
    part = LinearRestorer(x_t, x0)
    assert part.ridge == whole.ridge and torch.equal(part(x_t), whole(x_t))
    assert part.error == pytest.approx(whole.error, rel=0.05) and part.error != whole.error


def test_larger_images_are_fitted_to_fewer():
    """n^2 d, what singular values cost, stays that of 5,000 MNIST images."""
    assert [fit_count(d) for d in (64, 784, 3072, 12_288)] == [5000, 5000, 2551, 1275]


def test_a_singular_problem_is_still_solved():
    x0 = torch.rand(10, 1, 8, 8)
    out = LinearRestorer(torch.zeros_like(x0), x0)(torch.zeros_like(x0))
    torch.testing.assert_close(out, x0.mean(0, keepdim=True).expand_as(x0), rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def halfway(params):
    """RMSE of held-out digits, restored from T/2 of D1's blur and noise."""
    units = torch.from_numpy(load_digits().images).float()[:, None] / 16
    image, out = ImageSpec(1, 8, 8, -1.0, 1.0), {}
    for name in ("tied-blur", "tied-noise"):
        run = params.run(name)
        process = degradations.build(image, run.degradation.model_dump(), run.schedule.model_dump(),
                                     run.prior.model_dump())
        x0 = image.encode(units)
        process.fit(x0[:1257], None)
        t = torch.full((len(x0),), process.steps // 2)
        x_t = process.degrade(x0, t, process.draw(BatchRandom(len(x0), generator("z"))))
        for key, spec in (("", None), ("-8-bit", image)):
            x = image.to_unit(LinearRestorer(x_t[:1257], x0[:1257], spec)(x_t[1257:]).double())
            out[name + key] = float((x - units[1257:]).square().mean().sqrt())
    return out


def test_equal_signal_variance_is_no_equal_recoverability(halfway):
    """The blur is undone by least squares, nearly without loss in float32, and with 8 bits 15 times
    better than the noise."""
    assert halfway["tied-blur"] < 1e-3
    assert 0.005 < halfway["tied-blur-8-bit"] < 0.02
    assert halfway["tied-noise"] == pytest.approx(halfway["tied-noise-8-bit"], rel=0.01)
    assert halfway["tied-noise"] > 15 * halfway["tied-blur-8-bit"]
    print(halfway)
