"""What stands for many images is drawn over all of them; no feature depends on --seed."""

import numpy as np
import pytest

import kelvin
import kelvin.scoring.extractors as module
from kelvin.features.plain import fit_projection, pixel_extractor
from kelvin.scoring.extractors import extractors
from kelvin.scoring.score import score_sources
from kelvin.scoring.subsets import chosen

SHAPE = (1, 9, 9)  # more pixels than components


def by_class(n=200):
    """Dark images first, bright ones after them: the order of files in a tree of classes."""
    rng = np.random.default_rng(0)
    return np.concatenate([rng.integers(low, low + 100, (n // 2, *SHAPE), dtype=np.uint8)
                           for low in (0, 150)])


@pytest.fixture
def few_fitted(monkeypatch):
    monkeypatch.setattr(module, "FITTED", 80)


@pytest.mark.parametrize("name", ["pixels", "random"])
def test_two_seeds_measure_in_the_same_features(few_fitted, name):
    real = by_class()
    (first,), (second,) = (kelvin.score(real[::5], real, features=name, seed=seed).sets
                           for seed in (0, 1))
    assert first.by_features[0].fd == second.by_features[0].fd > 0
    assert first.by_features[0].floor != second.by_features[0].floor  # a draw of real images
    assert first.copies == second.copies


def test_mu_and_sigma_serve_every_seed(tmp_path):
    real, stats = by_class(), tmp_path / "stats.npz"
    score_sources([real], real, features="random", statistics=stats, seed=3)
    assert kelvin.score(real, stats, seed=4).sets[0].by_features[0].fd < 1e-9


def test_components_are_fitted_to_a_draw_over_all_classes(few_fitted):
    real = by_class()
    places = chosen(len(real), 80, 0)
    assert 25 < (places < 100).sum() < 55  # of each half its share
    found = extractors(real, len(real), ("pixels",), True)[0]["pixels"]
    assert found.hash == pixel_extractor(SHAPE, **fit_projection(real[places], 64)).hash
    assert found.hash != pixel_extractor(SHAPE, **fit_projection(real[:80], 64)).hash


def test_the_order_of_files_moves_a_distance_by_no_more_than_a_draw_does(few_fitted):
    real = by_class()
    theirs = np.random.default_rng(1).integers(0, 256, (60, *SHAPE), dtype=np.uint8)
    order = np.random.default_rng(2).permutation(len(real))
    a, b = (kelvin.score(theirs, images, features="pixels").sets[0].by_features[0].fd
            for images in (real, real[order]))
    assert a == pytest.approx(b, rel=0.05)


def test_up_to_as_many_as_are_fitted_all_are_in_their_order():
    real = by_class()
    found = extractors(real, len(real), ("pixels",), True)[0]["pixels"]
    assert found.hash == pixel_extractor(SHAPE, **fit_projection(real, 64)).hash


def test_the_cache_tells_features_of_another_draw_apart(few_fitted, monkeypatch, tmp_path):
    real = by_class()
    kelvin.score(real[::5], real, features="pixels", cache=tmp_path)
    monkeypatch.setattr(module, "SEED", 1)
    fresh = kelvin.score(real[::5], real, features="pixels")
    assert kelvin.score(real[::5], real, features="pixels", cache=tmp_path) == fresh
    assert len(list(tmp_path.iterdir())) == 2


def test_the_grids_show_all_classes():
    real = by_class()
    _, grids = score_sources([real[:40], real], real, features="random")
    shown = grids["real images (real)"]
    assert len(shown) == 64 and 0.25 < (shown.mean((1, 2, 3)) < 125).mean() < 0.75
    np.testing.assert_array_equal(shown, real[chosen(200, 64, 0)])
    np.testing.assert_array_equal(grids["images 1"], real[:40])  # all, in their order
