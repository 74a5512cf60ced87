"""The linear restorer against scikit-learn, and against the Wiener filter it should find."""

import numpy as np
import torch
from sklearn.linear_model import LinearRegression

from kelvin.sampling.linear import LinearRestorer


def test_equal_to_scikit_learn_and_close_to_wiener():
    """Predictions equal least squares to 1e-3; on white data with noise the gain is s2/(s2 + n2)."""
    generator = torch.Generator().manual_seed(0)
    x0 = torch.randn(4000, 1, 3, 3, generator=generator) * 0.5 + 0.2
    x_t = 0.8 * x0 + 0.3 * torch.randn(x0.shape, generator=generator)
    ours = LinearRestorer(x_t, x0, ridge=1e-9)(x_t)
    model = LinearRegression().fit(x_t.flatten(1).numpy(), x0.flatten(1).numpy())
    theirs = model.predict(x_t.flatten(1).numpy())
    np.testing.assert_allclose(ours.flatten(1).numpy(), theirs, atol=1e-3)
    gain = 0.8 * 0.25 / (0.64 * 0.25 + 0.09)
    np.testing.assert_allclose(np.diag(model.coef_), gain, atol=0.05)


def test_a_singular_problem_is_still_solved():
    x0 = torch.rand(10, 1, 8, 8)
    out = LinearRestorer(torch.zeros_like(x0), x0)(torch.zeros_like(x0))
    torch.testing.assert_close(out, x0.mean(0, keepdim=True).expand_as(x0), rtol=0, atol=1e-5)
