"""Are samples of the requested class? By a classifier, with Wilson's interval."""

import numpy as np
from scipy.special import ndtri

from kelvin.common.errors import KelvinError


def wilson_interval(hits: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval (1927) of a proportion, hits of n: within [0, 1], also at 0 and n."""
    if n < 1 or not 0 <= hits <= n or not 0 < level < 1:
        raise KelvinError(f"a proportion needs 0 <= hits <= n, n >= 1 and a level in (0, 1): {hits} of "
                          f"{n}, {level}")
    z, p = float(ndtri((1 + level) / 2)), hits / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * float(np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)))
    # at 0 and n the bound is exact, and rounding must not miss it
    return (0.0 if hits == 0 else centre - reach, 1.0 if hits == n else centre + reach)


def asked_accuracy(probabilities: np.ndarray, labels: np.ndarray, level: float = 0.95) -> dict[str,
                   float]:
    """Share of images whose most probable class, of probabilities (n, K), is the requested label (n,).

    {asked_accuracy, asked_accuracy_low, asked_accuracy_high}. The classifier's own accuracy on real
    test images is the yardstick: above it samples are easier to classify than real images.
    """
    probabilities, labels = np.asarray(probabilities), np.asarray(labels)
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1]:
        raise KelvinError(f"class probabilities of shape {probabilities.shape} and labels of shape "
                          f"{labels.shape}: one label for each row is needed")
    hits = int((probabilities.argmax(1) == labels).sum())
    low, high = wilson_interval(hits, len(labels), level)
    return {"asked_accuracy": hits / len(labels), "asked_accuracy_low": low,
            "asked_accuracy_high": high}
