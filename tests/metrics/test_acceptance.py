"""Acceptance, as the literature asks of a metric: real digits are spoilt, step by step, and each measure
must say so, step by step; what a measure is known to be blind to is asserted as well.

Two extractors that nothing was trained for, pixels and a random network, over 447 digits (8x8) held
against 450 others; 900 are the training set.
"""

from functools import cache

import numpy as np
import pytest
from helpers import authenticity_of, memorised
from scipy.ndimage import gaussian_filter, zoom
from sklearn.datasets import load_digits

from kelvin.features.plain import pixel_extractor, random_extractor
from kelvin.metrics.classes import class_view
from kelvin.metrics.fd_infinity import fd_infinity
from kelvin.metrics.frechet import frechet_from_features
from kelvin.metrics.intervals import frechet_interval
from kelvin.metrics.kid import kid
from kelvin.metrics.manifold import density_coverage, precision_recall
from kelvin.metrics.mmd import mmd
from kelvin.metrics.moments import moments

ORDER = np.random.default_rng(0).permutation(1797)
DIGITS = (load_digits().images[ORDER, None] / 16).astype(np.float32)
TRAIN, REAL, FRESH = DIGITS[:900], DIGITS[900:1350], DIGITS[1350:]
LABELS = load_digits().target[ORDER][1350:]
NOISE = np.random.default_rng(1).normal(size=FRESH.shape).astype(np.float32)
EXTRACTORS = {"pixels": pixel_extractor(TRAIN.shape[1:]), "random": random_extractor((1, 8, 8), 64, 0)}
DISTANCES = ("frechet", "kid", "mmd")


def noised(sigma):
    return np.clip(FRESH + np.float32(sigma) * NOISE, 0, 1)


def blurred(sigma):
    return gaussian_filter(FRESH, (0, 0, sigma, sigma))


def blacked_out(side):
    images = FRESH.copy()
    images[:, :, 2:2 + side, 2:2 + side] = 0
    return images


