"""Samples as a classifier sees them: how sure it is, and how evenly the classes occur."""

from dataclasses import dataclass

import numpy as np

from kelvin.common.errors import KelvinError
from kelvin.metrics.checks import check_features


@dataclass(frozen=True, eq=False)
class ClassView:
    """confidence: mean largest probability. histogram: (K,) share of each predicted class.

    entropy: of the histogram in nats, 0 (one class only) to ln K (all alike). evenness: entropy
    over ln K, in [0, 1].
    """

    confidence: float
    histogram: np.ndarray
    entropy: float
    evenness: float


def class_view(probabilities: np.ndarray) -> ClassView:
    """The ClassView of class probabilities (n, K), K >= 2, rows summing to 1 within 1e-3."""
    p = check_features(probabilities, "class probabilities")
    if p.shape[1] < 2 or p.min() < 0 or np.abs(p.sum(1) - 1).max() > 1e-3:
        raise KelvinError(
            f"class probabilities of shape {p.shape} must be >= 0, sum to 1 over 2 or more classes."
        )
    histogram = np.bincount(p.argmax(1), minlength=p.shape[1]) / len(p)
    present = histogram[histogram > 0]
    entropy = abs(float(present @ np.log(present)))
    evenness = entropy / float(np.log(p.shape[1]))
    return ClassView(float(p.max(1).mean()), histogram, entropy, evenness)
