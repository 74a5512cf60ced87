"""The calibrating restorer: linear least squares from x_t to x0 (a Wiener filter without its model)."""

from __future__ import annotations

import torch

from kelvin.degradations import ImageSpec

FIT = 5000  # training images at most that the restorer learns from
WORK = 2e10  # their number squared times pixels, at most: MNIST has all 5,000, 32x32 in colour 2,551
JUDGED = 256  # of more pixels than twice as many, about so many judge a ridge
RIDGES = [10.0**k for k in range(-20, 4)]  # candidates, relative to the mean variance of a pixel
WORSE = 1.01  # the smallest ridge within this factor of the least error is chosen


def fit_count(pixels: int) -> int:
    """How many training images a restorer of so many pixels and channels learns from."""
    return min(FIT, int((WORK / pixels) ** 0.5))


class LinearRestorer:
    """x0_hat = (x_t - mean_t) W + mean_0, W by least squares on n training pairs at one t.

    Of the ridges that float64 can resolve, the smallest whose leave-one-out error on these pairs (in
    closed form) is within 1 % of the least: tiny where x_t determines x0, larger where rounding or noise
    would be amplified. Of images of 512 pixels and channels or more the error is that of every k-th,
    256 to 384 of them. image: x_t is first rounded to the 8 bits of its range, in fit and use; None:
    x_t as it is. `ridge`: the choice, relative to the mean variance of a pixel; `error`: its
    leave-one-out RMSE, in the model's range.
    """

    def __init__(self, x_t: torch.Tensor, x0: torch.Tensor, image: ImageSpec | None = None) -> None:
        self.image = image
        X, Y = self.rows(x_t), x0.flatten(1).double()
        self.mean_t, self.mean_0 = X.mean(0), Y.mean(0)
        X, Y = X - self.mean_t, Y - self.mean_0
        n, d = X.shape
        U, S, V = torch.linalg.svd(X, full_matrices=False)
        along = U.T @ Y
        scale = float(S.square().sum() / d) or 1.0
        least = float(torch.finfo(torch.float64).eps * max(n, d) * S[0]) ** 2  # below it S is rounding
        squared = S.square()
        step = max(1, Y.shape[1] // JUDGED)
        some, along_some = Y[:, ::step], along[:, ::step]
        ridges, scores = [ridge for ridge in RIDGES if ridge * scale >= least], []
        for ridge in ridges:
            shrinkage = squared / (squared + ridge * scale)
            free = 1 - 1 / n - U.square() @ shrinkage  # 1 - leverage of each pair
            residual = (some - U @ (shrinkage[:, None] * along_some)) / free[:, None]
            scores.append(torch.stack([free.min(), residual.square().mean().sqrt()]))
        # one transfer from the device for all ridges
        rows = torch.stack(scores).tolist() if scores else []
        errors = {ridge: error for ridge, (free, error) in zip(ridges, rows, strict=True) if free > 1e-8}
        if not errors:  # one pair, or all alike: the mean is all there is
            errors = {RIDGES[-1]: float("nan")}
        best = min(errors.values())
        self.ridge = next((r for r, error in errors.items() if error <= WORSE * best), RIDGES[-1])
        self.error = errors[self.ridge]
        self.weights = V.T @ ((S / (squared + self.ridge * scale))[:, None] * along)

    def rows(self, x_t: torch.Tensor) -> torch.Tensor:
        """(n, d) float64."""
        x_t = x_t.double()
        return (x_t if self.image is None else self.image.rounded(x_t)).flatten(1)

    def __call__(self, x_t: torch.Tensor) -> torch.Tensor:
        out = (self.rows(x_t) - self.mean_t) @ self.weights + self.mean_0
        return out.view_as(x_t).to(x_t.dtype)
