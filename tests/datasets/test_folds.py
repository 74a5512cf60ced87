from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kelvin.common.errors import KelvinError
from kelvin.datasets.splitting.folds import (
    KINDS,
    development_rows,
    folds_text,
    held_out,
    make_folds,
    read_folds,
)


@st.composite
def data_sets(draw):
    """(labels, groups, k, seed) with groups of any size, crossing classes or not."""
    sizes = draw(st.lists(st.integers(1, 9), min_size=2, max_size=30))
    groups = np.repeat(np.arange(len(sizes)), sizes)
    crossing = draw(st.booleans())
    spread = groups if not crossing else np.arange(len(groups))
    labels = spread % draw(st.integers(1, 5))
    order = np.random.default_rng(draw(st.integers(0, 99))).permutation(len(groups))
    k = draw(st.integers(2, min(7, len(sizes))))
    return labels[order], groups[order] * 7 - 3, k, draw(st.integers(0, 2**32 - 1))


@settings(max_examples=150, deadline=None)
@given(data_sets())
def test_no_group_on_both_sides_and_no_fold_empty(data):
    labels, groups, k, seed = data
    folds = make_folds(labels, groups, k, seed)
    for kind in KINDS:
        fold = folds.fold(kind)
        assert fold.dtype == np.int16 and fold.shape == labels.shape
        assert set(fold.tolist()) == set(range(k)) or kind != "grouped" and len(labels) < k
    for r in range(k):
        held = folds.fold("grouped") == r
        assert not set(groups[held]) & set(groups[~held])
    sizes = np.bincount(folds.fold("leaky"), minlength=k)
    assert np.ptp(sizes) <= 1


@settings(max_examples=50, deadline=None)
@given(data_sets())
def test_stratified_folds_deal_out_every_class_evenly(data):
    labels, groups, k, seed = data
    fold = make_folds(labels, groups, k, seed).fold("stratified")
    assert np.ptp(np.bincount(fold, minlength=k)) <= 1
    for label in np.unique(labels):
        assert np.ptp(np.bincount(fold[labels == label], minlength=k)) <= 1


def test_grouped_folds_are_as_even_as_equal_groups_allow():
    groups = np.repeat(np.arange(20), 30)  # one fruit a class, as in Fruits-360
    fold = make_folds(groups, groups, 5, 3).fold("grouped")
    assert np.bincount(fold).tolist() == [120] * 5
    labels = np.arange(600) % 3  # groups that hold all classes alike
    fold = make_folds(labels, groups, 5, 3).fold("grouped")
    for label in range(3):
        assert np.bincount(fold[labels == label]).tolist() == [40] * 5


def test_grouped_folds_spread_classes_of_many_groups():
    labels = np.repeat([0, 1], 50)
    groups = np.arange(100) // 5
    fold = make_folds(labels, groups, 5, 0).fold("grouped")
    for label in (0, 1):
        assert np.bincount(fold[labels == label]).tolist() == [10] * 5


def test_single_images_make_grouped_folds_stratified():
    labels = np.arange(50) % 4
    folds = make_folds(labels, np.arange(50), 5, 1)
    assert np.array_equal(folds.fold("grouped"), folds.fold("stratified"))


def test_leaky_folds_part_the_frames_of_an_object():
    groups = np.repeat(np.arange(10), 20)
    fold = make_folds(groups, groups, 5, 0).fold("leaky")
    assert all(len(set(fold[groups == g])) > 1 for g in range(10))


def test_the_seed_alone_decides():
    labels, groups = np.arange(120) % 3, np.arange(120) // 4
    first, again, other = (make_folds(labels, groups, 5, seed) for seed in (0, 0, 1))
    for kind in KINDS:
        assert np.array_equal(first.fold(kind), again.fold(kind))
        assert not np.array_equal(first.fold(kind), other.fold(kind))


def test_what_cannot_be_folded_is_refused():
    with pytest.raises(KelvinError, match="k = 5, but .* form only 3 groups; choose k up to 3"):
        make_folds(np.zeros(30, int), np.arange(30) % 3, 5, 0)
    with pytest.raises(KelvinError, match="form only 1 group; choose other groups, or folds: null"):
        make_folds(np.zeros(30, int), np.zeros(30, int), 5, 0)
    with pytest.raises(KelvinError, match="k = 1 holds nothing out"):
        make_folds(np.zeros(30, int), np.arange(30), 1, 0)
    with pytest.raises(KelvinError, match="'random' are unknown; choose from grouped, strat"):
        make_folds(np.zeros(30, int), np.arange(30), 2, 0).fold("random")


@pytest.fixture
def store(tmp_path):
    """12 images of 4 groups; rows 3 and 7 validation; test: 2, 6, 10 and, of a fifth group, 11."""
    parts = np.array([0, 0, 2, 1, 0, 0, 2, 1, 0, 0, 2, 2], np.uint8)
    groups = np.array([0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 0, 9])
    groups[[5, 9]] = 2
    rows = development_rows(parts)
    folds = make_folds(groups[rows], groups[rows], 2, 0)
    (tmp_path / "folds.json").write_text(folds_text(folds))
    return SimpleNamespace(folder=tmp_path, parts=parts, groups=groups)


def test_the_development_part_is_train_then_validation(store):
    assert development_rows(store.parts).tolist() == [0, 1, 4, 5, 8, 9, 3, 7]


def test_round_trip(store):
    folds = read_folds(store.folder)
    rows = development_rows(store.parts)
    again = make_folds(store.groups[rows], store.groups[rows], 2, 0)
    assert (folds.k, folds.seed) == (2, 0)
    for kind in KINDS:
        assert np.array_equal(folds.fold(kind), again.fold(kind)) and folds.fold(kind).dtype == np.int16


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("r", [0, 1])
def test_held_out_against_a_slow_loop(store, kind, r):
    held = held_out(store, kind, r)
    fold, rows = read_folds(store.folder).fold(kind), development_rows(store.parts).tolist()
    assert held.train.tolist() == [i for i in range(8) if fold[i] != r]
    assert held.validation.tolist() == [i for i in range(8) if fold[i] == r]
    trained = {store.groups[rows[i]] for i in held.train}
    apart = {store.groups[rows[i]] for i in held.validation} - trained
    test = [store.groups[row] for row in range(12) if store.parts[row] == 2]
    assert held.seen.tolist() == [i for i, g in enumerate(test) if g in trained]
    wanted = [i for i, g in enumerate(test) if g in apart] if kind == "grouped" else []
    assert held.test.tolist() == wanted
    if kind == "grouped":
        assert not set(held.test) & set(held.seen) and len(held.test) + len(held.seen) == 3


def test_a_replicate_without_a_fold_and_damaged_files_are_one_sentence(store):
    with pytest.raises(KelvinError, match="replicate 2 would hold out fold 2, .* are 0 to 1"):
        held_out(store, "grouped", 2)
    store.parts = np.append(store.parts, 0).astype(np.uint8)
    with pytest.raises(KelvinError, match="8 images where the store has 9"):
        held_out(store, "grouped", 0)
    (store.folder / "folds.json").write_text('{"k": 2}')
    with pytest.raises(KelvinError, match="damaged.*run `prepare` again"):
        read_folds(store.folder)
    (store.folder / "folds.json").unlink()
    with pytest.raises(KelvinError, match="has no folds; set datasets"):
        read_folds(store.folder)
