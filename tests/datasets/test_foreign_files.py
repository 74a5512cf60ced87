"""Broken, foreign and harmless files of a folder: refused, skipped or listed, each by its name."""

import pytest

from kelvin.common.errors import KelvinError
from kelvin.datasets.sources.folders import load_folder, load_folder_images


def _values(raw):
    return raw.images[:, 0, 0, 0].tolist()


BROKEN = {
    "truncated.jpg": lambda picture: picture(5, (64, 64), format="JPEG")[:-40],
    "truncated.png": lambda picture: picture(5, (64, 64))[:60],
    "empty.png": lambda picture: b"",
    "text.png": lambda picture: b"<html>not found</html>",
    "gif.png": lambda picture: picture(5, format="GIF"),
    "deep.tif": lambda picture: picture(5, mode="F", format="TIFF"),
    "glass.png": lambda picture: picture((5, 5, 5, 0), mode="RGBA"),
    "moving.gif": lambda picture: picture(5, format="GIF"),
    "numbers.npy": lambda picture: b"1,2",
    "without a suffix": lambda picture: picture(5),
}


@pytest.mark.parametrize("bad", BROKEN)
def test_a_bad_file_is_named_and_refused_or_skipped(load, picture, bad):
    contents = {"ä/1.png": picture(1), f"ä/{bad}": BROKEN[bad](picture), "b/2.png": picture(2)}
    with pytest.raises(KelvinError, match=f"'ä/{bad}' is|'ä/{bad}' has"):
        load(contents)
    raw = load(contents, on_error="skip")
    assert dict(zip(_values(raw), raw.labels.tolist(), strict=True)) == {1: 1, 2: 0}
    assert [entry["file"] for entry in raw.skipped] == [f"ä/{bad}"]
    assert "0x" not in raw.skipped[0]["why"]  # an address would change from run to run


def test_bad_files_are_counted(load, picture):
    with pytest.raises(KelvinError, match=r"'a/2.png' .*\(and 2 more like it\)"):
        load({"a/1.png": picture(1)} | {f"a/{i}.png": b"x" for i in (2, 3, 10)})


def test_images_outside_the_layout_are_foreign(load, picture):
    beside = {"a/1.png": picture(1), "preview.png": picture(2)}
    with pytest.raises(KelvinError, match=r"'preview.png' lies beside class folders"):
        load(beside)
    assert _values(load(beside, on_error="skip")) == [1]


def test_images_outside_the_splits_are_foreign(load, picture):
    contents = {f"{s}/a/1.png": picture(i) for i, s in enumerate(["papers", "test", "train"])}
    with pytest.raises(KelvinError, match=r"'papers/a/1.png' lies outside the split"):
        load(contents)
    assert _values(load(contents, on_error="skip")) == [1, 2]


def test_hidden_files_are_not_looked_at(load, picture):
    raw = load({"a/1.png": picture(1), ".DS_Store": b"x", "a/._1.png": b"x", ".git/x": b"x"})
    assert len(raw.images) == 1 and raw.skipped == []
    assert {entry["file"] for entry in raw.left_out} == {".DS_Store", "a/._1.png", ".git/"}


HARMLESS = {
    "__MACOSX/": ["__MACOSX/data/cat/._1.png", "__MACOSX/data/cat/1.png"],
    "data/cat/@eaDir/": ["data/cat/@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg"],
    "data/cat/.ipynb_checkpoints/": ["data/cat/.ipynb_checkpoints/1-checkpoint.png"],
    "lost+found/": ["lost+found/#123.png"],
    "$RECYCLE.BIN/": ["$RECYCLE.BIN/1.png"],
    "docs/": ["docs/api/x.txt", "docs/LICENSE"],
    "data/docs/": ["data/docs/readme.md"],
    "data/cat/Thumbs.db": ["data/cat/Thumbs.db"],
    "data/cat/Thumbs.db:encryptable": ["data/cat/Thumbs.db:encryptable"],
    "found.000/": ["found.000/file0001.chk"],
    "FOUND.017/": ["FOUND.017/1.png"],
    "data/cat/1.png:Zone.Identifier": ["data/cat/1.png:Zone.Identifier"],
    "data/desktop.ini": ["data/desktop.ini"],
    "LICENSE": ["LICENSE"],
    "data/README": ["data/README"],
    "data/cat/labels.csv": ["data/cat/labels.csv"],
    "data/empty/": ["data/empty/"],
}
CLASSES = {"data/cat/1.png": 1, "data/cat/2.jfif": 2, "data/dog/3.png": 3, "data/dog/deep/4.png": 4}


