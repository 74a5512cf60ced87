"""Frechet distance between Gaussians fitted to features, without ever taking a matrix root.

d^2 = |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2)

(Dowson and Landau 1982; Heusel et al. 2017.)
With S2 = F F^T the last trace is the sum of the square roots of the eigenvalues of the symmetric
F^T S1 F, or the nuclear norm of A F where A^T A = S1: real by construction.
"""

from typing import Any

import numpy as np
import scipy.linalg

from kelvin.common.errors import KelvinError
from kelvin.metrics.checks import check_features
from kelvin.metrics.moments import Moments, moments


def trace_sqrt(matrices: np.ndarray) -> Any:
    """Trace of the square root of symmetric positive semidefinite matrices (..., r, r)."""
    return _sum_of_roots(np.linalg.eigvalsh(matrices))


def _sum_of_roots(values: np.ndarray) -> Any:
    """Sum over the last axis of the roots of ascending eigenvalues, rounding errors left out."""
    if values.shape[-1] == 0:
        return np.zeros(values.shape[:-1])
    # An exact zero comes back as rounding error, whose square root is a thousand times larger.
    noise = values.shape[-1] * np.finfo(np.float64).eps * values[..., -1:]
    return np.sqrt(np.where(values > noise, values, 0.0)).sum(-1)


def frechet_distance(a: Moments, b: Moments) -> float:
    """Squared Frechet distance between two Moments; a float >= 0 in squared feature units.

    Equal to pytorch-fid's to 1e-8 relative at full rank. Where b is singular its factor is computed
    once and kept: give the reference as b.
    """
    if a.dim != b.dim:
        raise KelvinError(f"moments of {a.dim} and of {b.dim} features cannot be compared.")
    cross = _cross(a, b)
    return _distance(a.mean - b.mean, np.trace(a.cov) + np.trace(b.cov), cross)


def frechet_from_features(features: np.ndarray, reference: np.ndarray | Moments) -> float:
    """Squared Frechet distance of features (n, d) to other features (m, d) or to Moments.

    With n <= d the covariance of the features is singular; their centred matrix then stands in for
    its root, and the trace is the nuclear norm |X1c X2c^T|_* / sqrt((n-1)(m-1)): the same value,
    cheaper and without square roots of rounding errors. A few rows bias the value upward: never
    compare it across n.
    """
    y: np.ndarray | Moments = reference
    if not isinstance(y, Moments):
        y = check_features(y, "reference features", minimum=2)
        y = y if len(y) <= y.shape[1] else moments(y)
    dim = y.dim if isinstance(y, Moments) else y.shape[1]
    x: np.ndarray | Moments = check_features(features, "features", 2, dim)
    x = x if len(x) <= dim else moments(x)
    if isinstance(x, Moments) and isinstance(y, Moments):
        return frechet_distance(x, y)
    (mean_x, trace_x, root_x), (mean_y, trace_y, root_y) = _root(x), _root(y)
    product = root_x @ root_y.T
    cross = np.linalg.svd(product, compute_uv=False).sum() if product.size else 0.0
    return _distance(mean_x - mean_y, trace_x + trace_y, cross)


def _cross(a: Moments, b: Moments) -> float:
    """tr (S1 S2)^(1/2). At full rank by Cholesky, a tenth of the work of b's eigenvectors."""
    # Transposed, a symmetric matrix lies in memory as LAPACK wants it: nothing is copied in between.
    factor, failed = scipy.linalg.lapack.dpotrf(b.cov.T, lower=1)
    if failed:  # b is singular
        return trace_sqrt(b.factor.T @ a.cov @ b.factor)
    product, _ = scipy.linalg.lapack.dsygst(a.cov.T, factor, itype=2, lower=1)  # L^T S1 L, half of it
    return _sum_of_roots(scipy.linalg.eigvalsh(product, overwrite_a=True, driver="evd"))


def _root(z: np.ndarray | Moments) -> tuple[np.ndarray, float, np.ndarray]:
    """Mean, trace of the covariance, and A with A^T A = covariance, of Moments or a few rows."""
    if isinstance(z, Moments):
        return z.mean, np.trace(z.cov), z.factor.T
    mean = z.mean(0)
    a = (z - mean) / np.sqrt(len(z) - 1)
    return mean, np.sum(a**2), a


def _distance(gap: np.ndarray, traces: float, cross: float) -> float:
    return max(float(gap @ gap + traces - 2 * cross), 0.0)
