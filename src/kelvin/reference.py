"""The real data's own place on the scale: reference moments, floor, ceiling, calibrating rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kelvin.classifier import Judge
from kelvin.errors import KelvinError
from kelvin.files import read_arrays, read_json, write_arrays, write_json
from kelvin.metrics import (
    Moments,
    Scale,
    class_view,
    fid_extractor,
    frechet_interval,
    make_scale,
    memorisation,
    moments,
    precision_recall,
    small_scale,
)
from kelvin.params import MetricsConfig

if TYPE_CHECKING:
    from kelvin.datasets import PreparedStore


@dataclass(frozen=True)
class Protocol:
    """What every set of samples is held against, and the one way of doing it."""

    config: MetricsConfig
    judge: Judge
    reference: Moments
    test_features: np.ndarray
    black_features: np.ndarray
    train_images: np.ndarray  # uint8: what a copier would have copied
    heldout_images: np.ndarray
    fid_why: str

    def scale(self, n: int) -> Scale:
        """Floor and ceiling for n samples; n of the test images must leave one another free."""
        if n >= len(self.test_features):
            raise KelvinError(f"{n} samples are to be scored, but the floor is drawn from "
                              f"{len(self.test_features)} test images; lower metrics.images or "
                              "sampling.epoch_images")
        return make_scale(self.reference, self.test_features, n, self.config.floor_draws,
                          self.config.seed, self.black_features)

    def small(self) -> Scale:
        """Study A's own scale: a few samples against the head of the test set."""
        small = self.config.small
        return small_scale(self.test_features, small.reference, small.images, small.draws,
                           self.config.seed, self.black_features)

    def score(self, images: np.ndarray, scale: Scale) -> tuple[dict[str, Any], dict[str, Any]]:
        """Flat measures of samples (n, C, H, W) uint8, and details for figures."""
        features, probabilities = self.judge(images)
        found = scale.score(features)
        interval = frechet_interval(features, self.reference, self.config.groups, self.config.seed,
                                    self.config.confidence)
        span = scale.ceiling - scale.band.mean
        normal = [(v - scale.band.mean) / span for v in (interval.low_at_n, interval.high_at_n)]
        view = class_view(probabilities)
        memory = memorisation(images, self.train_images, self.heldout_images,
                              self.config.copy_quantile, self.config.copy_fraction)
        manifold = precision_recall(self.test_features, features, self.config.neighbours)
        record = {
            "n": len(images), "fmd": found.value,
            "fmd_low": interval.low_at_n, "fmd_high": interval.high_at_n,
            "fmd_debiased": interval.debiased, "fmd_debiased_low": interval.low,
            "fmd_debiased_high": interval.high,
            "fmd_normalised": found.normalised, "fmd_normalised_low": normal[0],
            "fmd_normalised_high": normal[1], "below_floor": found.below_floor,
            "fid": None, "fid_why": self.fid_why,
            "nearest_ratio": memory.ratio, "copy_fraction": memory.copy_fraction,
            "copier": memory.copier,
            "precision": manifold.precision, "recall": manifold.recall,
            "class_entropy": view.entropy, "class_evenness": view.evenness,
            "confidence": view.confidence}
        order = np.argsort(memory.distance, kind="stable")[:8]
        return record, {"histogram": view.histogram.tolist(), "nearest_sample": order.tolist(),
                        "nearest_training": memory.index[order].tolist()}


def build(config: MetricsConfig, store: PreparedStore, judge: Judge, data_root: str | None
          ) -> tuple[Protocol, dict[str, Any]]:
    """The protocol of a data set and its description (floor, ceiling, hashes) for records."""
    test, limit = store.split("test").images, config.limit
    features, _ = judge(store.reference().images[:limit])
    black, _ = judge(np.zeros((1, *test.shape[1:]), np.uint8))
    protocol = Protocol(config, judge, moments(features), judge(test[:limit])[0], black,
                        store.split("train").images, test[:limit], fid_extractor(data_root)[1])
    return protocol, {"reference": config.reference, "reference_n": len(features),
                      "test_n": len(protocol.test_features), "extractor": judge.record["hash"],
                      "classifier_accuracy": judge.record["accuracy"], "data": store.digest,
                      "fid_why": protocol.fid_why}


def save(folder: Path, protocol: Protocol, about: Mapping[str, Any]) -> None:
    reference = protocol.reference
    write_arrays(folder / "reference.npz", n=np.array(reference.n), mean=reference.mean,
                 cov=reference.cov, test=protocol.test_features, black=protocol.black_features)
    write_json(folder / "about.json", dict(about))


def load(folder: Path, config: MetricsConfig, store: PreparedStore, judge: Judge
         ) -> tuple[Protocol, dict[str, Any]]:
    """What `save` wrote; refused when it belongs to another classifier or other data."""
    try:
        about, arrays = read_json(folder / "about.json"), read_arrays(folder / "reference.npz")
    except FileNotFoundError as error:
        raise KelvinError(f"{folder} holds no reference; run dvc repro reference") from error
    if (about["extractor"], about["data"]) != (judge.record["hash"], store.digest):
        raise KelvinError(f"{folder} was made with another classifier or other data; run dvc repro "
                          "reference")
    reference = Moments(int(arrays["n"]), arrays["mean"], arrays["cov"])
    return Protocol(config, judge, reference, arrays["test"], arrays["black"],
                    store.split("train").images,
                    store.split("test").images[:config.limit], about["fid_why"]), about


def gaussian_images(train: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """n draws of the Gaussian fitted to the training pixels, clipped: the simplest generator."""
    flat = train.reshape(len(train), -1).astype(np.float64)
    mean, centred = flat.mean(0), flat - flat.mean(0)
    # a random mixture of centred rows has exactly their covariance: no d x d matrix is needed
    drawn = mean + rng.standard_normal((n, len(flat))) @ centred / np.sqrt(len(flat) - 1)
    return np.clip(np.round(drawn), 0, 255).astype(np.uint8).reshape(n, *train.shape[1:])


def calibrating_rows(n: int, seed: int, store: PreparedStore
                     ) -> dict[str, tuple[str, Callable[[], np.ndarray]]]:
    """name -> (title, images): what every table of generation is read against."""
    rng = np.random.default_rng(seed)
    train, test = store.split("train").images, store.split("test").images

    def some(images: np.ndarray) -> np.ndarray:
        return images[rng.choice(len(images), n, replace=len(images) < n)]

    return {"held-out": ("held-out real images", lambda: some(test)),
            "copies": ("copies of training images", lambda: some(train)),
            "pixel-gaussian": ("Gaussian fitted to the pixels",
                               lambda: gaussian_images(train[:5000], n, rng)),
            "black": ("black images", lambda: np.zeros((n, *train.shape[1:]), np.uint8))}
