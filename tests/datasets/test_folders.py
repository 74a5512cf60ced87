import hashlib
import unicodedata

import numpy as np
import pytest

from kelvin.common.errors import KelvinError
from kelvin.datasets.sources.find import load_source
from kelvin.datasets.sources.folders import load_folder, load_folder_images, natural_key


def _values(raw):
    return raw.images[:, 0, 0, 0].tolist()


def test_natural_order():
    names = ["10.png", "2.png", "B/1.png", "a/1.png", "a/01.png", "1.png"]
    ordered = ["1.png", "2.png", "10.png", "a/01.png", "a/1.png", "B/1.png"]
    assert sorted(names, key=natural_key) == ordered


def test_class_folders(load, picture):
    raw = load({"b/10.png": picture(1), "b/2.png": picture(2), "a/1.bmp": picture(3, format="BMP")})
    assert raw.class_names == ["a", "b"]
    assert raw.labels.tolist() == [0, 1, 1]
    assert _values(raw) == [3, 2, 1]
    assert raw.groups.tolist() == [0, 1, 2]
    assert raw.given_test is None
    assert raw.images.dtype == np.uint8 and raw.images.shape == (3, 1, 4, 4)


def test_shuffled_order_is_seeded_and_mixes_the_classes(load, picture):
    contents = {f"{'ab'[i // 20]}/{i}.png": picture(i) for i in range(40)}
    first, again = load(contents, order="shuffled"), load(contents, order="shuffled")
    assert _values(first) == _values(again) != _values(load(contents, order="shuffled", seed=1))
    assert sorted(_values(first)) == list(range(40)) and 5 <= first.labels[:20].sum() <= 15
    assert [v // 20 for v in _values(first)] == first.labels.tolist()
    assert [int(name.split("/")[-1].split(".")[0]) for name in first.files] == _values(first)


@pytest.mark.parametrize("train", ["train", "Training", "TRAIN"])
@pytest.mark.parametrize("test", ["test", "Test", "Validation", "val", "valid", "testing"])
@pytest.mark.parametrize("outer", ["", "fruits-360/", "x/y/"])
def test_split_folders(load, picture, train, test, outer):
    raw = load({
        f"{outer}{train}/a/1.png": picture(1), f"{outer}{test}/a/2.png": picture(2),
        f"{outer}{train}/b/1.png": picture(3),
    })  # fmt: skip
    assert raw.class_names == ["a", "b"]
    assert dict(zip(_values(raw), raw.given_test.tolist(), strict=True)) == {1: 0, 2: 1, 3: 0}
    assert dict(zip(_values(raw), raw.labels.tolist(), strict=True)) == {1: 0, 2: 0, 3: 1}


def test_with_test_and_validation_folders_only_test_is_held_out(load, picture):
    raw = load({f"{s}/a/1.png": picture(i) for i, s in enumerate(["test", "train", "val"])})
    assert _values(raw) == [0, 1, 2]
    assert raw.given_test.tolist() == [True, False, False]


def test_train_alone_gives_no_test(load, picture):
    raw = load({"train/a/1.png": picture(1), "train/b/1.png": picture(2)})
    assert raw.class_names == ["a", "b"] and raw.given_test is None


def test_test_alone_is_refused(load, picture):
    with pytest.raises(KelvinError, match="no training folder"):
        load({"test/a/1.png": picture(1), "test/b/1.png": picture(2)})


@pytest.mark.parametrize("tops", [("train", "dev"), ("train_set", "test_set"), ("train ", "test "),
                                  ("Training Images", "Testing Images"), ("train-data", "val-data"),
                                  ("train2017", "val2017"), ("Train_1", "Test_1"), ("train", "eval"),
                                  ("cifar_train", "cifar_test"), ("01_train", "02_test"),
                                  ("train", "holdout"), ("tr", "te"), ("train", "unlabeled"),
                                  ("entrainement", "test"), ("x-train", "x-val", "x-test")])
def test_parts_by_other_names_are_no_classes(load, picture, tops):
    with pytest.raises(KelvinError, match="are parts of a data set by their names, not classes; call"):
        load({f"{top}/{name}/1.png": picture(1) for top in tops for name in ("cat", "dog")})


def test_parts_below_classes_are_refused(load, picture):
    with pytest.raises(KelvinError, match="class folders hold 'test', 'train'; put the parts above"):
        load({f"{kind}/{at}/1.png": picture(1) for kind in ("cat", "dog") for at in ("train", "test")})
    raw = load({f"{kind}/{at}/1.png": picture(1) for kind in ("cat", "dog") for at in ("left", "test")})
    assert raw.class_names == ["cat", "dog"]


def test_a_class_called_train_is_a_class(load, picture):
    raw = load({"bus/1.png": picture(1), "train/1.png": picture(2)})
    assert raw.class_names == ["bus", "train"]
    raw = load({f"{kind}/{at}/1.png": picture(1) for kind in ("bus", "train") for at in ("day", "night")})
    assert raw.class_names == ["bus", "train"]


@pytest.mark.parametrize("kinds", [("train station", "test tube"), ("latest", "oldest"), ("val", "zoe")])
def test_classes_that_share_a_word_with_a_part_are_classes(load, picture, kinds):
    raw = load({f"{kind}/1.png": picture(i) for i, kind in enumerate(kinds)})
    assert raw.class_names == sorted(kinds)


@pytest.mark.parametrize("outer", ["", "samples/", "train/"])
def test_flat_folder_has_one_class(load, picture, outer):
    raw = load({f"{outer}10.png": picture(1), f"{outer}9.png": picture(2)})
    assert raw.labels.tolist() == [0, 0] and len(raw.class_names) == 1
    assert _values(raw) == [2, 1]


def test_unicode_spaces_and_two_spellings_of_one_class(load, picture):
    name = "Äpfel rot 🍎"
    raw = load({
        f"train/{unicodedata.normalize('NFC', name)}/ü 1.png": picture(1),
        f"test/{unicodedata.normalize('NFD', name)}/ü 1.png": picture(2),
    })  # fmt: skip
    assert raw.class_names == [name]
    assert sorted(raw.given_test) == [False, True]


def test_tar_equals_tree(make_tree, make_tar, make_spec, picture):
    contents = {f"set/{s}/c {i % 3}/{i}.png": picture(i) for s in ("train", "test")
                for i in reversed(range(12))}  # fmt: skip
    paths = [make_tree(contents), make_tar(contents), make_tar(contents, "t.tar.gz")]
    tree, *tars = [load_folder(path, make_spec()) for path in paths]
    for tar in tars:
        for key in ("images", "labels", "groups", "given_test"):
            assert np.array_equal(getattr(tree, key), getattr(tar, key))
        assert tree.class_names == tar.class_names


def test_sizes_and_channels_are_converted_while_reading(load, picture, make_tree):
    contents = {"a/1.png": picture(9, (8, 6)), "a/2.jpg": picture((9, 9, 9), mode="RGB",
                format="JPEG")}  # fmt: skip
    raw = load(contents, image_size=4, channels=1)
    assert raw.images.shape == (2, 1, 4, 4)
    assert np.abs(raw.images.astype(int) - 9).max() <= 1
    with pytest.raises(KelvinError, match=r"set image_size and channels$"):
        load(contents)
    for change, cure in (({"image_size": 4}, "channels"), ({"channels": 1}, "image_size")):
        with pytest.raises(KelvinError, match=f"; set {cure}$"):
            load(contents, **change)
    with pytest.raises(KelvinError, match="; give all one size .--resize. and one number of channels"):
        load_folder_images(make_tree(contents, "loose"), None, None)


def test_class_subset_never_opens_the_others(load, picture):
    raw = load({"a/1.png": b"broken", "b/1.png": picture(1), "c/1.png": picture(2)},
               classes=["c", 1])  # fmt: skip
    assert raw.class_names == ["c", "b"]
    assert dict(zip(_values(raw), raw.labels.tolist(), strict=True)) == {2: 0, 1: 1}


@pytest.mark.parametrize("folders", [("images",), ("data", "images")])
def test_a_folder_between_split_and_classes_is_no_class(load, picture, folders):
    between = "/".join(folders)
    raw = load({f"{part}/{between}/{name}/{i}.png": picture(i) for i, (part, name) in enumerate(
        [("train", "cat"), ("train", "dog"), ("test", "cat")])})  # fmt: skip
    assert raw.class_names == ["cat", "dog"]
    assert dict(zip(_values(raw), raw.labels.tolist(), strict=True)) == {0: 0, 1: 1, 2: 0}
    assert dict(zip(_values(raw), raw.given_test.tolist(), strict=True)) == {0: 0, 1: 0, 2: 1}


@pytest.mark.parametrize("between", ["train", "test"])
def test_a_folder_between_one_split_and_its_classes_is_no_class(load, picture, between):
    parts = [("train", "cat"), ("train", "dog"), ("test", "cat"), ("test", "dog")]
    raw = load({f"{part}/{'images/' * (part == between)}{name}/{i}.png": picture(i)
                for i, (part, name) in enumerate(parts)})  # fmt: skip
    assert raw.class_names == ["cat", "dog"]
    assert dict(zip(_values(raw), raw.labels.tolist(), strict=True)) == {0: 0, 1: 1, 2: 0, 3: 1}
    assert dict(zip(_values(raw), raw.given_test.tolist(), strict=True)) == {0: 0, 1: 0, 2: 1, 3: 1}


def test_a_split_of_one_class_keeps_it(load, picture):
    """Its folders below the class are no classes."""
    raw = load({"train/cat/1.png": picture(1), "train/dog/2.png": picture(2),
                "test/cat/deep/3.png": picture(3)})  # fmt: skip
    assert raw.class_names == ["cat", "dog"]
    assert dict(zip(_values(raw), raw.labels.tolist(), strict=True)) == {1: 0, 2: 1, 3: 0}


@pytest.mark.parametrize("link", ["test", "train/dog", "val"])
def test_a_linked_split_or_class_counts(make_tree, make_spec, picture, tmp_path, link):
    parts = [("train", "cat"), ("train", "dog"), ("test", "cat"), ("val", "cat")]
    root = make_tree({f"{part}/{name}/{i}.png": picture(10 * j + i)
                      for i in range(3) for j, (part, name) in enumerate(parts)})  # fmt: skip
    expected = load_folder(root, make_spec())
    (root / link).rename(tmp_path / "elsewhere")
    (root / link).symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    raw = load_folder(root, make_spec())
    for key in ("images", "labels", "given_test", "class_names", "files"):
        assert np.array_equal(getattr(raw, key), getattr(expected, key))
    assert len(load_folder_images(root, None, None)[0]) == 12


@pytest.mark.parametrize(
    "suffix", ["png", "jpg", "jpeg", "jpe", "jfif", "bmp", "tif", "tiff", "webp", "JPG"])
def test_every_suffix_of_a_picture(load, picture, suffix):
    kind = {"j": "JPEG", "t": "TIFF", "w": "WEBP", "p": "PNG", "b": "BMP"}[suffix[0].lower()]
    raw = load({"a/1.png": picture((9, 9, 9), mode="RGB"),
                f"a/2.{suffix}": picture((9, 9, 9), mode="RGB", format=kind)})  # fmt: skip
    assert np.abs(raw.images.astype(int) - 9).max() <= 1 and len(raw.images) == 2


def test_class_names_are_chosen_in_any_spelling(load, picture):
    contents = {unicodedata.normalize("NFC", "Grün/1.png"): picture(1), "Blau/2.png": picture(2)}
    raw = load(contents, classes=[unicodedata.normalize("NFD", "Grün")])
    assert raw.class_names == ["Grün"] and _values(raw) == [1]


def test_checksum_follows_the_content(load, picture):
    first = load({"a/1.png": picture(1)}).checksums
    assert load({"a/1.png": picture(1)}).checksums == first
    assert load({"a/1.png": picture(2)}).checksums != first
    assert list(first) == ["tree"]


def test_folder_images_for_scoring(make_tree, make_tar, picture):
    contents = {f"{i}.png": picture(i) for i in (1, 2, 10)} | {"x/3.png": picture(3)}
    images, digest = load_folder_images(make_tree(contents), None, None)
    assert images[:, 0, 0, 0].tolist() == [1, 2, 10, 3]
    assert digest == hashlib.sha256(b"(4, 1, 4, 4)\0" + images.tobytes()).hexdigest()
    again, same = load_folder_images(str(make_tar(contents)), None, None)
    assert np.array_equal(images, again) and same == digest
    assert load_folder_images(make_tree(contents), 2, 3)[0].shape == (4, 3, 2, 2)
    assert load_folder_images(make_tree(contents), 2, None)[1] != digest


@pytest.mark.parametrize("typed", ["NFC", "NFD"])
@pytest.mark.parametrize("stored", ["NFC", "NFD"])
def test_every_name_may_be_spelt_in_two_ways(make_tree, make_spec, picture, tmp_path, typed, stored):
    def on_disk(name):
        return unicodedata.normalize(stored, name)

    def written(name):
        return unicodedata.normalize(typed, name)

    names = [f"Grün {i % 2}/Öl {i}.png" for i in range(6)]
    make_tree({on_disk(name): picture(i) for i, name in enumerate(names)}, on_disk("Meine Bilder ü"))
    rows = "".join(f"{written(name)},Größe {i % 3}\n" for i, name in enumerate(names))
    (tmp_path / on_disk("Gruppen ä.csv")).write_text(f"file,group\n{rows}", "utf-8")
    spec = make_spec(path=written("Meine Bilder ü"), classes=[written("Grün 1")],
                     groups={"csv": written("Gruppen ä.csv")})  # fmt: skip
    raw = load_source(spec, [tmp_path])
    assert raw.class_names == ["Grün 1"] and sorted(_values(raw)) == [1, 3, 5]
    assert len(set(raw.groups)) == 3
    by_pattern = make_spec(path=spec.path, groups={"pattern": written("(Öl) ")})
    assert set(load_source(by_pattern, [tmp_path]).groups) == {0}
