"""Copies are sought among all real images, each counted once."""

import numpy as np
import pytest

import kelvin
import kelvin.scoring.copies as copies
from kelvin.metrics.nearest import nearest
from kelvin.scoring.copies import Originals
from kelvin.scoring.subsets import chosen


def drawn(seed, n, shape=(1, 6, 6)):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def test_every_copy_is_found_among_more_real_images_than_judges(monkeypatch):
    monkeypatch.setattr(copies, "JUDGES", 40)
    real = drawn(0, 400)
    theirs = np.concatenate([real[:60], real[-60:], drawn(1, 120)])
    assert Originals(real, 0).share(real) == 1
    assert Originals(real, 0).share(theirs) == pytest.approx(0.5, abs=0.02)
    assert kelvin.score(theirs, real, features="pixels").sets[0].copies == pytest.approx(0.5, abs=0.02)


def test_judges_are_held_against_all_real_images(monkeypatch):
    """As sets are: distances among judges alone are longer, and would make copies of honest images."""
    real = drawn(0, 400)
    monkeypatch.setattr(copies, "JUDGES", 40)
    judges = real[chosen(400, 40, 5)]
    own = Originals(real, 5)._own
    np.testing.assert_array_equal(own, nearest(judges, real, 3)[0][:, 1:])
    assert own.mean() < nearest(judges, judges, 3)[0][:, 1:].mean()


@pytest.mark.parametrize(("repeats", "share"), [(0, 1), (1, 1), (40, 1), (960, 1)])
def test_real_images_that_occur_twice_hide_no_copy(repeats, share):
    real = drawn(0, 960)
    doubled = np.concatenate([real, real[:repeats]])
    order = np.random.default_rng(2).permutation(len(doubled))
    originals = Originals(doubled[order], 0)
    assert len(originals.rows) == 960
    assert originals.share(real[200:400]) == originals.share(real[:200]) == share
    assert originals.share(drawn(1, 200)) < 0.05


def test_repeats_are_told_and_are_no_part_of_the_threshold():
    real, theirs = drawn(0, 120), drawn(1, 40)
    theirs[:10] = real[:10]
    plain = kelvin.score(theirs, real, features="pixels")
    twice = kelvin.score(theirs, np.concatenate([real, real[:7]]), features="pixels")
    assert twice.sets[0].copies == plain.sets[0].copies >= 0.25
    assert (plain.real_distinct, twice.real_n, twice.real_distinct) == (120, 127, 120)
    assert "repeat" not in str(plain)
    told = "Real images that repeat another: 7. Copies are sought among the different ones, 120."
    assert told in str(twice)


def test_too_few_different_real_images_judge_nothing():
    real = np.repeat(drawn(0, 9), 5, axis=0)
    scores = kelvin.score(drawn(1, 20), real, features="random")
    assert scores.sets[0].copies is None and scores.record()["real_distinct"] == 9
    assert "Copies are n/a: too few different real images, 9." in str(scores)


@pytest.mark.parametrize("pixels", [1, 36 * 7, 36 * 50, 36 * 1000])
@pytest.mark.parametrize("k", [2, 3])
def test_distances_are_the_same_in_parts_of_any_size(monkeypatch, pixels, k):
    real, theirs = drawn(0, 101), drawn(1, 53)
    monkeypatch.setattr(copies, "PIXELS", pixels)
    np.testing.assert_array_equal(Originals(real, 0)._distances(theirs, k), nearest(theirs, real, k)[0])
