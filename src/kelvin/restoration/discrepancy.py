"""Maximum mean discrepancy between restored and true images of a batch, as a term of the loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def batch_mmd(x: torch.Tensor, y: torch.Tensor, multiples: Sequence[float]) -> torch.Tensor:
    """Unbiased squared MMD of x (m, ...) from y (n, ...), m and n >= 2; differentiable in x.

    Gretton et al. 2012, eq. 3 (U-statistic), mean over Gaussian kernels exp(-d^2 / (2 s^2)) whose
    s are multiples of the median distance within y. Unbiased: it may be negative.
    """
    x, y = x.flatten(1).float(), y.flatten(1).float()
    m, n = len(x), len(y)

    def squared(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        # not cdist: the gradient of its root is undefined at a distance of zero
        lengths = a.square().sum(1)[:, None] + b.square().sum(1)
        return (lengths - 2 * a @ b.T).clamp(min=0)

    xx, yy, xy = squared(x, x), squared(y, y), squared(x, y)
    apart = ~torch.eye(n, dtype=torch.bool, device=y.device)
    median = yy[apart].median().clamp(min=1e-12).detach()
    total = x.new_zeros(())
    for multiple in multiples:
        def kernel(d: torch.Tensor, scale: torch.Tensor = 2 * multiple**2 * median) -> torch.Tensor:
            return (-d / scale).exp()

        kxx, kyy = kernel(xx), kernel(yy)
        total = total + ((kxx.sum() - kxx.diagonal().sum()) / (m * (m - 1))
                         + (kyy.sum() - kyy.diagonal().sum()) / (n * (n - 1))
                         - 2 * kernel(xy).mean())
    return total / len(multiples)
