import hashlib
import json
import shutil

import numpy as np
import pytest
from conftest import ROOT

from kelvin.common.errors import KelvinError
from kelvin.datasets.sources.raw import RawData
from kelvin.datasets.store import PreparedStore, to_unit, write_store

SPLIT = np.array([0, 2, 1, 0, 0, 1, 2, 0], np.uint8)


@pytest.fixture
def raw(random_images):
    return RawData(
        images=random_images(8, (3, 5, 4)), labels=np.array([0, 1, 1, 0, 1, 0, 0, 1]),
        class_names=["Äpfel", "b"], groups=np.arange(8) * 3, grey_levels=17,
        checksums={"x.tar": "sha256:0"}, skipped=[{"file": "ü.png", "why": "broken"}],
    )  # fmt: skip


@pytest.fixture
def folder(raw, make_spec, tmp_path):
    write_store(tmp_path / "prepared/set", "set", raw, SPLIT, make_spec(seed=5))
    return tmp_path / "prepared/set"


def _contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_round_trip(folder, raw):
    store = PreparedStore(folder)
    assert isinstance(store.images, np.memmap)
    for ours, theirs in ((store.images, raw.images), (store.labels, raw.labels),
                         (store.groups, raw.groups), (store.parts, SPLIT)):  # fmt: skip
        assert np.array_equal(ours, theirs)
    assert store.class_names == raw.class_names
    store.verify()


def test_splits_and_reference(folder, raw):
    store = PreparedStore(folder)
    rows = {"train": [0, 3, 4, 7], "validation": [2, 5], "test": [1, 6]}
    for part, indices in rows.items():
        split = store.split(part)
        assert split.indices.tolist() == indices
        assert np.array_equal(split.images, raw.images[indices])
        assert split.images.dtype == np.uint8 and not isinstance(split.images, np.memmap)
        assert np.array_equal(split.labels, raw.labels[indices])
        assert np.array_equal(split.groups, raw.groups[indices])
        assert np.array_equal(split.first(1).images, raw.images[indices[:1]])
    assert store.reference().indices.tolist() == [0, 2, 3, 4, 5, 7]
    with pytest.raises(KelvinError, match="'dev' is unknown; choose from train"):
        store.split("dev")


def test_manifest(folder, raw):
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    hashes = {
        key: hashlib.sha256((folder / f"{key}.npy").read_bytes()).hexdigest()
        for key in ("images", "labels", "groups", "split")
    }
    assert manifest == {
        "dataset": "set", "licence": "CC0", "seed": 5, "grey_levels": 17,
        "sizes": {"train": 4, "validation": 2, "test": 2}, "image_shape": [3, 5, 4],
        "classes": [{"name": "Äpfel", "train": 2, "validation": 1, "test": 1},
                    {"name": "b", "train": 2, "validation": 1, "test": 1}],
        "sha256": hashes, "sources": raw.checksums, "skipped": raw.skipped,
    }  # fmt: skip


def test_the_same_input_gives_the_same_bytes(folder, raw, make_spec, tmp_path):
    # Other memory layout, other folder: neither may show.
    turned = RawData(**vars(raw) | {"images": np.asfortranarray(raw.images)})
    write_store(tmp_path / "again", "set", turned, SPLIT, make_spec(seed=5))
    assert _contents(tmp_path / "again") == _contents(folder)
    assert PreparedStore(folder).digest == PreparedStore(tmp_path / "again").digest


def test_the_digest_sees_pixels_split_and_source(folder, raw, make_spec, tmp_path):
    def digest(split=SPLIT, **changes):
        changed = RawData(**vars(raw) | changes)
        write_store(tmp_path / "other", "set", changed, split, make_spec(seed=5))
        return PreparedStore(tmp_path / "other").digest

    base = PreparedStore(folder).digest
    assert digest() == base
    assert digest(images=raw.images ^ 1) != base
    assert digest(split=np.roll(SPLIT, 1)) != base
    assert digest(checksums={}) != base


def test_a_store_is_replaced_whole_and_nothing_is_left_behind(folder, raw, make_spec):
    (folder / "stale.npy").write_bytes(b"x")
    write_store(folder, "set", raw, SPLIT, make_spec(seed=6))
    assert sorted(_contents(folder)) == [
        "groups.npy", "images.npy", "labels.npy", "manifest.json", "split.npy"
    ]  # fmt: skip
    assert [path.name for path in folder.parent.iterdir()] == ["set"]


