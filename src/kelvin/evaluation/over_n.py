"""How a Frechet distance depends on what should not matter: number of images, layer, pixel range.

Two of the five studies published distances of 32 and of 128 images. Here the same images are scored
at many n, by study A's and by study D's own rule, and with the two slips that could explain how
study D read values "below 1": shallow features, and pixels divided by 255 once too often.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kelvin.common.errors import KelvinError
from kelvin.features.classifier import Judge
from kelvin.metrics.fd_infinity import fd_infinity
from kelvin.metrics.frechet import frechet_from_features
from kelvin.metrics.moments import Moments, moments

Rows = list[dict[str, Any]]
SIZES = (32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
STUDY_D = 128  # study D: FID of 128 samples against 128 training images
TWICE = 255.0  # divisor of a pixel in [0, 1] that is taken for a byte


def subsets(count: int, n: int, draws: int, rng: np.random.Generator) -> list[np.ndarray]:
    """`draws` seeded choices of n of `count` rows, each without replacement; one where n = count."""
    return [rng.choice(count, n, replace=False) for _ in range(draws if n < count else 1)]


def summary(values: list[float], **about: Any) -> dict[str, Any]:
    """Mean and standard deviation over draws; overlapping draws of few images vary too little."""
    return {**about, "fmd": float(np.mean(values)), "draws": len(values),
            "fmd_sd": float(np.std(values, ddof=1)) if len(values) > 1 else None}


def over_n(features: np.ndarray, reference: Moments, draws: int, seed: int) -> Rows:
    """The distance of n of these features (N, d) to one reference, for n = 32, 64, ... and N."""
    rng, count = np.random.default_rng(seed), len(features)
    sizes = [*(n for n in SIZES if n < count), count]
    return [summary([frechet_from_features(features[rows], reference)
                     for rows in subsets(count, n, draws, rng)], n=n, against=reference.n)
            for n in sizes]


def against_few(features: np.ndarray, others: np.ndarray, n: int, against: int, draws: int, seed: int
                ) -> dict[str, Any]:
    """n of the features (N, d) against as few as `against` of the others (M, d), both drawn anew.

    Study D's rule is n = against = 128. Where there are fewer rows, all are used, as the record says.
    """
    rng = np.random.default_rng(seed)
    n, against = min(n, len(features)), min(against, len(others))
    whole = n == len(features) and against == len(others)
    values = [frechet_from_features(features[rng.choice(len(features), n, replace=False)],
                                    others[rng.choice(len(others), against, replace=False)])
              for _ in range(1 if whole else draws)]
    return summary(values, n=n, against=against)


def against_head(features: np.ndarray, test_features: np.ndarray, n: int, head: int, draws: int,
                 seed: int) -> dict[str, Any]:
    """Study A's rule: n of the features against the first `head` test images."""
    rng, reference = np.random.default_rng(seed), moments(test_features[:head])
    return summary([frechet_from_features(features[rows], reference)
                    for rows in subsets(len(features), min(n, len(features)), draws, rng)],
                   n=min(n, len(features)), against=head)


def at_infinity(features: np.ndarray, reference: Moments, seed: int, level: float) -> dict[str, Any]:
    """FD-infinity with its interval (Chong and Forsyth 2020); None with too few images, and `why`.

    None too where the whole interval lies below 0, since a distance cannot be negative: the rows were no
    independent draws, as in a test set stratified by class, whose subsets vary more than it does.
    """
    try:
        fit = fd_infinity(features, reference, seed=seed, level=level)
    except KelvinError as error:
        return {"fmd": None, "low": None, "high": None, "why": str(error)}
    if fit.high < 0:
        return {"fmd": None, "low": None, "high": None,
                "why": f"the line in 1/n ends at {fit.value:.2g}, which no distance is, as where the "
                       "images are no independent draws (a test set stratified by class)"}
    return {"fmd": fit.value, "low": fit.low, "high": fit.high, "why": None}


def shallow(judge: Judge) -> Callable[[np.ndarray], np.ndarray]:
    """Images (n, C, H, W), uint8 or [0, 1] -> the first block's channels, averaged over the image.

    As torchmetrics' 64 features of Inception: its first block, pooled, which responds to strokes and
    brightness but not to shapes.
    """
    import torch

    @torch.no_grad()
    def features(images: np.ndarray) -> np.ndarray:
        block, out = judge.network.body[:3], []  # convolution, batch norm, GELU
        for first in range(0, len(images), 256):
            part = torch.from_numpy(np.ascontiguousarray(images[first:first + 256]))
            part = part.float() / 255 if part.dtype == torch.uint8 else part.float()
            out.append(block(2 * part - 1).mean((2, 3)).numpy())
        return np.concatenate(out)

    return features


def curves(features: np.ndarray, reference: Moments, train_features: np.ndarray,
           test_features: np.ndarray, small: tuple[int, int], draws: int, seed: int) -> dict[str, Any]:
    """`over_n`, and the same features by study A's rule (small: images, head) and by study D's."""
    return {"over_n": over_n(features, reference, draws, seed),
            "study_a": against_head(features, test_features, *small, draws, seed),
            "study_d": against_few(features, train_features, STUDY_D, STUDY_D, draws, seed)}


def slips(judge: Judge, images: np.ndarray, train: np.ndarray, test: np.ndarray, draws: int, seed: int
          ) -> Rows:
    """Study D's distance and each suspect alone and together: few images, shallow features, a range.

    images, train, test uint8 (., C, H, W). `fmd` of the images and `real` of held-out images, both
    against training images, so that each row carries its own floor.
    """
    n = min(len(images), len(test))
    out = []
    for depth, features in (("deep", lambda x: judge(x)[0]), ("shallow", shallow(judge))):
        for scale, divide in (("right", 1.0), ("divided by 255 twice", TWICE)):
            by_set = [features((x / TWICE / divide).astype(np.float32)) for x in (images, train, test)]
            for rule, few, against in (("all", n, len(train)), ("study D", STUDY_D, STUDY_D)):
                fmd, real = (against_few(x, by_set[1], few, against, draws, seed)
                             for x in (by_set[0], by_set[2]))
                out.append({"features": depth, "dimensions": by_set[0].shape[1], "range": scale,
                            "rule": rule, "n": fmd["n"], "against": fmd["against"],
                            "fmd": fmd["fmd"], "real": real["fmd"], "draws": fmd["draws"]})
    return out
