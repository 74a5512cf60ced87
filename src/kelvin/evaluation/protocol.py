"""The real data that every set of samples is compared with, and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from kelvin.common.errors import KelvinError
from kelvin.config.schema import MetricsConfig
from kelvin.datasets.splitting.held_out import apart
from kelvin.evaluation import over_n
from kelvin.features.classifier import Judge
from kelvin.features.reference import OTHER, Reference
from kelvin.metrics.fmd import Scale, Score, make_scale, small_scale
from kelvin.metrics.frechet import frechet_from_features
from kelvin.metrics.measures import MEASURES
from kelvin.metrics.mmd import NO_SCALE
from kelvin.metrics.moments import Moments, moments
from kelvin.metrics.nearest import Neighbours
from kelvin.metrics.samples import Samples

if TYPE_CHECKING:
    from kelvin.datasets.store import PreparedStore

JUDGE = "classifier"
# further Frechet distances: {extractor: record key}; measures with an interval are KID
DISTANCES = {m.extractor: m.key for m in MEASURES.within("agreement") if m.extractor and not m.spread}


def reasons(record: Mapping[str, Any], why: Mapping[str, str | None]) -> dict[str, str | None]:
    """{<key>_why: why it is null} of the measures that are null in the record."""
    return {f"{key}_why": text for key, text in why.items() if record[key] is None}


@dataclass(frozen=True)
class Protocol:
    """Real data by every extractor, the training images (to find copies), and held-out images."""

    config: MetricsConfig
    judge: Judge
    references: dict[str, Reference]
    train_images: np.ndarray  # uint8
    heldout_images: np.ndarray
    fid_why: str | None
    n: int  # samples of a run
    validation_images: np.ndarray | None = None  # settings are chosen by these
    effnet_why: str | None = None

    @classmethod
    def of(cls, config: MetricsConfig, judge: Judge, references: dict[str, Reference],
           store: PreparedStore, fid_why: str | None, n: int, effnet_why: str | None = None
           ) -> Protocol:
        return cls(config, judge, references, store.split("train").images,
                   store.split("test").first(config.limit).images, fid_why, n,
                   store.split("validation").first(config.limit).images, effnet_why)

    @cached_property
    def apart(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the held-out images: n that calibrate in the place of samples, and the rest, with which
        all samples are compared. Disjoint: a real image would match itself."""
        return apart(len(self.heldout_images), self.n, self.config.seed)

    @cached_property
    def rest(self) -> np.ndarray:
        """Features of the held-out images that samples are compared with."""
        return self.reference.heldout[self.apart[1]]

    @cached_property
    def rest_images(self) -> np.ndarray:
        return self.heldout_images[self.apart[1]]

    @cached_property
    def neighbours(self) -> Neighbours:
        return Neighbours(self.train_images, self.heldout_images)

    @property
    def reference(self) -> Reference:
        """The real data in the classifier's features."""
        return self.references[JUDGE]

    def scale(self, n: int, extractor: str = JUDGE, key: str = "metrics.images") -> Scale:
        """Floor and ceiling for n samples; `key` of params.yaml sets n. KelvinError unless there are more
        than n test images."""
        r = self.references[extractor]
        if n >= len(r.heldout):
            raise KelvinError(f"{n} samples are to be scored, but the floor is drawn from "
                              f"{len(r.heldout)} test images; lower {key}")
        return make_scale(r.projected_moments, r.project(r.heldout), n, self.config.floor_draws,
                          self.config.seed, r.project(r.black))

    def small(self) -> Scale:
        """Study A's own scale: a few samples against the head of the test set."""
        small = self.config.small
        return small_scale(self.reference.heldout, small.reference, small.images, small.draws,
                           self.config.seed, self.reference.black)

    def samples(self, images: np.ndarray, scale: Scale) -> Samples:
        """Samples (n, C, H, W) uint8 with the real data to compare them with."""
        features, probabilities = self.judge(images)
        others = {name: r for name, r in self.references.items()
                  if name != JUDGE and not name.startswith(OTHER)}
        further = cache(lambda name: others[name].extractor(images))
        return Samples(images, features, probabilities, scale, self.reference.subset, self.rest,
                       self.rest_images, self.neighbours, self.config,
                       {name: cache(partial(self.distance, further, name)) for name in others},
                       lambda name: (further(name), others[name].subset))

    def distance(self, features: Callable[[str], np.ndarray], extractor: str) -> Score:
        """The Frechet distance of samples by their features in another extractor."""
        x, r = features(extractor), self.references[extractor]
        name = len(x), extractor
        if name not in self.scales:
            self.scales[name] = self.scale(*name)
        return self.scales[name].score(r.project(x))

    @cached_property
    def scales(self) -> dict[tuple[int, str], Scale]:
        """Scales of other extractors, made when first needed: the floor of each is drawn once."""
        return {}

    def score(self, samples: Samples) -> tuple[dict[str, Any], dict[str, Any]]:
        """The measures of any sampler's samples, and details for figures."""
        by_seed = [samples.frechet.value, *(
            frechet_from_features(r.extractor(samples.images), r.moments)
            for name, r in self.references.items() if name.startswith(OTHER))]
        record = {"n": len(samples.images), **MEASURES.of(samples, every=True),
                  "fmd_by_classifier": by_seed, "fmd_median": float(np.median(by_seed)),
                  "fmd_validation": self.against_validation(samples.features)}
        record |= reasons(record, {"fmd_debiased": samples.interval.why,
                                   "fmd_validation": self.validation_why})
        memory = samples.memory
        order = np.argsort(memory.distance, kind="stable")[:8]
        return record, {"histogram": samples.classes.histogram.tolist(),
                        "nearest_sample": order.tolist(),
                        "nearest_training": memory.index[order].tolist()}

    def against_validation(self, features: np.ndarray) -> float | None:
        """FMD against the validation images alone, by which settings are chosen; None without any."""
        return None if self.validation is None else frechet_from_features(features, self.validation)

    @cached_property
    def validation(self) -> Moments | None:
        images = self.validation_images
        return None if images is None or self.validation_why else moments(self.judge(images)[0])

    @property
    def validation_why(self) -> str | None:
        """Why there is no distance to the validation images; None where there is one."""
        found = 0 if self.validation_images is None else len(self.validation_images)
        return None if found > 1 else \
            f"a distance needs at least 2 validation images, and there are {found}"

    def more(self, samples: Samples) -> dict[str, Any]:
        """Measures of a run's first sampler only; null, with the reason, where weights are missing."""
        record = {"fid": None, "kid_effnet": None, "fd_effnet": None,
                  **MEASURES.of(samples, every=False),
                  "fid_why": self.fid_why, "effnet_why": self.effnet_why}
        return record | reasons(record, {"mmd": NO_SCALE})

    @cached_property
    def train_features(self) -> np.ndarray:
        """Features of the first metrics.kept training images."""
        return self.judge(self.train_images[:self.config.kept])[0]

    def bias(self, images: np.ndarray) -> dict[str, Any]:
        """FMD of these images over n, by study A's and study D's own rules; `others`: further distances
        over n, {record key: rows}."""
        small, draws, seed = self.config.small, self.config.floor_draws, self.config.seed
        features, moments = self.judge(images)[0], self.reference.moments
        record = over_n.curves(features, moments, self.train_features, self.reference.heldout,
                               (small.images, small.reference), draws, seed)
        record["fd_infinity"] = over_n.at_infinity(features, moments, seed, self.config.confidence)
        others = {key: self.references[name] for name, key in DISTANCES.items()
                  if name in self.references}
        return record | {"others": {
            key: over_n.over_n(r.project(r.extractor(images)), r.projected_moments, draws, seed)
            for key, r in others.items()}}

    def slips(self, images: np.ndarray) -> over_n.Rows:
        """Study D's distance with shallow features and a wrong pixel range."""
        return over_n.slips(self.judge, images, self.train_images[:self.config.kept],
                            self.heldout_images, self.config.floor_draws, self.config.seed)
