"""Nearest training images against scikit-learn, and a copier told from an honest model."""

import numpy as np
import pytest
from helpers import memorised
from sklearn.datasets import load_digits
from sklearn.neighbors import NearestNeighbors

from kelvin.common.errors import KelvinError
from kelvin.metrics import nearest as module
from kelvin.metrics.nearest import Neighbours, distinct, find_copies, is_copier, nearest, nearest_ratio


@pytest.fixture(scope="module")
def digits():
    images = (load_digits().images[:, None] / 16).astype(np.float32)
    images = images[np.random.default_rng(0).permutation(len(images))]
    return {"train": images[:900], "heldout": images[900:1350], "fresh": images[1350:1750]}


@pytest.mark.parametrize("block", [7, 37, 300, 10_000])
@pytest.mark.parametrize("k", [1, 2, 5])
def test_equals_scikit_learn_in_any_block(block, k):
    """Distances to 1e-12, indices exactly, on images without ties."""
    rng = np.random.default_rng(1)
    train, queries = rng.random((201, 3, 5, 4)), rng.random((40, 3, 5, 4))
    queries[7] = train[11]
    train, queries = train.astype(np.float32), queries.astype(np.float32)
    flat = [x.reshape(len(x), -1).astype(np.float64) for x in (train, queries)]
    expected = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(flat[0])
    expected = expected.kneighbors(flat[1])[1]
    distance, index = nearest(queries, train, k, block)
    np.testing.assert_array_equal(index, expected)
    direct = np.sqrt(((flat[1][:, None] - flat[0][expected]) ** 2).mean(2))
    np.testing.assert_allclose(distance, direct, rtol=1e-12)
    assert distance[7, 0] == 0 and index[7, 0] == 11


@pytest.mark.parametrize("block", [16, 1024])
@pytest.mark.parametrize("k", [1, 2, 5])
def test_close_calls_are_those_of_the_slow_matrix_of_differences(block, k):
    """Bright images that differ by less than products in float32 can tell, a third of them twice: exactly
    the matrix of differences, of equal distances the first. The products alone name others."""
    rng = np.random.default_rng(3)
    base = np.full((1, 12, 12), 0.9, dtype=np.float32)
    train = (base + 1e-4 * rng.normal(size=(150, 1, 12, 12))).astype(np.float32)
    train[100:] = train[:50]
    queries = (base + 1e-4 * rng.normal(size=(40, 1, 12, 12))).astype(np.float32)
    queries[3] = train[120]
    a, b = queries.reshape(40, -1), train.reshape(150, -1)
    slow = np.sqrt(np.mean((a[:, None].astype(np.float64) - b) ** 2, axis=2))
    expected = np.argsort(slow, axis=1, kind="stable")[:, :k]
    distance, index = nearest(queries, train, k, block)
    np.testing.assert_array_equal(index, expected)
    np.testing.assert_array_equal(distance, np.take_along_axis(slow, expected, 1))
    assert (index[3, 0], distance[3, 0]) == (20, 0)
    assert np.mean(((b * b).sum(1) - 2 * a @ b.T).argmin(1) != slow.argmin(1)) > 0.5


def test_root_mean_square_does_not_depend_on_the_image_size():
    black, grey = np.zeros((1, 1, 8, 8)), np.full((1, 1, 8, 8), 0.25)
    assert nearest(grey, black)[0].item() == pytest.approx(0.25)


def test_an_honest_model_is_no_copier(digits):
    got = memorised(digits["fresh"], digits["train"], digits["heldout"])
    assert not got.copier and got.copy_fraction <= 0.02
    assert got.ratio == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("noise", [0.0, 0.03])
def test_a_model_that_copies_a_fifth_of_the_time_is_a_copier(digits, noise):
    rng, samples = np.random.default_rng(2), digits["fresh"].copy()
    copied = digits["train"][100:180] + noise * rng.normal(size=(80, 1, 8, 8))
    samples[:80] = np.clip(copied, 0, 1)
    got = memorised(samples, digits["train"], digits["heldout"])
    assert got.copier and got.copies[:80].mean() > 0.9 and got.copies[80:].mean() <= 0.02
    np.testing.assert_array_equal(
        got.index[:80][got.copies[:80]], np.arange(100, 180)[got.copies[:80]]
    )
    assert got.copy_fraction == got.copies.mean()


