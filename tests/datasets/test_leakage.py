import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import cdist

from kelvin.datasets.splitting import leakage
from kelvin.datasets.splitting.folds import development_rows, make_folds
from kelvin.datasets.splitting.leakage import check_leakage, compare, look_at, nearest_across


def _scenes(n, seed=0, shape=(3, 24, 20)):
    """Smooth images, each another one."""
    noise = np.random.default_rng(seed).standard_normal((n, *shape))
    smooth = gaussian_filter(noise, (0, 0, 3, 3))
    smooth -= smooth.min()
    return (smooth * (255 / smooth.max())).astype(np.uint8)


def _turned(images, seed=1):
    """The same with a grain that a viewer would not see."""
    grain = np.random.default_rng(seed).integers(-2, 3, images.shape)
    return np.clip(images + grain, 0, 255).astype(np.uint8)


PARTS = np.repeat(np.array([0, 1, 2], np.uint8), (40, 10, 30))


def _check(images, groups=None, folds=None):
    groups = np.arange(len(images)) if groups is None else groups
    found = check_leakage(images, groups, PARTS, folds, seed=0)["checks"]
    return {check["split"].split()[0]: check for check in found}


def test_nothing_is_found_where_nothing_leaks():
    found = _check(_scenes(80))
    assert list(found) == ["test", "validation"]
    for check in found.values():
        assert check["finding"].endswith("; no leak found") and "no groups known" in check["finding"]
        assert check["near_duplicates"] == check["identical_images"] == 0
        assert check["median_distance"] > 3 * leakage.NEAR


def test_a_planted_near_duplicate_is_found_and_named():
    images = _scenes(80)
    images[77] = _turned(images[5])
    check = _check(images)["test"]
    assert (check["near_duplicates"], check["identical_images"]) == (1, 0)
    assert check["nearest_pairs"][0][:2] == [77, 5]
    assert "leaks: what is held out" in check["finding"]
    assert _check(images)["validation"]["near_duplicates"] == 0


def test_a_planted_identical_image_is_found_though_no_query_meets_it(monkeypatch):
    monkeypatch.setattr(leakage, "QUERIES", 1)
    images = _scenes(80)
    for row in (60, 70):
        images[row] = images[5]  # twice in the test part, once outside
    found = _check(images)
    assert found["test"]["identical_images"] == 2 and "leaks" in found["test"]["finding"]
    assert found["validation"]["identical_images"] == 0


def test_the_same_image_twice_on_one_side_is_no_leak():
    images = _scenes(80)
    images[61] = images[60]
    check = _check(images)["test"]
    assert check["identical_images"] == 0 and check["near_duplicates"] == 0


def test_planted_groups_are_found():
    groups = np.arange(80)
    groups[[3, 79]] = 500
    check = _check(_scenes(80), groups)["test"]
    assert check["shared_groups"] == 1
    assert "1 of 79 groups on both sides" in check["finding"] and "leaks groups" in check["finding"]


def test_leaky_folds_leak_and_grouped_ones_do_not():
    objects = np.arange(80) // 4  # four frames each of 20 objects
    images = _turned(_scenes(20)[objects])
    rows = development_rows(PARTS)
    folds = make_folds(objects[rows], objects[rows], 4, 0)
    found = _check(images, objects, folds)
    assert found["grouped"]["finding"].endswith("no leak found")
    assert found["grouped"]["shared_groups"] == found["grouped"]["near_duplicates"] == 0
    for kind in ("leaky", "stratified"):
        assert found[kind]["shared_groups"] > 10 and found[kind]["near_duplicates"] > 40
        assert "; leaks: " in found[kind]["finding"]


def test_pairs_are_rows_of_the_store():
    # The development part is not the store's head here: test rows come first.
    parts = np.repeat(np.array([2, 1, 0], np.uint8), (30, 10, 40))
    images = _scenes(80)
    images[75] = _turned(images[35])
    checks = check_leakage(images, np.arange(80), parts, None, 0)["checks"]
    assert checks[1]["nearest_pairs"][0][:2] == [35, 75]


def test_distance_against_definition_in_blocks(monkeypatch):
    monkeypatch.setattr(leakage, "_BLOCK", 7)
    monkeypatch.setattr(leakage, "_CHUNK", 11)
    images = _scenes(50, shape=(2, 16, 24))
    pooled = images.reshape(50, 2, 8, 2, 8, 3).astype(float).mean(axis=(3, 5)).reshape(50, -1)
    side = np.arange(50) % 3
    full = cdist(pooled, pooled) / np.sqrt(pooled.shape[1]) / pooled.std(axis=1)[:, None]
    full[side[:, None] == side] = np.inf
    queries = np.arange(0, 50, 2)
    distance, row = nearest_across(look_at(images), side, queries)
    assert np.abs(distance - full.min(axis=1)[queries]).max() < 1e-4
    assert np.array_equal(row, full.argmin(axis=1)[queries])


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 5, 9), (3, 1, 1), (1, 100, 30)])
def test_uneven_and_small_images_average_to_their_mean(shape):
    images = np.full((3, *shape), 77, np.uint8)
    assert np.allclose(leakage._averages(images), 77)
    assert leakage._averages(images).shape[2:] == tuple(min(8, s) for s in shape[1:])


def test_queries_are_a_seeded_subsample(monkeypatch):
    monkeypatch.setattr(leakage, "QUERIES", 10)
    looks, side = look_at(_scenes(80)), (PARTS == 2)
    arguments = ("x", side, np.flatnonzero(side), np.arange(80), looks)
    first, again, other = (compare(*arguments, seed) for seed in (0, 0, 1))
    assert first == again and first["queries"] == 10
    assert first["median_distance"] != other["median_distance"]
