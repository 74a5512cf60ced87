"""A view of some classes of a store: the same images as picked by hand, in every part."""

from types import SimpleNamespace

import numpy as np
import pytest

from kelvin.common.errors import KelvinError
from kelvin.datasets.sources.raw import RawData
from kelvin.datasets.splitting.classes import restricted
from kelvin.datasets.store import PreparedStore, write_store


@pytest.fixture
def store(tmp_path):
    rng = np.random.default_rng(0)
    raw = RawData(rng.integers(0, 256, (90, 1, 4, 4), dtype=np.uint8), np.arange(90) % 3,
                  ["a", "b", "c"], np.arange(90), checksums={})
    parts = np.repeat([0, 1, 2], 30)
    parts[(raw.labels == 2) & (parts == 1)] = 0  # class c has no validation image
    write_store(tmp_path / "s", "s", raw, parts, SimpleNamespace(licence="free", seed=0))
    return PreparedStore(tmp_path / "s")


def test_every_part_holds_these_classes_only_in_order(store):
    view = restricted(store, [2, 0])
    for part in ("train", "validation", "test"):
        whole, some = store.split(part), view.split(part)
        keep = [i for i, label in enumerate(whole.labels) if label in (0, 2)]
        assert np.array_equal(some.images, whole.images[keep])
        assert np.array_equal(some.labels, whole.labels[keep])
    assert len(view.reference().images) == len(view.split("train").images) + len(
        view.split("validation").images)
    assert not set(view.reference().indices) & set(view.split("test").indices)
    assert set(view.reference().labels) == {0, 2}
    assert view.class_names == store.class_names and view.digest == store.digest
    assert len(store.split("train").images) == 40  # the store itself is as it was


def test_no_classes_is_the_store_itself(store):
    assert restricted(store, None) is store


@pytest.mark.parametrize("classes, sentence", [
    ([0, 3], r"classes: 3 is no class here; choose from .*indices 0 to 2"),
    ([1, 1], "classes: 1 is listed twice"), ([2], r"classes: \[2\] leaves no validation image")])
def test_refused(store, classes, sentence):
    with pytest.raises(KelvinError, match=sentence):
        restricted(store, classes)
