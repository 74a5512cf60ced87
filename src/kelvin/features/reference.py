"""Statistics of the real data, with which samples are compared; one file for each extractor.

They depend on the data, the extractor and how many images are taken, and on nothing else: each file
carries a key made of these, and is refused under any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kelvin.artifacts.features import About, ReferenceFolder, Statistics
from kelvin.common.errors import KelvinError
from kelvin.config.digest import fingerprint
from kelvin.config.schema import ReferenceConfig
from kelvin.features.classifier import Judge
from kelvin.features.extractor import Extractor, Missing
from kelvin.features.imagenet import NAME as IMAGENET
from kelvin.features.imagenet import imagenet_extractor
from kelvin.features.inception import fid_extractor
from kelvin.features.plain import fit_projection, pixel_extractor, random_extractor
from kelvin.metrics.moments import Moments, stream_moments
from kelvin.metrics.principal import Principal, principal

if TYPE_CHECKING:
    from kelvin.datasets.store import PreparedStore

REFERENCE = "train+validation"  # the parts that samples are compared with: all but the test set
OTHER = "classifier-"  # before the number of a classifier of another seed
FITTED = 20_000  # reference images at most that the principal components are fitted to


@dataclass(frozen=True)
class Reference:
    """The real data in the features of one extractor.

    moments: of all reference images (training and validation part). subset (k, d): features of a seeded
    choice of them, for measures that need the features themselves. heldout (m, d): of the test images,
    in order. black (1, d): of one black image.
    """

    extractor: Extractor
    moments: Moments
    subset: np.ndarray
    heldout: np.ndarray
    black: np.ndarray

    @cached_property
    def principal(self) -> Principal | None:
        """Principal components for Frechet distances; None: they use the features themselves."""
        count = self.extractor.components
        return None if count is None else principal(self.moments, count)

    def project(self, features: np.ndarray) -> np.ndarray:
        """Features (n, d) -> (n, k), as Frechet distances use them."""
        return features if self.principal is None else self.principal(features)

    @cached_property
    def projected_moments(self) -> Moments:
        """`moments` as Frechet distances use them."""
        return self.moments if self.principal is None else self.principal.moments(self.moments)


def extractors(config: ReferenceConfig, judge: Judge, shape: tuple[int, int, int], data_root: str | None,
               projection: Mapping[str, np.ndarray], count: int,
               log: Callable[..., None] = lambda *_: None) -> tuple[dict[str, Extractor], Missing]:
    """{name: Extractor}, the classifier first, and why others are missing.

    count: of the reference images. KelvinError where metrics.extractors lists a missing `imagenet`.
    """
    by_name = {"classifier": Extractor("classifier", judge.record["features"], "pixels to [-1, 1]",
                                       judge.record["hash"], lambda images: judge(images)[0])}
    for k, other in enumerate(judge.others, 1):
        by_name[f"{OTHER}{k}"] = Extractor(
            f"{OTHER}{k}", other.record["features"], "pixels to [-1, 1]", other.record["hash"],
            lambda images, other=other: other(images)[0])
    if "pixels" in config.extractors:
        by_name["pixels"] = pixel_extractor(shape, **projection)
    if "random" in config.extractors:
        by_name["random"] = random_extractor(shape, config.random_dim, config.seed)
    effnet, effnet_why = imagenet_extractor(shape, count)
    if effnet is not None:
        by_name[IMAGENET] = effnet
    elif IMAGENET in config.extractors:
        raise KelvinError(f"metrics.extractors names {IMAGENET}: {effnet_why}")
    inception, why = fid_extractor(data_root, config.fid_resize, download=config.fid_download)
    if inception is not None:
        log("FID: %s, %s", inception.name, inception.preprocessing)
        by_name["inception"] = inception
    again = " Then run dvc repro -f reference."
    return by_name, Missing(why and why + again, effnet_why)


def key(extractor: Extractor, config: ReferenceConfig, store: PreparedStore) -> str:
    """Fingerprint of statistics: data, extractor, preprocessing, and which images were used."""
    return fingerprint(store.digest, extractor.hash, extractor.preprocessing, extractor.dim,
                       REFERENCE, config.limit, config.kept, config.seed)


def measure(extractor: Extractor, config: ReferenceConfig, store: PreparedStore) -> Reference:
    """The statistics of a data set, in batches: memory does not grow with the number of images."""
    real, test = (part.first(config.limit).images for part in (store.reference(), store.split("test")))
    chosen = np.random.default_rng(config.seed).permutation(len(real))[:config.kept]
    wanted, subset, start = np.zeros(len(real), bool), [], 0
    wanted[chosen] = True

    def batches() -> Iterator[np.ndarray]:
        nonlocal start
        for features in extractor.batches(real):
            subset.append(features[wanted[start:start + len(features)]].astype(np.float32))
            start += len(features)
            yield features

    moments = stream_moments(batches())
    heldout = np.concatenate([f.astype(np.float32) for f in extractor.batches(test)])
    black = extractor(np.zeros((1, *test.shape[1:]), np.uint8))
    return Reference(extractor, moments, np.concatenate(subset), heldout, black)


def build(folder: Path, config: ReferenceConfig, store: PreparedStore, judge: Judge,
          data_root: str | None, log: Callable[..., None]) -> About:
    """Measure and write every extractor's statistics and about.json, which is returned."""
    real, shape = store.reference().first(config.limit), store.images.shape[1:]
    projection = fit_projection(real.first(FITTED).images, config.pixel_dim)
    by_name, missing = extractors(config, judge, shape, data_root, projection, len(real), log)
    files = ReferenceFolder(folder)
    files.write_projection(projection)
    described = {}
    for name, extractor in by_name.items():
        r = measure(extractor, config, store)
        files.write_statistics(name, Statistics(**r.moments.to_arrays(), kept=r.subset, heldout=r.heldout,
                                                black=r.black))
        described[name] = {"dim": extractor.dim, "preprocessing": extractor.preprocessing,
                           "hash": extractor.hash, "key": key(extractor, config, store)}
    about: About = {
        "reference": REFERENCE, "reference_n": len(real), "data": store.digest,
             "test_n": len(store.split("test").first(config.limit)),
             "extractor": judge.record["hash"], "classifier_accuracy": judge.record["accuracy"],
             "fid_why": missing.fid, "effnet_why": missing.effnet, "extractors": described}
    files.write_about(about)
    return about