def test_a_failed_write_leaves_the_old_store(folder, raw, make_spec, monkeypatch):
    before = _contents(folder)

    def full(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OSError, match="disk full"):
        write_store(folder, "set", raw, SPLIT, make_spec())
    assert _contents(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == ["set"]


@pytest.mark.parametrize(
    "file", ["manifest.json", "images.npy", "labels.npy", "groups.npy", "split.npy"]
)
def test_missing_and_cut_files_are_refused(folder, file):
    path = folder / file
    content = path.read_bytes()
    for cut in (0, 20, len(content) - 3):
        path.write_bytes(content[:cut])
        with pytest.raises(KelvinError, match="run `prepare` again"):
            PreparedStore(folder)
    path.unlink()
    with pytest.raises(KelvinError, match=f"{file} is missing.*run the stage `prepare`"):
        PreparedStore(folder)


def test_a_missing_store_is_one_sentence(tmp_path):
    with pytest.raises(KelvinError, match="no prepared data set"):
        PreparedStore(tmp_path / "none")


@pytest.mark.parametrize(
    ("file", "array"),
    [("labels", np.zeros(8, np.int64)), ("labels", np.full(8, 7)), ("labels", np.zeros(7, int)),
     ("split", np.zeros(8, np.uint8)), ("split", np.full(8, 3, np.uint8)),
     ("images", np.zeros((8, 3, 4, 5), np.uint8)), ("images", np.zeros((8, 3, 5, 4), np.int8)),
     ("groups", np.zeros(9, np.int64))],
)  # fmt: skip
def test_arrays_that_do_not_fit_the_manifest_are_refused(folder, file, array):
    np.save(folder / f"{file}.npy", array)
    with pytest.raises(KelvinError, match="run `prepare` again"):
        PreparedStore(folder)


@pytest.mark.parametrize("key", ["sizes", "image_shape", "classes", "sha256", "licence", "sources",
                                 "grey_levels", "skipped"])
def test_a_manifest_without_a_key_or_with_one_of_another_type_is_refused(folder, key):
    path = folder / "manifest.json"
    whole = json.loads(path.read_text())
    for tree in ({k: v for k, v in whole.items() if k != key}, whole | {key: [[None]]}):
        path.write_text(json.dumps(tree))
        with pytest.raises(KelvinError, match=f"damaged .manifest.json: .*{key}.* run `prepare` again"):
            PreparedStore(folder)


def test_a_checksum_that_the_manifest_has_not_is_refused(folder):
    path = folder / "manifest.json"
    whole = json.loads(path.read_text())
    del whole["sha256"]["groups"]
    path.write_text(json.dumps(whole))
    with pytest.raises(KelvinError, match=r"groups\.npy: its sha256"):
        PreparedStore.verified(folder)


def test_every_stage_that_opens_a_store_verifies_it():
    """What DVC checks out of a damaged cache is not taken for good."""
    texts = {path.stem: path.read_text() for path in (ROOT / "stages").glob("*.py")}
    assert not [name for name, text in texts.items() if "PreparedStore(" in text]
    assert {name for name, text in texts.items() if "PreparedStore.verified(" in text} == {
        "classifier", "reference", "calibrate", "pretrain", "train", "sample", "evaluate"}


def test_verify_names_the_damaged_array(folder):
    content = bytearray((folder / "images.npy").read_bytes())
    content[-1] ^= 1
    (folder / "images.npy").write_bytes(content)
    store = PreparedStore(folder)  # the shape still fits: only the checksum can tell
    with pytest.raises(KelvinError, match=r"images\.npy: its sha256"):
        store.verify()


def test_a_store_without_validation(raw, make_spec, tmp_path):
    write_store(tmp_path / "s", "s", raw, np.where(SPLIT == 1, 0, SPLIT), make_spec())
    assert PreparedStore(tmp_path / "s").split("validation").images.shape == (0, 3, 5, 4)


def test_the_store_does_not_need_its_place(folder, tmp_path):
    digest = PreparedStore(folder).digest
    shutil.move(folder, tmp_path / "moved")
    moved = PreparedStore(tmp_path / "moved")
    moved.verify()
    assert moved.digest == digest


def test_unit_images_round_back_to_the_same_256_values():
    values = np.arange(256, dtype=np.uint8)
    unit = to_unit(values)
    assert unit.dtype == np.float32 and unit.min() == 0 and unit.max() == 1
    assert np.abs(unit - values / 255).max() < 1e-7
    assert np.array_equal(np.rint(unit * 255), values)


def test_unit_takes_stored_images_only():
    with pytest.raises(KelvinError, match="not float64"):
        to_unit(np.zeros(3))
