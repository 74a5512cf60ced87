"""Every measure, once: its name, range and direction, the tables it stands in, and its function.

Records, tables, the page, README's table, docs/metrics.md and MLflow read this list. A new measure is a
function of arrays, one entry here, its section in docs/metrics.md, and its test. Records, .csv files and
metrics.json keep the order of this file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass
from math import inf
from typing import Any, Literal

import numpy as np

from kelvin.common.errors import KelvinError
from kelvin.metrics.samples import Samples
from kelvin.metrics.similarity import psnr, rmse, ssim

Table = Literal[
    "generation",    # every run's first sampler
    "samplers",      # every sampler of every run
    "compact",       # metrics.json: every other sampler, and the prior
    "distribution",  # of the study of metrics: more of the distribution
    "agreement",     # whose rankings of the runs are compared
    "likelihood",
    "restoration",   # how far restored images are from their originals
    "restored",      # metrics.json: all that a restoration is measured by
    "calibration",   # docs/metrics.md: what real and trivial images get
    "readme",
    "summary"]       # summary.json: what `dvc metrics diff` shows
FIRST, LAST = -1, 1  # columns before, and after, those that stand in the order of this file


@dataclass(frozen=True)
class Place:
    """The place of a measure in a table. title: in place of the measure's own. spread: with its interval
    or error. bold: the best value is. decimals: a fixed number of them. beside: key of a second measure
    in the same cell, which is `cell` filled in with both."""

    table: Table
    at: int = 0
    title: str = ""
    spread: bool = False
    bold: bool = False
    decimals: int | None = None
    beside: str = ""
    cell: str = "{}, {}"


@dataclass(frozen=True)
class Measure:
    """key: in records. section: the heading in docs/metrics.md. better: which values are, "" for neither.
    low, high: the range. form: how a value is written, with `digits` where they are significant.

    spread: what stands beside the value in a record: `<key>_low` and `<key>_high`, or `<key>_se`.
    over_seeds: of several training seeds a t interval is given, in place of one over images.
    headline: first among the metrics of a run in MLflow, under its key.
    of: samples -> value; with an interval (value, low, high). None: it is not a measure of samples.
    every: of every sampler, not of a run's first alone. extractor: without it a record lacks the key.
    pair: originals and restored images (n, C, H, W) in [0, 1], side of SSIM's window -> values (n,).
    """

    key: str
    title: str
    section: str
    better: Literal["lower", "higher", ""] = ""
    low: float = -inf
    high: float = inf
    unit: str = ""
    form: Literal["significant", "fixed", "percent", "thousandfold"] = "significant"
    digits: int = 3
    spread: Literal["interval", "error", ""] = ""
    over_seeds: bool = False
    headline: bool = False
    of: Callable[[Samples], Any] | None = None
    every: bool = False
    extractor: str = ""
    pair: Callable[[np.ndarray, np.ndarray, int], np.ndarray] | None = None
    places: tuple[Place, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of a record that hold its value and what stands beside it."""
        beside = {"interval": ("_low", "_high"), "error": ("_se",), "": ()}[self.spread]
        return (self.key, *(self.key + end for end in beside))

    def keys_in(self, table: Table) -> tuple[str, ...]:
        """The keys of a record that its cell in a table is made of."""
        place = self.within(table)
        if place is None:
            return ()
        return (*(self.keys if place.spread else (self.key,)), *filter(None, (place.beside,)))

    def within(self, table: Table) -> Place | None:
        """Its place in a table; None where it has none."""
        return next((place for place in self.places if place.table == table), None)


class Measures(dict[str, Measure]):
    """{key: measure}; KelvinError where a record's key is entered twice, or a cell names no measure."""

    def __init__(self, entries: Iterable[Measure]) -> None:
        owners: dict[str, str] = {}
        for measure in entries:
            for key in measure.keys:
                if key in owners:
                    raise KelvinError(f"the measure {measure.key!r} is entered with the key {key!r}, "
                                      f"which the measure {owners[key]!r} has already")
                owners[key] = measure.key
            self[measure.key] = measure
        for measure in self.values():
            for place in measure.places:
                if place.beside and place.beside not in self:
                    raise KelvinError(f"the measure {measure.key!r} is shown beside {place.beside!r}, "
                                      "which is no measure")

    def within(self, table: Table) -> list[Measure]:
        """The measures of a table, in the order of this file."""
        return [measure for measure in self.values() if measure.within(table)]

    def columns(self, table: Table) -> list[tuple[Measure, Place]]:
        """The columns of a table, in the order of the table."""
        pairs = [(m, place) for m in self.values() if (place := m.within(table))]
        return sorted(pairs, key=lambda pair: pair[1].at)

    def of(self, samples: Samples, every: bool) -> dict[str, Any]:
        """The record of samples: measures of every sampler, or those of a run's first sampler alone."""
        out: dict[str, Any] = {}
        for m in self.values():
            if m.of and m.every == every and (not m.extractor or m.extractor in samples.others):
                value = m.of(samples)
                out |= zip(m.keys, value if m.spread else (value,), strict=True)
        return out


