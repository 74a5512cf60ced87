import hashlib
import json
from types import SimpleNamespace

import numpy as np
import pytest

from kelvin.common.errors import KelvinError
from kelvin.datasets.preparation import prepare
from kelvin.datasets.splitting.folds import held_out, read_folds
from kelvin.datasets.store import PreparedStore


def test_digits_have_the_promised_sizes(make_spec, tmp_path):
    spec = make_spec(source="sklearn", name="digits", validation=180, test=540)
    manifest = prepare("digits", spec, {}, tmp_path / "digits")
    assert manifest["sizes"] == {"train": 1077, "validation": 180, "test": 540}
    assert manifest["grey_levels"] == 17 and manifest["dataset"] == "digits"
    store = PreparedStore(tmp_path / "digits")
    store.verify()
    assert store.manifest == manifest
    assert len(store.reference().images) == 1257
    for part in ("train", "validation", "test"):
        shares = np.bincount(store.split(part).labels) / manifest["sizes"][part]
        assert np.abs(shares - np.bincount(store.labels) / 1797).max() < 1 / 180


def test_preparing_twice_gives_the_same_bytes(make_spec, tmp_path):
    for seed in (0, 0, 1):
        spec = make_spec(source="sklearn", name="digits", validation=0.1, test=0.3, seed=seed)
        prepare("digits", spec, {}, tmp_path / f"{len(list(tmp_path.iterdir()))}")
    digests = [PreparedStore(tmp_path / str(i)).digest for i in range(3)]
    assert digests[0] == digests[1] != digests[2]


def test_a_tar_under_kelvin_data(make_spec, make_tar, picture, tmp_path):
    part = {"train": range(8), "test": range(8, 12)}
    path = make_tar({f"set/{s}/{'ab'[i % 2]}/{i}.png": picture(i)
                     for s, indices in part.items() for i in indices})  # fmt: skip
    manifest = prepare(
        "mine", make_spec(path=path.name), {"KELVIN_DATA": str(tmp_path)}, tmp_path / "out"
    )
    assert manifest["sizes"] == {"train": 6, "validation": 2, "test": 4}
    assert list(manifest["sources"]) == ["tree.tar"]
    # The machine's own paths never enter the store.
    assert str(tmp_path) not in (tmp_path / "out/manifest.json").read_text()


def test_an_error_names_the_data_set_and_writes_nothing(make_spec, tmp_path):
    spec = make_spec(source="sklearn", name="digits", validation=180, test=1797)
    with pytest.raises(KelvinError, match=r"^datasets\.digits: test: 1797 means 1797 images of 1797"):
        prepare("digits", spec, {}, tmp_path / "digits")
    assert not any(tmp_path.iterdir())


def test_a_source_without_a_test_part_gives_three_tenths_of_its_images(make_spec, tmp_path):
    spec = make_spec(source="sklearn", name="digits", validation=0.1, test=None)
    sizes = prepare("digits", spec, {}, tmp_path / "digits")["sizes"]
    assert sizes == {"train": 1132, "validation": 126, "test": 539}  # 0.3 x 1797, 0.1 x 1258


FOLDS = SimpleNamespace(k=5, seed=0)


def test_digits_are_what_they_were_before_there_were_folds(make_spec, tmp_path):
    spec = make_spec(source="sklearn", name="digits", channels=1, validation=180, test=540,
                     groups={"blocks": 13}, folds=FOLDS)  # fmt: skip
    prepare("digits", spec, {}, tmp_path / "digits")
    hashes = {
        key: hashlib.sha256(np.load(tmp_path / f"digits/{key}.npy").tobytes()).hexdigest()[:16]
        for key in ("images", "labels", "split")
    }
    # Of version 0.3.0: every result under reports/ rests on these.
    assert hashes == {
        "images": "b41ca9fd335466ee", "labels": "a3c91c262eddcf7b", "split": "cceceb028400b032"
    }  # fmt: skip


def test_folds_and_findings_lie_beside_the_store_and_change_no_digest(make_spec, tmp_path):
    spec = {"source": "sklearn", "name": "digits", "validation": 180, "test": 540}
    prepare("digits", make_spec(**spec), {}, tmp_path / "plain")
    for name in ("folds", "again"):
        prepare("digits", make_spec(**spec, folds=FOLDS), {}, tmp_path / name)
    assert not (tmp_path / "plain/folds.json").exists()
    stores = [PreparedStore(tmp_path / name) for name in ("plain", "folds", "again")]
    assert len({store.digest for store in stores}) == 1
    for file in ("folds.json", "leakage.json"):
        assert (tmp_path / "folds" / file).read_bytes() == (tmp_path / "again" / file).read_bytes()
    assert len(read_folds(tmp_path / "folds").fold("leaky")) == 1257
    held = held_out(stores[1], "stratified", 4)
    assert len(held.train) + len(held.validation) == 1257 and not len(held.seen)