def test_training_images_that_occur_twice_hide_no_copy(digits):
    """All of it as with each once, and the index that of the first."""
    rng, samples = np.random.default_rng(2), digits["fresh"].copy()
    samples[:80] = np.clip(digits["train"][100:180] + 0.03 * rng.normal(size=(80, 1, 8, 8)), 0, 1)
    once = memorised(samples, digits["train"], digits["heldout"])
    twice = memorised(samples, np.concatenate([digits["train"]] * 2), digits["heldout"])
    assert twice.copier and twice.ratio == once.ratio
    for of_once, of_twice in ((once.copies, twice.copies), (once.index, twice.index)):
        np.testing.assert_array_equal(of_once, of_twice)
    own = Neighbours(np.concatenate([digits["train"]] * 2), digits["heldout"]).own(np.arange(5))
    np.testing.assert_array_equal(own, Neighbours(digits["train"], digits["heldout"]).own(np.arange(5)))
    assert own.min() > 0


def test_distinct_images_keep_their_order():
    images = np.random.default_rng(0).random((5, 1, 3, 3))[[3, 1, 3, 0, 1, 4]]
    assert distinct(images).tolist() == [0, 1, 3, 5]


def test_averages_of_training_images_are_near_but_no_copies(digits):
    """Distance alone would call them copies; the second condition spares them."""
    around = nearest(digits["fresh"], digits["train"], k=8)[1]
    averages = digits["train"][around].mean(1)
    got = memorised(averages, digits["train"], digits["heldout"])
    assert got.ratio < 0.9
    threshold = np.quantile(nearest(digits["heldout"], digits["train"])[0], 0.01)
    assert np.mean(got.distance < threshold) > 0.05
    assert not got.copier and got.copy_fraction < 0.02


def test_real_images_are_looked_up_once(digits, monkeypatch):
    """Whatever is asked and however often; a training image's nearest other, by a slow loop."""
    calls, search = [], module.nearest
    monkeypatch.setattr(module, "nearest", lambda a, b, k: calls.append(len(a)) or search(a, b, k))
    train, heldout = digits["train"][:50], digits["heldout"][:20]
    real = Neighbours(train, heldout)
    first, again = real.heldout, real.heldout
    assert first is again and calls == [20]
    flat = train.reshape(50, -1).astype(np.float64)
    squared = ((flat[:, None] - flat[None]) ** 2).mean(2)
    np.fill_diagonal(squared, np.inf)
    for index in ([3, 7, 3], [7, 9], [9, 3, 3]):
        np.testing.assert_allclose(real.own(np.array(index)), np.sqrt(squared.min(1))[index], rtol=1e-6)
    assert calls == [20, 2, 1]


def test_rules_are_what_they_say():
    heldout = np.stack([np.linspace(1, 2, 101), np.full(101, 2.0)], 1)
    samples = np.array([[0.9, 1.9], [0.9, 0.95], [1.2, 2.0], [0.0, 0.0], [0.0, 1.0]])
    found = find_copies(samples, heldout, 0.01)
    np.testing.assert_array_equal(found, [True, False, False, False, True])
    assert is_copier(0.06) and not is_copier(0.05) and is_copier(0.05, max_fraction=0.01)
    assert nearest_ratio(np.array([1, 2, 3.0]), np.array([4.0])) == 0.5


def test_refuses_what_cannot_be_judged(digits):
    with pytest.raises(KelvinError, match="at least 100 are needed"):
        memorised(digits["fresh"], digits["train"], digits["heldout"][:99])
    with pytest.raises(KelvinError, match="not one shape"):
        nearest(np.zeros((2, 1, 8, 8)), np.zeros((2, 1, 7, 8)))
    with pytest.raises(KelvinError, match="at least 3"):
        nearest(np.zeros((2, 1, 8, 8)), np.zeros((2, 1, 8, 8)), k=3)
    with pytest.raises(KelvinError, match="training set"):
        nearest_ratio(np.ones(3), np.zeros(3))