PSNR_CAP = 20 * np.log10(255.0)  # dB: one grey level in all pixels, in place of infinity
EFFNET = "KID and FD of ImageNet features"
FMD, SCALE, BITS = "Fréchet distance and FMD", "Floor, ceiling and normalised", "Bits per dimension"
MANIFOLD, SPREAD = "Precision and recall", "Density and coverage"
CLASSES, COPIES = "Class entropy, evenness and confidence", "Nearest ratio and copies"

MEASURES = Measures((
    Measure("ssim", "SSIM", "SSIM", "higher", -1, 1, spread="error", over_seeds=True, pair=ssim,
            places=(Place("restoration", spread=True, bold=True), Place("restored"))),
    Measure("psnr", "PSNR", "PSNR", "higher", 0, PSNR_CAP, "dB", spread="error",
            pair=lambda x, y, window: np.minimum(psnr(x, y), PSNR_CAP),
            places=(Place("restoration", spread=True, bold=True), Place("restored"))),
    Measure("rmse", "RMSE", "RMSE", "lower", 0, 1, spread="error",
            pair=lambda x, y, window: rmse(x, y),
            places=(Place("restoration", spread=True, bold=True), Place("restored"))),
    Measure("fmd", "FMD", FMD, "lower", 0, spread="interval", over_seeds=True, headline=True,
            of=lambda s: (s.frechet.value, s.interval.low_at_n, s.interval.high_at_n), every=True,
            places=(Place("generation", FIRST, spread=True, bold=True),
                    Place("samplers", FIRST, bold=True), Place("compact"),
                    Place("distribution", FIRST, bold=True), Place("agreement"),
                    Place("likelihood", LAST, "FMD of its samples", bold=True), Place("restored"),
                    Place("calibration", FIRST), Place("readme", spread=True, decimals=2),
                    Place("summary"))),
    # FMD again, by others: computed where the classifiers are (kelvin.evaluation.protocol)
    Measure("fmd_median", "FMD, median of the classifiers", FMD, "lower", 0),
    Measure("fmd_by_classifier", "FMD by each classifier", FMD, "lower", 0),
    Measure("fmd_validation", "FMD, validation images", FMD, "lower", 0),
    Measure("fmd_normalised", "normalised", SCALE, "lower", form="fixed", spread="interval",
            over_seeds=True, headline=True, every=True,
            of=lambda s: (s.frechet.normalised, s.normalised(s.interval.low_at_n),
                          s.normalised(s.interval.high_at_n)),
            places=(Place("generation", FIRST, spread=True, bold=True),
                    Place("samplers", FIRST, bold=True), Place("compact"), Place("restored"),
                    Place("calibration", FIRST), Place("readme", 0, "normalised FMD", decimals=4))),
    Measure("nfe", "NFE", "Other keys", "lower", 0, unit="network evaluations per image",
            places=(Place("compact"),)),
    Measure("fd_pixels", "FD pixels", FMD, "lower", 0, extractor="pixels", every=True,
            of=lambda s: s.others["pixels"]().value,
            places=(Place("distribution", bold=True), Place("agreement"), Place("calibration"))),
    Measure("fd_pixels_normalised", "FD pixels, normalised", SCALE, "lower",
            extractor="pixels", every=True, of=lambda s: s.others["pixels"]().normalised),
    Measure("fd_random", "FD random net", FMD, "lower", 0, extractor="random", every=True,
            of=lambda s: s.others["random"]().value,
            places=(Place("distribution", bold=True), Place("agreement"), Place("calibration"))),
    Measure("fd_random_normalised", "FD random net, normalised", SCALE, "lower",
            extractor="random", every=True, of=lambda s: s.others["random"]().normalised),
    Measure("fid", "FID", "FID", "lower", 0, extractor="inception",
            of=lambda s: s.others["inception"]().value,
            places=(Place("generation"), Place("distribution", bold=True), Place("agreement"),
                    Place("calibration"))),
    Measure("fid_normalised", "FID, normalised", SCALE, "lower", extractor="inception",
            of=lambda s: s.others["inception"]().normalised),
    Measure("kid", "KID", "KID", "lower", form="thousandfold", spread="interval", headline=True,
            of=lambda s: (s.kid.value, s.kid.low, s.kid.high),
            places=(Place("distribution", 0, "KID × 1000", spread=True, bold=True), Place("agreement"),
                    Place("calibration"))),
    Measure("kid_effnet", "KID EfficientNet", EFFNET, "lower", form="thousandfold", spread="interval",
            extractor="imagenet", of=lambda s: astuple(s.kid_in("imagenet"))[:3],
            places=(Place("distribution", 0, "KID EfficientNet × 1000", spread=True, bold=True),
                    Place("agreement"), Place("calibration"))),
    Measure("fd_effnet", "FD EfficientNet", EFFNET, "lower", 0, extractor="imagenet",
            of=lambda s: s.others["imagenet"]().value,
            places=(Place("distribution", bold=True), Place("agreement"), Place("calibration"))),
    Measure("fd_effnet_normalised", "FD EfficientNet, normalised", SCALE, "lower", extractor="imagenet",
            of=lambda s: s.others["imagenet"]().normalised),
    Measure("mmd", "MMD²", "MMD", "lower", -1, 2, of=lambda s: s.mmd and s.mmd.value,
            places=(Place("distribution", 0, "MMD², p", bold=True, beside="mmd_p"), Place("agreement"),
                    Place("calibration"))),
    Measure("mmd_p", "p of MMD²", "MMD", "", 0, 1, digits=2, of=lambda s: s.mmd and s.mmd.p,
            places=(Place("calibration"),)),
    Measure("fmd_debiased", "FMD, debiased", "Intervals", "lower", spread="interval", over_seeds=True,
            of=lambda s: (s.interval.debiased, s.interval.low, s.interval.high), every=True,
            places=(Place("generation", FIRST, "debiased", spread=True, bold=True),
                    Place("distribution", FIRST, spread=True, bold=True), Place("calibration", FIRST))),
    Measure("fd_infinity", "FD-infinity", "FD-infinity", "lower"),
    Measure("precision", "precision", MANIFOLD, "higher", 0, 1, headline=True, every=True,
            of=lambda s: s.manifold.precision,
            places=(Place("compact"), Place("distribution", bold=True), Place("agreement", LAST),
                    Place("calibration"))),
    Measure("recall", "recall", MANIFOLD, "higher", 0, 1, headline=True, every=True,
            of=lambda s: s.manifold.recall,
            places=(Place("generation"), Place("compact"), Place("distribution", bold=True),
                    Place("agreement", LAST), Place("calibration"))),
    Measure("density", "density", SPREAD, "higher", 0, of=lambda s: s.spread.density,
            places=(Place("distribution", bold=True), Place("agreement"), Place("calibration"))),
    Measure("coverage", "coverage", SPREAD, "higher", 0, 1, headline=True,
            of=lambda s: s.spread.coverage,
            places=(Place("distribution", bold=True), Place("agreement"), Place("calibration"))),
    Measure("class_entropy", "entropy", CLASSES, "", 0, unit="nats", every=True,
            of=lambda s: s.classes.entropy,
            places=(Place("generation", LAST, "entropy [evenness]", beside="class_evenness",
                          cell="{} [{}]"),)),
    Measure("class_evenness", "evenness", CLASSES, "", 0, 1, headline=True, every=True,
            of=lambda s: s.classes.evenness,
            places=(Place("samplers", LAST), Place("compact"), Place("calibration"),
                    Place("readme", 0, "class evenness", decimals=3))),
    Measure("confidence", "confidence", CLASSES, "", 0, 1, of=lambda s: s.classes.confidence,
            every=True, places=(Place("generation", LAST), Place("calibration"))),
    Measure("asked_accuracy", "accuracy", "Accuracy of the class asked", "higher", 0, 1, form="fixed",
            spread="interval", over_seeds=True),
    Measure("nearest_ratio", "nearest", COPIES, "", 0, of=lambda s: s.memory.ratio, every=True,
            places=(Place("generation"), Place("samplers"), Place("compact"), Place("calibration"),
                    Place("readme", decimals=2))),
    Measure("copy_fraction", "copies", COPIES, "", 0, 1, form="percent", headline=True, every=True,
            of=lambda s: s.memory.copy_fraction, places=(Place("generation"), Place("calibration"))),
    Measure("authentic", "authentic", "AuthPct", "", 0, 1, of=lambda s: s.copies.auth_pct,
            places=(Place("distribution"), Place("calibration"))),
    Measure("authentic_heldout", "authentic held-out images", "AuthPct", "", 0, 1,
            of=lambda s: s.copies.heldout_auth_pct),
    Measure("c_t", "C_T", "C_T", of=lambda s: s.copies.c_t,
            places=(Place("distribution"), Place("calibration"))),
    Measure("c_t_within", "C_T within the training part", "C_T", of=lambda s: s.copies.c_t_within),
    Measure("copies_equivalent", "equivalent share of copies", "C_T", "", 0, 1,
            of=lambda s: s.copies.share),
    Measure("copier", "copier", COPIES, of=lambda s: s.memory.copier, every=True),
    Measure("below_floor", "below floor", SCALE, of=lambda s: s.frechet.below_floor, every=True),
    Measure("bits_per_dim", "bound", BITS, "lower", unit="bits per dimension", spread="error",
            places=(Place("likelihood", 0, spread=True, bold=True),)),
    Measure("bits_l0", "L_0", BITS, "lower", places=(Place("likelihood"),)),
    Measure("bits_between", "L_1 … L_{T−1}", BITS, "lower", 0, places=(Place("likelihood"),)),
    Measure("bits_prior", "L_T", BITS, "lower", 0, places=(Place("likelihood"),)),
))