def test_every_store_is_checked_for_leaks(make_spec, make_tree, picture, tmp_path):
    # Two grey fruits a kind, told apart by nothing but their level.
    make_tree({f"{part}/Apple {i}/{frame}_100.png": picture(20 * i + frame)
               for part, frames in (("Training", range(6)), ("Test", range(6, 9)))
               for i in range(6) for frame in frames})  # fmt: skip
    spec = make_spec(groups="folder", folds=SimpleNamespace(k=3, seed=0))
    prepare("mine", spec, {"KELVIN_DATA": str(tmp_path)}, tmp_path / "out")
    checks = json.loads((tmp_path / "out/leakage.json").read_text())["checks"]
    shared = {check["split"].split()[0]: check["shared_groups"] for check in checks}
    assert shared == {"test": 6, "validation": 6, "grouped": 0, "stratified": 6, "leaky": 6}
    store = PreparedStore(tmp_path / "out")
    files = json.loads((tmp_path / "out/files.json").read_text())
    test_files = [file for file, part in zip(files, store.parts, strict=True) if part == 2]
    for r in range(3):
        held = held_out(store, "grouped", r)
        assert len(held.test) == 6 and len(held.seen) == 12
        fruits = {test_files[i].split("/")[1] for i in held.test}
        assert not fruits & {test_files[i].split("/")[1] for i in held.seen}


def test_folds_that_cannot_be_drawn_name_the_data_set(make_spec, make_tree, picture, tmp_path):
    make_tree({f"{c}/{i}.png": picture(i) for c in "ab" for i in range(6)})
    spec = make_spec(test=4, groups="folder", folds=FOLDS)
    with pytest.raises(KelvinError, match=r"^datasets\.mine: folds: k = 5, but .* only 2 groups"):
        prepare("mine", spec, {"KELVIN_DATA": str(tmp_path)}, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["tree"]


def test_a_grouped_fold_of_one_image_is_refused_before_decoding(
    make_spec, make_tree, picture, tmp_path, monkeypatch
):
    """30 of 32 images outside the test part are of one object: two of three folds hold one each."""
    names = [f"{part}/{'ab'[i % 2]}/{i}.png"
             for part, n in (("train", 32), ("test", 8)) for i in range(n)]
    rows = [f"{name},{'whole' if i < 30 else i}" for i, name in enumerate(names)]
    table = "\n".join(["file,group", *rows]).encode()
    make_tree(dict.fromkeys(names, picture()) | {"g.csv": table})
    monkeypatch.setattr("kelvin.datasets.sources.folders.read_images",
                        lambda *_, **__: pytest.fail("decoded"))
    spec = make_spec(groups={"csv": "g.csv"}, folds=SimpleNamespace(k=3, seed=0))
    with pytest.raises(KelvinError, match=r"^datasets\.mine: folds: k = 3 comes to a grouped fold of 1 "
                                          r"of the 32 images .* at least 2; lower k, other groups, or"):
        prepare("mine", spec, {"KELVIN_DATA": str(tmp_path)}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_was_left_out_is_listed_once_and_makes_no_other_data_set(
    make_spec, make_tree, picture, tmp_path, caplog
):
    root = make_tree({f"cat/{i}.png": picture(i) for i in range(8)})
    environ, spec = {"KELVIN_DATA": str(tmp_path)}, make_spec(test=2)
    prepare("mine", spec, environ, tmp_path / "out")
    before = PreparedStore(tmp_path / "out").digest
    assert not (tmp_path / "out/left_out.json").exists()
    make_tree({"LICENSE": b"x", "cat/@eaDir/1.png/X.jpg": picture(9), "docs/a.md": b"x"})
    with caplog.at_level("INFO", logger="kelvin"):
        prepare("mine", spec, environ, tmp_path / "out")
    listed = json.loads((tmp_path / "out/left_out.json").read_text())
    assert [entry["file"] for entry in listed] == ["cat/@eaDir/", "docs/", "LICENSE"]
    (line,) = [message for message in caplog.messages if "left out" in message]
    assert line.startswith("mine: left out, no picture: 'cat/@eaDir/'") and str(root) not in line
    assert PreparedStore(tmp_path / "out").digest == before


def test_the_default_digits_are_split_by_writer(params, tmp_path):
    """Whole blocks of the 13 on one side, by leakage.json itself; all classes everywhere."""
    manifest = prepare("digits", params.images, {}, tmp_path / "digits")
    assert manifest["sizes"] == {"train": 1106, "validation": 138, "test": 553}
    found = json.loads((tmp_path / "digits/leakage.json").read_text())
    checks = {check["split"]: check for check in found["checks"]}
    for split in ("test part against training and validation", "validation part against training"):
        assert checks[split]["shared_groups"] == 0, checks[split]
    store = PreparedStore(tmp_path / "digits")
    by_part = [set(store.groups[store.parts == part]) for part in range(3)]
    assert [len(groups) for groups in by_part] == [8, 1, 4]
    for part in ("train", "validation", "test"):
        assert len(set(store.split(part).labels)) == 10
    assert len(set(store.groups[store.parts == 2][:64])) == 4, "a part's head is of all its writers"