def pixelated(side):
    small = FRESH.reshape(-1, 1, 8 // side, side, 8 // side, side).mean((3, 5))
    return small.repeat(side, 2).repeat(side, 3)


def cropped(margin):
    """The middle, enlarged again."""
    part = FRESH[:, :, margin:8 - margin, margin:8 - margin]
    return np.clip(zoom(part, (1, 1, *2 * (8 / part.shape[2],)), order=1), 0, 1)


SPOILT = {"noised": (noised, (0.1, 0.2, 0.4)), "blurred": (blurred, (0.6, 1.0, 2.0)),
          "blacked out": (blacked_out, (1, 2, 3, 4)), "pixelated": (pixelated, (2, 4, 8)),
          "cropped": (cropped, (1, 2, 3))}


def measure(extractor, images):
    features, reference = EXTRACTORS[extractor](images), real_features(extractor)
    manifold, balls = precision_recall(reference, features, 5), density_coverage(reference, features, 5)
    found = kid(features, reference, subset_size=None)
    mixture = mmd(features, reference, permutations=99)
    return {"frechet": frechet_from_features(features, moments(reference)), "kid": found.value,
            "kid_low": found.low, "mmd": mixture.value, "p": mixture.p, "precision": manifold.precision,
            "recall": manifold.recall, "density": balls.density, "coverage": balls.coverage}


@cache
def real_features(extractor):
    return EXTRACTORS[extractor](REAL)


@cache
def untouched(extractor):
    return measure(extractor, FRESH)


@cache
def spoilt(extractor, how):
    """Every measure, of untouched images and of each step."""
    spoil, steps = SPOILT[how]
    rows = [untouched(extractor), *(measure(extractor, spoil(step)) for step in steps)]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def rises(values):
    return bool((np.diff(values) > 0).all())


def never_rises(values):
    """And ends below half of where it started."""
    return bool((np.diff(values) <= 0).all()) and values[-1] < 0.5 * values[0]


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_fresh_real_images_pass_for_real(extractor):
    found = untouched(extractor)
    assert found["kid_low"] < 0 and found["p"] > 0.05
    assert min(found["precision"], found["recall"], found["coverage"]) > 0.94
    assert found["density"] == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("how", SPOILT)
@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_each_distance_rises_with_each_step(extractor, how):
    """Frechet, KID and MMD; the last step lies beyond chance for KID's interval and MMD's p."""
    found = spoilt(extractor, how)
    assert [name for name in DISTANCES if not rises(found[name])] == []
    assert found["kid_low"][-1] > 0 and found["p"][-1] == 0.01


@pytest.mark.parametrize("how", SPOILT)
@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_coverage_falls_with_each_step(extractor, how):
    assert never_rises(spoilt(extractor, how)["coverage"])


@pytest.mark.parametrize("how", SPOILT)
def test_precision_and_density_fall_with_each_step_for_the_random_network(how):
    found = spoilt("random", how)
    assert never_rises(found["precision"]) and never_rises(found["density"])


def test_what_the_manifolds_of_pixels_are_blind_to():
    """Blurred digits lie among the sharp ones, so precision and density take them for good samples, and
    noisy ones reach far, so that recall takes them for varied ones: read neither without coverage."""
    blurred, noised = spoilt("pixels", "blurred"), spoilt("pixels", "noised")
    assert blurred["precision"][1] > 0.98 and blurred["density"][1] > 1.5 * blurred["density"][0]
    assert noised["recall"][-1] > noised["recall"][0]
    assert blurred["recall"][-1] < 0.01 and noised["coverage"][-1] < 0.05


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_recall_and_coverage_fall_with_each_class_removed_and_precision_does_not(extractor):
    rows = [untouched(extractor), *(measure(extractor, FRESH[kept > LABELS]) for kept in (8, 5, 3, 1))]
    found = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    assert never_rises(found["recall"]) and never_rises(found["coverage"])
    assert (np.diff(found["recall"]) < -0.03).all() and (np.diff(found["coverage"]) < -0.05).all()
    assert found["precision"].min() > 0.95 and found["density"].min() > 0.85
    assert [name for name in DISTANCES if not rises(found[name])] == []


FEW = random_extractor((1, 8, 8), 16, 0)  # so few features that three classes allow an extrapolation


def extrapolated(images, reference):
    """FD-infinity and the jackknife's debiased distance."""
    features = FEW(images)
    return (fd_infinity(features, reference, smallest=50, standard_error=0.0).value,
            frechet_interval(features, reference).debiased)


@pytest.mark.parametrize("how", [*SPOILT, "classes removed"])
def test_extrapolated_distances_rise_with_each_step(how):
    """FD-infinity and the debiased distance, which lie near 0 for untouched images."""
    reference = moments(FEW(REAL))
    spoil, steps = SPOILT.get(how, (lambda kept: FRESH[kept > LABELS], (8, 5, 3)))
    rows = np.array([extrapolated(images, reference) for images in (FRESH, *map(spoil, steps))])
    assert rises(rows[:, 0]) and rises(rows[:, 1])
    assert (np.abs(rows[0]) < 0.1 * rows[-1]).all()


def test_evenness_falls_with_each_class_removed_and_not_with_mild_noise():
    """Of the nearest class's mean image, as the simplest classifier sees it."""
    labels = load_digits().target[ORDER][:900]
    means = np.stack([TRAIN[labels == k].mean(0).ravel() for k in range(10)])

    def evenness(images):
        squared = ((images.reshape(len(images), 1, -1) - means) ** 2).sum(2)
        chances = np.exp(squared.min(1, keepdims=True) - squared)
        return class_view(chances / chances.sum(1, keepdims=True)).evenness

    found = [evenness(FRESH[kept > LABELS]) for kept in (10, 8, 5, 3, 1)]
    assert rises(-np.array(found)) and found[0] > 0.98 and found[-1] < 0.2
    assert abs(evenness(noised(0.1)) - found[0]) < 0.01


def test_the_share_of_copies_is_found_and_the_nearest_ratio_falls():
    """Growing shares are near copies; spoilt images are none, and noise moves the ratio upwards."""
    samples, shares, ratios = FRESH.copy(), [], []
    for share in (0.0, 0.25, 0.5, 1.0):
        count = round(share * len(samples))
        samples[:count] = np.clip(TRAIN[:count] + 0.02 * NOISE[:count], 0, 1)
        found = memorised(samples, TRAIN, REAL)
        shares.append(found.copy_fraction)
        ratios.append(found.ratio)
        assert abs(found.copy_fraction - share) < 0.05 and found.copier == (share > 0)
    assert rises(np.array(shares)) and rises(-np.array(ratios)) and abs(ratios[0] - 1) < 0.1
    noisy = [memorised(noised(sigma), TRAIN, REAL) for sigma in SPOILT["noised"][1]]
    assert rises(np.array([ratios[0], *(f.ratio for f in noisy)]))
    assert max(f.copy_fraction for f in noisy) < 0.02


def test_copies_are_seen_by_authenticity_and_hardly_by_a_distance():
    """Growing shares of the samples are near copies of training images. AuthPct falls in proportion and
    C_T goes far below 0; no distance moves by a tenth of what noise of 0.2 does."""
    samples, found, measured = FRESH.copy(), [], []
    for share in (0.0, 0.25, 0.5, 1.0):
        count = round(share * len(samples))
        samples[:count] = np.clip(TRAIN[:count] + 0.02 * NOISE[:count], 0, 1)
        found.append(authenticity_of(samples, TRAIN, REAL))
        measured.append({name: measure(name, samples) for name in EXTRACTORS})
    share_authentic, c_t = [f.auth_pct for f in found], [f.c_t for f in found]
    assert rises(-np.array(share_authentic)) and rises(-np.array(c_t))
    assert abs(share_authentic[0] - found[0].heldout_auth_pct) < 0.05 and abs(c_t[0]) < 2.5
    assert share_authentic[3] < 0.02 and c_t[1] < -5 and found[1].p < 1e-6
    for extractor in EXTRACTORS:
        for name in DISTANCES:
            start, reach = untouched(extractor)[name], spoilt(extractor, "noised")[name][2]
            moved = [abs(row[extractor][name] - start) / (reach - start) for row in measured]
            assert max(moved) < 0.1, (extractor, name)


@pytest.mark.parametrize("how", ["noised", "pixelated", "cropped"])
def test_spoilt_images_are_not_taken_for_copies(how):
    spoil, steps = SPOILT[how]
    scores = authenticity_of(spoil(steps[-1]), TRAIN, REAL)
    assert scores.auth_pct > 0.95 and scores.c_t > 5
