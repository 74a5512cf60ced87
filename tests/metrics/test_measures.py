"""The list of measures: each entry stands once, is computed by what it names, and keeps its range."""

import math

import numpy as np
import pytest
from conftest import ROOT

from kelvin.common.errors import KelvinError
from kelvin.common.files import read_json
from kelvin.evaluation.rows_over_t import distortions
from kelvin.metrics import measures
from kelvin.metrics.authenticity import authenticity
from kelvin.metrics.classes import class_view
from kelvin.metrics.fmd import make_scale
from kelvin.metrics.frechet import frechet_from_features
from kelvin.metrics.intervals import frechet_interval
from kelvin.metrics.kid import kid
from kelvin.metrics.manifold import density_coverage, precision_recall
from kelvin.metrics.measures import FIRST, LAST, MEASURES, PSNR_CAP, Measure, Measures, Place
from kelvin.metrics.mmd import mmd
from kelvin.metrics.moments import moments
from kelvin.metrics.nearest import Neighbours, memorisation
from kelvin.metrics.samples import Samples
from kelvin.metrics.similarity import psnr, rmse, ssim

N, REAL, D = 60, 150, 4


class Options:
    """Other numbers than any function's defaults, so that one that is not handed on is seen."""

    seed, confidence, groups, neighbours, copy_quantile, copy_fraction = 3, 0.8, 6, 4, 0.05, 0.02

    class kid:
        degree, gamma, coef0, subset, subsets = 2, 0.5, 0.7, 1000, 3

    class mmd:
        rows, multiples, permutations = 50, (0.5, 2.0), 40


@pytest.fixture(scope="module")
def samples():
    rng = np.random.default_rng(0)
    train, heldout, images = (rng.integers(0, 256, (n, 1, 4, 4), dtype=np.uint8)
                              for n in (80, REAL, N))
    images[:5] = train[:5]  # copies
    features = rng.normal(0.3, 1.2, (N, D))
    probabilities = rng.dirichlet(np.ones(3), N)
    reference, real = rng.normal(size=(200, D)), rng.normal(size=(REAL, D))
    scale = make_scale(moments(reference), real, N, 5, 0, np.full(D, 4.0))
    return Samples(images, features, probabilities, scale, reference[:90], real[N:], heldout[N:],
                   Neighbours(train, heldout), Options, {"pixels": lambda: scale.score(features + 1)},
                   lambda name: (features, reference[:90]))


def expected(s):
    """{key: value} by the functions themselves, called anew."""
    fmd, floor = frechet_from_features(s.features, s.scale.reference), s.scale.band.mean
    interval = frechet_interval(s.features, s.scale.reference, 6, 3, 0.8)

    def normal(value):
        return (value - floor) / (s.scale.ceiling - floor)

    real = Neighbours(s.neighbours.train, s.neighbours.images)
    view, copies = class_view(s.probabilities), authenticity(real.of(s.images), real)
    memory = memorisation(real.of(s.images), real, 0.05, 0.02)
    inside, spread = (f(s.rest, s.features, 4) for f in (precision_recall, density_coverage))
    k = kid(s.features, s.reference, 2, 0.5, 0.7, N, 3, 3, 0.8)
    order = np.random.default_rng(3).permutation(len(s.rest))[:50]
    m = mmd(s.features[:50], s.rest[order], (0.5, 2.0), 40, 3)
    pixels = frechet_from_features(s.features + 1, s.scale.reference)
    return {"fmd": fmd, "fmd_low": interval.low_at_n, "fmd_high": interval.high_at_n,
            "fmd_normalised": normal(fmd), "fmd_normalised_low": normal(interval.low_at_n),
            "fmd_normalised_high": normal(interval.high_at_n), "fmd_debiased": interval.debiased,
            "fmd_debiased_low": interval.low, "fmd_debiased_high": interval.high,
            "precision": inside.precision, "recall": inside.recall, "class_entropy": view.entropy,
            "class_evenness": view.evenness, "confidence": view.confidence,
            "nearest_ratio": memory.ratio, "copy_fraction": memory.copy_fraction,
            "copier": memory.copier, "below_floor": fmd < floor, "fd_pixels": pixels,
            "fd_pixels_normalised": normal(pixels), "kid": k.value, "kid_low": k.low, "kid_high": k.high,
            "mmd": m.value, "mmd_p": m.p, "density": spread.density, "coverage": spread.coverage,
            "authentic": copies.auth_pct, "authentic_heldout": copies.heldout_auth_pct,
            "c_t": copies.c_t}


