"""AuthPct against slow loops, C_T against scipy, and both on real digits with copies among them."""

import numpy as np
import pytest
from helpers import authenticity_of
from scipy import stats
from sklearn.datasets import load_digits

from kelvin.common.errors import KelvinError
from kelvin.metrics.authenticity import authentic, copying_score
from kelvin.metrics.nearest import Neighbours, nearest


@pytest.fixture(scope="module")
def digits():
    images = (load_digits().images[:, None] / 16).astype(np.float32)
    images = images[np.random.default_rng(0).permutation(len(images))]
    return images[:900], images[900:1350], images[1350:]


def test_authentic_equals_the_double_loop():
    """Alaa et al. 2022: authentic unless nearer to its training image than that one's neighbour."""
    rng = np.random.default_rng(0)
    train, samples = rng.random((30, 2, 3, 3)).astype(np.float32), rng.random((40, 2, 3, 3))
    samples[:15] = np.clip(train[:15] + 0.05 * rng.normal(size=(15, 2, 3, 3)), 0, 1)
    expected = []
    for sample in samples.astype(np.float32):
        to = [np.linalg.norm(sample - image) for image in train]
        i = int(np.argmin(to))
        own = min(np.linalg.norm(train[i] - train[j]) for j in range(30) if j != i)
        expected.append(to[i] > own)
    distance, index = nearest(samples, train)
    got = authentic(distance[:, 0], index[:, 0], Neighbours(train, train))
    np.testing.assert_array_equal(got, expected)
    assert not got[:15].any() and got[15:].any()


@pytest.mark.parametrize("ties", [False, True])
def test_c_t_is_scipys_mann_whitney(ties):
    """p to 1e-12, U by a double loop; with ties among the distances and without."""
    rng = np.random.default_rng(1)
    a, b = rng.random(37), 1.2 * rng.random(52)
    if ties:
        a, b = np.round(a, 1), np.round(b, 1)
    score, p = copying_score(a, b)
    expected = stats.mannwhitneyu(a, b, alternative="less", use_continuity=False, method="asymptotic")
    assert p == pytest.approx(expected.pvalue, rel=1e-12)
    u = sum((x > y) + 0.5 * (x == y) for x in a for y in b)
    assert u == expected.statistic and score < 0
    if not ties:  # Meehan et al. 2020: U less its mean, over its sd
        assert score == pytest.approx((u - 37 * 52 / 2) / np.sqrt(37 * 52 * 90 / 12), rel=1e-12)


def test_c_t_is_standard_normal_when_samples_are_like_held_out_images():
    rng = np.random.default_rng(2)
    scores = [copying_score(rng.exponential(size=40), rng.exponential(size=60))[0] for _ in range(500)]
    assert stats.kstest(scores, "norm").pvalue > 0.01


def test_signs_and_all_tied():
    near, far = np.linspace(0, 1, 20), np.linspace(2, 3, 30)
    assert copying_score(near, far)[0] < -5 and copying_score(far, near)[0] > 5
    assert copying_score(np.ones(5), np.ones(4)) == (0.0, 0.5)


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_copies_lower_both(digits, noise):
    """Fresh digits are like held-out ones; a quarter of near copies shows, in proportion."""
    train, heldout, fresh = digits
    honest = authenticity_of(fresh, train, heldout)
    assert abs(honest.auth_pct - honest.heldout_auth_pct) < 0.05 and abs(honest.c_t) < 2.5
    samples, count = fresh.copy(), len(fresh) // 4
    copied = train[:count] + noise * np.random.default_rng(3).normal(size=train[:count].shape)
    samples[:count] = np.clip(copied, 0, 1)
    got = authenticity_of(samples, train, heldout)
    assert got.auth_pct == pytest.approx(0.75 * honest.auth_pct, abs=0.03)
    assert got.heldout_auth_pct == honest.heldout_auth_pct
    assert got.c_t < -5 and got.p < 1e-6


def test_uint8_and_unit_range_agree(digits):
    train, heldout, fresh = (np.round(x[:120] * 255).astype(np.uint8) for x in digits)
    scaled = [(x / 255).astype(np.float32) for x in (fresh, train, heldout)]
    assert authenticity_of(fresh, train, heldout) == authenticity_of(*scaled)


@pytest.mark.parametrize(("a", "b"), [([1.0], [1.0, 2.0]), ([1.0, np.nan], [1.0, 2.0]), ([1.0, 2.0], [])])
def test_too_few_or_broken_distances_are_refused(a, b):
    with pytest.raises(KelvinError, match="at least 2 finite distances"):
        copying_score(a, b)


def test_one_training_image_is_refused():
    one = np.zeros((1, 1, 2, 2), np.float32)
    with pytest.raises(KelvinError, match="at least 2 training images"):
        authentic(np.array([0.1]), np.array([0]), Neighbours(one, one))


def slow_c_t(samples, others):
    """Mann-Whitney by counting pairs, no ties."""
    m, n = len(samples), len(others)
    u = sum((a > b) + 0.5 * (a == b) for a in samples for b in others)
    return (u - m * n / 2) / np.sqrt(m * n * (m + n + 1) / 12)


def test_training_images_are_the_yardstick_each_without_itself(digits):
    """c_t_within by a slow loop, to 1e-3 (ties); fresh images of the same people score about 0; where a
    tenth of them are copies, the share is a tenth; where all are, it is 1."""
    train, _, heldout = digits
    flat = train.reshape(len(train), -1)
    squared = ((flat[:, None] - flat[None]) ** 2).mean(2)
    np.fill_diagonal(squared, np.inf)
    own = np.sqrt(squared.min(1))

    def score(samples):
        return authenticity_of(samples, train, heldout)

    fresh = digits[1]
    found = score(fresh)
    distance = nearest(fresh, train)[0][:, 0]
    assert found.c_t_within == pytest.approx(slow_c_t(distance, own), abs=1e-3)
    assert abs(found.c_t_within) < 3 and found.share < 0.12
    mixed = fresh.copy()
    mixed[:45] = train[:45]
    assert score(mixed).share - max(0, found.share) == pytest.approx(0.1, abs=0.03)
    assert score(train).share == pytest.approx(1, abs=1e-3)


def test_other_people_make_held_out_images_a_false_yardstick():
    """Digits by writers: new images by those of the training part lie nearer to it than those of others,
    so that C_T is negative without a copy; within the training part it is not."""
    images = (load_digits().images[:, None] / 16).astype(np.float32)
    writer = np.arange(len(images)) * 13 // len(images)
    rows = np.random.default_rng(0).permutation(np.flatnonzero(writer < 9))
    train, fresh = images[rows[:900]], images[rows[900:]]
    found = authenticity_of(fresh, train, images[writer >= 9])
    assert found.c_t < -2 and found.c_t_within > -1.5, found
