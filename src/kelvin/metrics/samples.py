"""Generated images beside real ones: the argument of every measure of a distribution."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from kelvin.metrics.authenticity import Authenticity, authenticity
from kelvin.metrics.classes import ClassView, class_view
from kelvin.metrics.fmd import Scale, Score
from kelvin.metrics.intervals import FrechetInterval, frechet_interval
from kelvin.metrics.kid import KID, kid
from kelvin.metrics.manifold import DensityCoverage, Manifold, density_coverage, precision_recall
from kelvin.metrics.mmd import MMD, NoScale, mmd
from kelvin.metrics.nearest import Memorisation, Near, Neighbours, memorisation


class Options(Protocol):
    """Options of measures: the section `metrics` of params.yaml, with `kid` and `mmd` within it."""

    seed: int
    confidence: float
    groups: int
    neighbours: int
    copy_quantile: float
    copy_fraction: float
    kid: Any
    mmd: Any


@dataclass(frozen=True, eq=False)
class Samples:
    """n samples and the real images that they are compared with. What several measures share is computed
    once, when first needed.

    images (n, C, H, W) uint8; features (n, d) and probabilities (n, K): the classifier's. scale: of FMD
    at this n. reference (k, d): features of reference images. rest (m, d) and rest_images (m, C, H, W):
    held-out images, without those that calibrate. neighbours: training and held-out images.
    others: {extractor: the score of the samples in its features}, where the protocol has it. features_in:
    extractor -> features of the samples (n, d) and of reference images (k, d).
    """

    images: np.ndarray
    features: np.ndarray
    probabilities: np.ndarray
    scale: Scale
    reference: np.ndarray
    rest: np.ndarray
    rest_images: np.ndarray
    neighbours: Neighbours
    options: Options
    others: Mapping[str, Callable[[], Score]]
    features_in: Callable[[str], tuple[np.ndarray, np.ndarray]]

    @cached_property
    def frechet(self) -> Score:
        return self.scale.score(self.features)

    @cached_property
    def interval(self) -> FrechetInterval:
        o = self.options
        return frechet_interval(self.features, self.scale.reference, o.groups, o.seed, o.confidence)

    def normalised(self, value: float) -> float:
        """A Frechet distance on the scale: 0 held-out images, 1 black ones."""
        return (value - self.scale.band.mean) / (self.scale.ceiling - self.scale.band.mean)

    @cached_property
    def classes(self) -> ClassView:
        return class_view(self.probabilities)

    @cached_property
    def near(self) -> Near:
        return self.neighbours.of(self.images)

    @cached_property
    def memory(self) -> Memorisation:
        return memorisation(self.near, self.neighbours, self.options.copy_quantile,
                            self.options.copy_fraction)

    @cached_property
    def manifold(self) -> Manifold:
        return precision_recall(self.rest, self.features, self.options.neighbours)

    @cached_property
    def spread(self) -> DensityCoverage:
        return density_coverage(self.rest, self.features, self.options.neighbours)

    @cached_property
    def copies(self) -> Authenticity:
        return authenticity(self.near, self.neighbours)

    @cached_property
    def kid(self) -> KID:
        return self.kernel_distance(self.features, self.reference)

    def kid_in(self, extractor: str) -> KID:
        """KID in all features of another extractor."""
        return self.kernel_distance(*self.features_in(extractor))

    def kernel_distance(self, x: np.ndarray, y: np.ndarray) -> KID:
        o = self.options.kid
        return kid(x, y, o.degree, o.gamma, o.coef0, min(o.subset, len(x), len(y)), o.subsets,
                   self.options.seed, self.options.confidence)

    @cached_property
    def mmd(self) -> MMD | None:
        """None where most images are equal, as black ones with few held-out images beside them: there is
        no median distance then."""
        o, seed = self.options.mmd, self.options.seed
        order = np.random.default_rng(seed).permutation(len(self.rest))
        try:
            return mmd(self.features[:o.rows], self.rest[order[:o.rows]], o.multiples, o.permutations,
                       seed)
        except NoScale:
            return None