def load(folder: Path, config: ReferenceConfig, store: PreparedStore, judge: Judge, data_root: str | None
         ) -> tuple[dict[str, Reference], About]:
    """What `build` wrote; KelvinError where data, extractor or preprocessing are others than then."""
    files = ReferenceFolder(folder)
    about, projection = files.about(), files.projection()
    stored = {name: files.statistics(name) for name in about["extractors"]}
    by_name, missing = extractors(config, judge, store.images.shape[1:], data_root, projection,
                                  about["reference_n"])
    if set(by_name) != set(stored):
        odd = sorted(set(by_name) ^ set(stored))[0]
        why = missing.effnet if odd == IMAGENET else missing.fid
        raise KelvinError(f"{folder} was made {'without' if odd in by_name else 'with'} the extractor "
                          f"{odd!r}, which is {'here now' if odd in by_name else f'missing now ({why})'}"
                          "; run dvc repro -f reference")
    for name, extractor in by_name.items():
        if about["extractors"][name]["key"] != key(extractor, config, store):
            raise KelvinError(f"{files.statistics_file(name)} was made with another extractor or other "
                              "data; run dvc repro reference")
    return {name: Reference(by_name[name], Moments.from_arrays(vars(s)), s.kept.astype(np.float64),
                            s.heldout.astype(np.float64), s.black)
            for name, s in stored.items()}, about
