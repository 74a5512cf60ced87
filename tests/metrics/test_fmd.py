"""The scale from held-out real images (0) to a black image (1), and what it must obey."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_digits

from kelvin.common.errors import KelvinError
from kelvin.features.extractor import Extractor
from kelvin.metrics.fmd import make_scale, normalise, score_band, small_scale
from kelvin.metrics.frechet import frechet_from_features
from kelvin.metrics.moments import moments

LEVELS = 5


def noised(x, level, rng):
    return np.clip(x + 0.15 * level * rng.normal(size=x.shape), 0, 1)


def blurred(x, level, rng):
    return gaussian_filter(x, (0, 0, 0.4 * level, 0.4 * level))


def darkened(x, level, rng):
    return x * (1 - level / LEVELS)


def blacked_out(x, level, rng):
    return np.where(np.arange(8)[:, None] < 8 * level / LEVELS, 0, x)


def pixelated(x, level, rng):
    side = (1, 2, 4, 8)[level]
    means = x.reshape(len(x), 1, 8 // side, side, 8 // side, side).mean((3, 5))
    return means.repeat(side, 2).repeat(side, 3)


@pytest.fixture(scope="module")
def digits():
    images = (load_digits().images[:, None] / 16).astype(np.float32)
    return images[np.random.default_rng(0).permutation(len(images))]


@pytest.fixture(scope="module")
def extractor():
    """A stand-in that needs no training: an untrained convolutional network of fixed seed."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = torch.nn.Sequential(
            torch.nn.Conv2d(1, 16, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.Conv2d(16, 16, 3, stride=2, padding=1),
            torch.nn.ReLU(),
            torch.nn.AvgPool2d(2),
            torch.nn.Flatten(),
        )

    def features(images):
        with torch.inference_mode():
            return net(torch.from_numpy(images)).numpy()

    return Extractor("classifier", 64, "none", "seed 0", features)


@pytest.fixture(scope="module")
def scale(digits, extractor):
    black = extractor(np.zeros((1, 1, 8, 8)))
    return make_scale(
        moments(extractor(digits[:1000])), extractor(digits[1000:1500]), 250, 15, 0, black
    )


@pytest.mark.parametrize("damage", [noised, blurred, darkened, blacked_out, pixelated])
def test_the_distance_rises_with_every_damage(damage, digits, extractor, scale):
    """Acceptance: every level of damage to real digits scores above the level before."""
    real, rng = digits[1500:1750], np.random.default_rng(1)
    levels = range(4 if damage is pixelated else LEVELS + 1)
    scores = [scale.score(extractor(damage(real, level, rng))) for level in levels]
    values = np.array([s.normalised for s in scores])
    assert (np.diff(values) > 0).all(), values
    assert abs(values[0]) < 5 * scale.band.sd / (scale.ceiling - scale.band.mean)
    assert values[-1] > 0.1
    if damage in (darkened, blacked_out):
        assert values[-1] == pytest.approx(1, abs=1e-6)


def test_copies_of_reference_images_fall_below_the_floor_and_are_flagged_not_clipped(
    digits, extractor, scale
):
    copies = scale.score(extractor(digits[:250]))
    assert copies.normalised < 0 and copies.below_floor
    assert copies.normalised == normalise(copies.value, scale.band.mean, scale.ceiling)
    assert not scale.score(extractor(blurred(digits[:250], 3, None))).below_floor


def test_the_band_is_of_distinct_rows_seeded_and_at_n():
    rng = np.random.default_rng(2)
    x, reference = rng.normal(size=(60, 5)), moments(rng.normal(size=(500, 5)))
    band = score_band(x, reference, 20, 15, seed=3)
    np.testing.assert_array_equal(band.values, score_band(x, reference, 20, 15, seed=3).values)
    assert not np.array_equal(band.values, score_band(x, reference, 20, 15, seed=4).values)
    assert len(set(band.values)) == 15
    assert band.mean == band.values.mean() and band.sd == band.values.std(ddof=1)
    # Without replacement: draws of all rows but one differ in one row, so hardly at all.
    assert score_band(x, reference, 59, 15, seed=3).sd < 0.2 * band.sd
    assert score_band(x, reference, 10, 15, seed=3).mean > band.mean


def test_the_ceiling_is_the_distance_of_n_black_copies():
    """|f - m|^2 + tr S, to 1e-10 of the distance of 30 equal rows."""
    rng = np.random.default_rng(5)
    heldout, reference = rng.normal(size=(50, 6)), moments(rng.normal(size=(400, 6)))
    black = rng.normal(size=6)
    copies = np.tile(black, (30, 1))
    for given in (black, black[None], copies):
        ceiling = make_scale(reference, heldout, 30, 5, 0, given).ceiling
        np.testing.assert_allclose(ceiling, frechet_from_features(copies, reference), rtol=1e-10)
    with pytest.raises(KelvinError, match="row to row"):
        make_scale(reference, heldout, 30, 5, 0, rng.normal(size=(2, 6)))


def test_study_a_small_protocol_by_hand(digits, extractor):
    """32 samples against the first 128 test images, floor from the rest, step by step."""
    test, samples = extractor(digits[:400]), extractor(digits[900:932])
    black = extractor(np.zeros((1, 1, 8, 8)))
    got = small_scale(test, 128, 32, 15, 7, black).score(samples)
    rng, reference = np.random.default_rng(7), moments(test[:128])
    rest = test[128:]
    drawn = [rest[rng.choice(272, 32, replace=False)] for _ in range(15)]
    floor = np.mean([frechet_from_features(d, reference) for d in drawn])
    ceiling = frechet_from_features(np.tile(black, (2, 1)), reference)
    value = frechet_from_features(samples, reference)
    assert got.value == pytest.approx(value, rel=1e-12)
    assert got.normalised == pytest.approx((value - floor) / (ceiling - floor), rel=1e-9)


def test_refuses_what_is_not_comparable(digits, extractor):
    test, black = extractor(digits[:200]), extractor(np.zeros((1, 1, 8, 8)))
    with pytest.raises(KelvinError, match="one n only"):
        small_scale(test, 100, 32, 5, 0, black).score(test[:33])
    with pytest.raises(KelvinError, match="at least 133"):
        small_scale(test[:132], 100, 32, 5, 0, black)
    with pytest.raises(KelvinError, match="not above the floor"):
        normalise(1.0, 2.0, 2.0)
    with pytest.raises(KelvinError, match="2 draws"):
        score_band(test, moments(test), 32, 1, 0)
