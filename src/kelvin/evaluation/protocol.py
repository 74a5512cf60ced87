"""What every set of samples is held against, and the one way of doing it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from kelvin.common.errors import KelvinError
from kelvin.config.schema import MetricsConfig
from kelvin.datasets.splitting.held_out import apart
from kelvin.evaluation import over_n
from kelvin.features.classifier import Judge
from kelvin.features.reference import OTHER, Reference
from kelvin.metrics.authenticity import authenticity
from kelvin.metrics.classes import class_view
from kelvin.metrics.fmd import Scale, make_scale, small_scale
from kelvin.metrics.frechet import frechet_from_features
from kelvin.metrics.intervals import frechet_interval
from kelvin.metrics.kid import kid
from kelvin.metrics.manifold import density_coverage, precision_recall
from kelvin.metrics.mmd import NoScale, mmd
from kelvin.metrics.moments import Moments, moments
from kelvin.metrics.nearest import memorisation

if TYPE_CHECKING:
    from kelvin.datasets.store import PreparedStore

JUDGE = "classifier"
# further Frechet distances: what an extractor's is called in a record
DISTANCES = {"pixels": "fd_pixels", "random": "fd_random", "inception": "fid"}


@dataclass(frozen=True)
class Protocol:
    """Real data by every extractor, training images that a copier would have copied, held-out ones."""

    config: MetricsConfig
    judge: Judge
    references: dict[str, Reference]
    train_images: np.ndarray  # uint8
    heldout_images: np.ndarray
    fid_why: str | None
    n: int  # samples of a run
    validation_images: np.ndarray | None = None  # what settings are chosen by

    @classmethod
    def of(cls, config: MetricsConfig, judge: Judge, references: dict[str, Reference],
           store: PreparedStore, fid_why: str | None, n: int) -> Protocol:
        return cls(config, judge, references, store.split("train").images,
                   store.split("test").first(config.limit).images, fid_why, n,
                   store.split("validation").first(config.limit).images)

    @cached_property
    def apart(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the held-out images: n that calibrate as if they were samples, and the rest, with which
        samples of any kind are compared: real images must not find themselves there."""
        return apart(len(self.heldout_images), self.n, self.config.seed)

    @cached_property
    def rest(self) -> np.ndarray:
        """Features of the held-out images that samples are compared with."""
        return self.reference.heldout[self.apart[1]]

    @property
    def reference(self) -> Reference:
        """The real data in the classifier's features."""
        return self.references[JUDGE]

    def scale(self, n: int, extractor: str = JUDGE) -> Scale:
        """Floor and ceiling for n samples; n of the test images must leave one another free."""
        r = self.references[extractor]
        if n >= len(r.heldout):
            raise KelvinError(f"{n} samples are to be scored, but the floor is drawn from "
                              f"{len(r.heldout)} test images; lower metrics.images or "
                              "sampling.epoch_images")
        return make_scale(r.moments, r.heldout, n, self.config.floor_draws, self.config.seed, r.black)

    def small(self) -> Scale:
        """Study A's own scale: a few samples against the head of the test set."""
        small = self.config.small
        return small_scale(self.reference.heldout, small.reference, small.images, small.draws,
                           self.config.seed, self.reference.black)

    def score(self, images: np.ndarray, scale: Scale) -> tuple[dict[str, Any], dict[str, Any]]:
        """Flat measures of samples (n, C, H, W) uint8, and details for figures."""
        config = self.config
        features, probabilities = self.judge(images)
        found = scale.score(features)
        by_seed = [found.value, *(frechet_from_features(r.extractor(images), r.moments)
                                  for name, r in self.references.items() if name.startswith(OTHER))]
        interval = frechet_interval(features, scale.reference, config.groups, config.seed,
                                    config.confidence)
        span = scale.ceiling - scale.band.mean
        normal = [(v - scale.band.mean) / span for v in (interval.low_at_n, interval.high_at_n)]
        view = class_view(probabilities)
        memory = memorisation(images, self.train_images, self.heldout_images,
                              config.copy_quantile, config.copy_fraction)
        manifold = precision_recall(self.rest, features, config.neighbours)
        record = {
            "n": len(images), "fmd": found.value,
            "fmd_by_classifier": by_seed, "fmd_median": float(np.median(by_seed)),
            "fmd_validation": self.against_validation(features),
            "fmd_low": interval.low_at_n, "fmd_high": interval.high_at_n,
            "fmd_debiased": interval.debiased, "fmd_debiased_low": interval.low,
            "fmd_debiased_high": interval.high,
            "fmd_normalised": found.normalised, "fmd_normalised_low": normal[0],
            "fmd_normalised_high": normal[1], "below_floor": found.below_floor,
            "nearest_ratio": memory.ratio, "copy_fraction": memory.copy_fraction,
            "copier": memory.copier,
            "precision": manifold.precision, "recall": manifold.recall,
            "class_entropy": view.entropy, "class_evenness": view.evenness,
            "confidence": view.confidence}
        order = np.argsort(memory.distance, kind="stable")[:8]
        return record, {"histogram": view.histogram.tolist(), "nearest_sample": order.tolist(),
                        "nearest_training": memory.index[order].tolist()}

    def against_validation(self, features: np.ndarray) -> float | None:
        """FMD against the validation images alone, by which settings are chosen; None where they are too
        few for a covariance."""
        return None if self.validation is None else frechet_from_features(features, self.validation)

    @cached_property
    def validation(self) -> Moments | None:
        images = self.validation_images
        return None if images is None or len(images) < 2 else moments(self.judge(images)[0])

    def more(self, images: np.ndarray) -> dict[str, Any]:
        """What is measured of a run's first sampler only: distances, kernels, manifold, copies."""
        config, reference = self.config, self.reference
        features, _ = self.judge(images)
        subset = min(config.kid.subset, len(features), len(reference.kept))
        k = kid(features, reference.kept, config.kid.degree, config.kid.gamma, config.kid.coef0,
                subset, config.kid.subsets, config.seed, config.confidence)
        spread = density_coverage(self.rest, features, config.neighbours)
        copies = authenticity(images, self.train_images, self.heldout_images)
        out: dict[str, Any] = {
            "kid": k.value, "kid_low": k.low, "kid_high": k.high,
            **self.discrepancy(features),
            "density": spread.density, "coverage": spread.coverage,
            "authentic": copies.auth_pct, "authentic_heldout": copies.heldout_auth_pct,
            "c_t": copies.c_t, "c_t_within": copies.c_t_within,
            "copies_equivalent": copies.share, "fid": None, "fid_why": self.fid_why}
        return out | self.distances(images)

    def distances(self, images: np.ndarray) -> dict[str, float]:
        """Frechet distances in the features of further extractors."""
        out = {}
        for extractor, key in DISTANCES.items():
            if extractor in self.references:
                name = len(images), extractor
                if name not in self.scales:
                    self.scales[name] = self.scale(*name)
                found = self.scales[name].score(self.references[extractor].extractor(images))
                out |= {key: found.value, f"{key}_normalised": found.normalised}
        return out

    @cached_property
    def scales(self) -> dict[tuple[int, str], Scale]:
        """Those that were asked for: the floor of each is drawn once."""
        return {}

    def discrepancy(self, features: np.ndarray) -> dict[str, float | None]:
        """MMD against held-out images with a permutation p-value; null where most images are equal, as
        black ones with few held-out images beside them: there is no median distance then."""
        config = self.config.mmd
        rows = np.random.default_rng(self.config.seed).permutation(len(self.rest))
        try:
            found = mmd(features[:config.rows], self.rest[rows[:config.rows]],
                        config.multiples, config.permutations, self.config.seed)
        except NoScale:
            return {"mmd": None, "mmd_p": None}
        return {"mmd": found.value, "mmd_p": found.p}

    @cached_property
    def train_features(self) -> np.ndarray:
        """Of as many training images as statistics keep."""
        return self.judge(self.train_images[:self.config.kept])[0]

    def bias(self, images: np.ndarray) -> dict[str, Any]:
        """FMD of these images over n, by study A's and study D's own rules; `others`: further distances
        over n, {record key: rows}."""
        small, draws, seed = self.config.small, self.config.floor_draws, self.config.seed
        features, moments = self.judge(images)[0], self.reference.moments
        found = over_n.curves(features, moments, self.train_features, self.reference.heldout,
                              (small.images, small.reference), draws, seed)
        found["fd_infinity"] = over_n.at_infinity(features, moments, seed, self.config.confidence)
        others = {key: self.references[name] for name, key in DISTANCES.items()
                  if name in self.references}
        return found | {"others": {key: over_n.over_n(r.extractor(images), r.moments, draws, seed)
                                   for key, r in others.items()}}

    def slips(self, images: np.ndarray) -> over_n.Rows:
        """What shallow features and a wrong pixel range make of study D's distance."""
        return over_n.slips(self.judge, images, self.train_images[:self.config.kept],
                            self.heldout_images, self.config.floor_draws, self.config.seed)