def test_every_measure_of_samples_is_what_its_function_says(samples):
    """Of every sampler and of the first alone share no key; extractors that are missing leave none."""
    every, first = (MEASURES.of(samples, every=every) for every in (True, False))
    known = expected(samples)
    assert known["copier"] and known["fmd_debiased"] is not None  # the case is a telling one
    assert every.keys() & first.keys() == set()
    missing = {key for m in MEASURES.values() if m.extractor in ("random", "inception", "imagenet")
               for key in m.keys}
    computed = {key for m in MEASURES.values() if m.of for key in m.keys}
    assert every.keys() | first.keys() == computed - missing >= known.keys()
    for key, value in known.items():
        assert (every | first)[key] == pytest.approx(value, rel=1e-12), key
    assert {"fmd", "recall", "fd_pixels"} <= every.keys() and {"kid_low", "c_t"} <= first.keys()


def test_distortions_are_of_each_image_and_psnr_of_equal_ones_is_capped():
    rng = np.random.default_rng(1)
    truth = rng.random((3, 2, 9, 9))
    restored = np.clip(truth + rng.normal(0, 0.1, truth.shape), 0, 1)
    restored[0] = truth[0]
    found = distortions(truth, restored, 5)
    by_hand = {"ssim": ssim(truth, restored, 5), "rmse": rmse(truth, restored),
               "psnr": [20 * math.log10(255), *psnr(truth[1:], restored[1:])]}
    assert set(found) == {key + end for key in by_hand for end in ("", "_sd", "_se")}
    for key, values in by_hand.items():
        assert found[key] == pytest.approx(np.mean(values), rel=1e-12)
        assert found[f"{key}_sd"] == pytest.approx(np.std(values, ddof=1), rel=1e-12)
        assert found[f"{key}_se"] == pytest.approx(np.std(values, ddof=1) / 3**0.5, rel=1e-12)
    assert abs(PSNR_CAP - 48.1308) < 1e-4


@pytest.mark.parametrize("second", ["swd", "swd_high"])
def test_a_key_is_entered_once(second):
    """Also where it is that of another measure's interval."""
    entry = Measure("swd", "SWD", "x", spread="interval")
    with pytest.raises(KelvinError, match=f"'{second}'.* has already"):
        Measures((entry, Measure(second, "another", "x")))


def test_a_cell_beside_names_a_measure():
    with pytest.raises(KelvinError, match="'b', which is no measure"):
        Measures((Measure("a", "A", "x", places=(Place("generation", beside="b"),)),))


def test_columns_stand_first_in_the_order_of_the_file_and_last():
    entries = Measures(Measure(key, key, "x", places=(Place("generation", at),))
                       for key, at in (("d", LAST), ("b", 0), ("a", FIRST), ("c", 0)))
    assert [m.key for m, _ in entries.columns("generation")] == ["a", "b", "c", "d"]
    assert [m.key for m in entries.within("generation")] == ["d", "b", "a", "c"]
    assert entries.columns("samplers") == []


def test_an_interval_is_shown_only_where_there_is_one():
    """And bold only where it can be said which values are better."""
    for m in MEASURES.values():
        for shown in m.places:
            assert m.spread or not shown.spread, m.key
            assert m.better or not shown.bold, m.key
    assert sum(m.headline for m in MEASURES.values()) == 8  # as many as MLflow shows first


@pytest.fixture(scope="module")
def recorded():
    """Every flat record of the committed results: runs, their samplers, calibrating rows."""
    runs = list(read_json(ROOT / "reports" / "metrics.json").values())
    rows = read_json(ROOT / "reports" / "runs" / "digits" / "calibration.json")["rows"]
    return [*runs, *rows.values(), *(s for run in runs for s in run["samplers"].values())]


def test_committed_values_lie_within_their_range(recorded):
    seen = 0
    for m in MEASURES.values():
        # of fmd_by_classifier each record has a list
        values = [value for record in recorded for value in np.ravel(record.get(m.key))
                  if value is not None]
        slack = 1e-5 * max(1.0, abs(m.low), abs(m.high)) if math.isfinite(m.low + m.high) else 1e-5
        assert all(m.low - slack <= value <= m.high + slack for value in values), m.key
        seen += bool(values)
    assert seen >= 30


def test_every_number_of_a_calibrating_row_is_a_measure():
    rows = read_json(ROOT / "reports" / "runs" / "digits" / "calibration.json")["rows"]
    known = {key for m in MEASURES.values() for key in m.keys}
    others = set().union(*rows.values()) - known
    assert others == {"title", "n", "histogram", "fid_why", "effnet_why"}


def test_the_module_needs_no_torch():
    """The report and the tracking read it."""
    import subprocess
    import sys

    code = f"import sys, {measures.__name__}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
