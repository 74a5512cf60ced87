"""The calibrating restorer: linear least squares from x_t to x0 (a Wiener filter without its model)."""

from __future__ import annotations

import torch


class LinearRestorer:
    """x0_hat = W (x_t - mean_t) + mean_0, fitted by ridge regression on training pairs at one t."""

    def __init__(self, x_t: torch.Tensor, x0: torch.Tensor, ridge: float = 1e-3) -> None:
        X, Y = x_t.flatten(1).double(), x0.flatten(1).double()
        self.mean_t, self.mean_0 = X.mean(0), Y.mean(0)
        X, Y = X - self.mean_t, Y - self.mean_0
        gram = X.T @ X
        # relative to the mean pixel variance: the same strength at every size and range
        gram.diagonal().add_(ridge * gram.diagonal().mean().clamp(min=1e-12))
        self.weights = torch.linalg.solve(gram, X.T @ Y)

    def __call__(self, x_t: torch.Tensor) -> torch.Tensor:
        out = (x_t.flatten(1).double() - self.mean_t) @ self.weights + self.mean_0
        return out.view_as(x_t).to(x_t.dtype)