@pytest.mark.parametrize("kind", ["tree", "tree.tar", "tree.zip"])
@pytest.mark.parametrize("name", [*HARMLESS, "all"])
def test_what_is_no_picture_stops_nothing_and_is_listed_once(
    make_tree, make_tar, make_zip, make_spec, picture, kind, name
):
    make = {"tree": make_tree, "tree.tar": make_tar, "tree.zip": make_zip}[kind]
    names = list(HARMLESS) if name == "all" else [name]
    beside = [file for key in names for file in HARMLESS[key] if kind == "tree.zip" or file[-1] != "/"]
    pictures = {file: picture(value, format="JPEG" if file.endswith("jfif") else "PNG")
                for file, value in CLASSES.items()}  # fmt: skip
    root = make(pictures | {file: b"" if file[-1] == "/" else picture(9) for file in beside}, kind)
    if kind == "tree":
        (root / "data/empty").mkdir(exist_ok=True)
        names = sorted({*names, "data/empty/"})
    elif kind == "tree.tar":
        names = [key for key in names if key != "data/empty/"]
    raw = load_folder(root, make_spec())
    assert raw.class_names == ["cat", "dog"] and raw.labels.tolist() == [0, 0, 1, 1]
    assert _values(raw) == [1, 2, 3, 4] and raw.skipped == []
    assert sorted(entry["file"] for entry in raw.left_out) == sorted(names)
    assert len(load_folder_images(root, None, None)[0]) == 4


def test_foreign_files_are_refused_before_any_image_is_decoded(load, picture, monkeypatch):
    def decode(*arguments):
        raise AssertionError("decoded")

    monkeypatch.setattr("kelvin.datasets.sources.folders.read_images", decode)
    with pytest.raises(KelvinError, match="'a/film.gif' is not a PNG, JPEG"):
        load({"a/1.png": picture(1), "a/film.gif": b"x"})


def test_advice_names_a_key_only_where_there_is_one(load, make_tree, picture):
    for bad in ("2.gif", "2.png"):
        contents = {"a/1.png": picture(1), f"a/{bad}": b"x"}
        with pytest.raises(KelvinError, match="leave such files out with on_error: skip$"):
            load(contents)
        with pytest.raises(KelvinError, match="repair or remove it$"):
            load_folder_images(make_tree(contents), None, None)
        (make_tree({}) / "a" / bad).unlink()


def test_a_folder_run_says_what_it_left_out(make_tree, picture, caplog):
    root = make_tree({"1.png": picture(1)} | {f"notes {i}.txt": b"x" for i in range(7)})
    with caplog.at_level("INFO", logger="kelvin"):
        load_folder_images(root, None, None)
    (line,) = caplog.messages
    assert "left out, no picture: 'notes 0.txt' is no picture" in line and line.endswith("and 2 more")


@pytest.mark.parametrize("on_error", ["refuse", "skip"])
def test_an_empty_class_is_listed(load, picture, on_error):
    raw = load({"a/1.png": picture(1), "b": None}, on_error=on_error)
    assert raw.class_names == ["a"] and raw.skipped == []
    assert raw.left_out == [{"file": "b/", "why": "holds no picture"}]


def test_a_class_whose_images_are_all_broken_is_refused(load, picture):
    with pytest.raises(KelvinError, match="class 'b' holds no usable image"):
        load({"a/1.png": picture(1), "b/1.png": b"x"}, on_error="skip")


def test_an_empty_class_can_be_left_out(load, picture):
    assert load({"a/1.png": picture(1), "b": None}, classes=["a"]).class_names == ["a"]


def test_a_folder_without_images_is_refused(load):
    with pytest.raises(KelvinError, match="no PNG, JPEG, BMP, TIFF or WebP file"):
        load({"a/readme.txt": b"x"})


def test_folder_images_name_what_is_wrong(make_tree, tmp_path, picture):
    path = make_tree({"1.png": picture(1), "2.png": b"x"})
    with pytest.raises(KelvinError, match=r"'2.png' is no readable"):
        load_folder_images(path, None, None)
    assert len(load_folder_images(path, None, None, on_error="skip")[0]) == 1
    with pytest.raises(KelvinError, match="every image in it is broken"):
        load_folder_images(make_tree({"1.png": b"x"}, "bad"), None, None, on_error="skip")
    with pytest.raises(KelvinError, match="no such folder"):
        load_folder_images(tmp_path / "nowhere", None, None)
