"""Arguments of kelvin.score that mean nothing: one sentence each, before an image is read."""

import os

import numpy as np
import pytest
from PIL import Image

import kelvin
import kelvin.scoring.score as score_module
from kelvin.common.errors import KelvinError
from kelvin.scoring.images import checked_sides

LONG = "x" * 300
X = np.random.default_rng(0).integers(0, 256, (40, 1, 6, 6), dtype=np.uint8)


def refusal(theirs=X, real=X, **options):
    with pytest.raises(KelvinError) as refused:
        kelvin.score(theirs, real, **{"features": "pixels"} | options)
    sentence = str(refused.value)
    assert "\n" not in sentence and len(sentence) < 500
    return sentence


@pytest.fixture
def unread(monkeypatch):
    """The test fails where a set is loaded."""
    monkeypatch.setattr(score_module, "load_images", lambda *_: pytest.fail("it loaded images first"))


@pytest.mark.parametrize(("options", "sentence"), [
    ({"resize": (9,)}, "resize = (9,) should be a side, or (height, width)"),
    ({"resize": ()}, "resize = () should be a side"),
    ({"resize": (9, 0)}, "resize = 0 should be a whole number from 1 to 4,096"),
    ({"resize": [[9], 9]}, "resize = [9] should be a whole number"),
    ({"resize": "9"}, "resize = '9' should be a whole number"),
    ({"resize": np.zeros((9, 9))}, "should be a whole number"),
    ({"seed": None}, "seed = None should be a whole number"),
    ({"seed": np.zeros((9, 9))}, "should be a whole number"),
    ({"features": 5}, "features = 5 should be a list; choose from pixels"),
    ({"features": b"pixels"}, "features = b'pixels' should be a list"),
    ({"features": {"pixels": 1}}, "should be a list"),
    ({"features": "pixel"}, "features 'pixel' are unknown"),
    ({"features": ""}, "features '' are unknown"),
    ({"features": ["pixels", None]}, "features None are unknown"),
    ({"features": [np.zeros((9, 9))]}, "are unknown"),
    ({"cache": 5}, "cache = 5 is of type int; give a path"),
    ({"cache": ""}, "cache is an empty path"),
    ({"cache": "file"}, "cache = 'file': file is a file, and a folder is needed"),
    ({"cache": "file/below"}, "file is a file, and a folder is needed"),
    ({"cache": "dead"}, "dead is a link to what is not there"),
    ({"cache": "dead/below"}, "dead is a link to what is not there"),
    ({"cache": LONG}, "File name too long"),
    ({"cache": f"new/{LONG}"}, "File name too long"),
    ({"cache": "a\0b"}, "embedded null byte"),
    ({"real": LONG + ".npz"}, "File name too long"),
    ({"real": LONG}, "File name too long"),
    ({"real": "a\0b.npz"}, "real = 'a\\x00b.npz' cannot be read or written (embedded null byte)"),
    ({"real": "a\nb"}, "real: 'a\\nb' is not there"),
    ({"real": ""}, "real is an empty path"),
    ({"real": 5}, "real is of type int"),
    ({"real": "dead"}, "real: 'dead' is not there"),
    ({"real": "pipe.npy"}, "real: pipe.npy is neither a file nor a folder"),
    ({"theirs": [X, "a\0"]}, "set 2 = 'a\\x00' cannot be read"),
    ({"theirs": [X, "absent.npy"]}, "set 2: 'absent.npy' is not there"),
    ({"theirs": "pipe.npy"}, "set 1: pipe.npy is neither a file nor a folder"),
    ({"theirs": {}}, "set 1 is of type dict")])
def test_it_is_one_sentence_before_an_image_is_read(unread, tmp_path, monkeypatch, options, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "dead").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.npy")
    assert sentence in refusal(**options)
    assert {path.name for path in tmp_path.iterdir()} == {"file", "dead", "pipe.npy"}


@pytest.mark.parametrize(("name", "sentence"), [
    ("empty", "there is no PNG, JPEG"), ("empty.npz", "there is no PNG, JPEG"),
    ("text", "not a whole .tar"), ("text.npy", "cannot be read as an array"),
    ("text.npz", "cannot be read")])
@pytest.mark.parametrize("side", ["theirs", "real"])
def test_a_place_without_images_is_one_sentence(tmp_path, name, sentence, side):
    path = tmp_path / name
    path.mkdir() if name.startswith("empty") else path.write_text("no images\n" * 100)
    assert sentence in (told := refusal(**{side: path})) and str(path) in told


@pytest.mark.parametrize("name", ["closed.npy", "closed.npz", "closed.tar"])
@pytest.mark.parametrize("side", ["theirs", "real"])
def test_a_file_that_may_not_be_read_is_one_sentence(tmp_path, monkeypatch, name, side):
    path = tmp_path / name
    path.write_text("")

    def closed(*_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("numpy.load", closed)  # rights do not bind a superuser
    monkeypatch.setattr("kelvin.datasets.sources.archives._head", closed)
    assert "Permission denied" in refusal(**{side: path})


@pytest.mark.parametrize("resize", [np.int64(9), (np.int64(9), np.int32(9)), [9, 9]])
def test_numbers_of_numpy_are_numbers(resize):
    asked, seed = checked_sides(resize), np.int64(3)
    assert asked in (9, (9, 9)) and "np" not in repr(asked)
    assert kelvin.score(X[:20], X, resize=resize, features="pixels", seed=seed) == kelvin.score(
        X[:20], X, resize=9, features="pixels", seed=3)


@pytest.mark.parametrize("features", ["pixels", ("pixels",), {"pixels"}, ["pixels", "pixels"]])
def test_one_feature_is_one_however_it_is_named(features):
    found = kelvin.score(X[:20], X, features=features)
    assert [f.features for f in found.sets[0].by_features] == ["pixels"]


def test_a_folder_is_one_whatever_its_name(tmp_path):
    folder = tmp_path / "mine.npy"
    folder.mkdir()
    for i, image in enumerate(X):
        Image.fromarray(image[0]).save(folder / f"{i}.png")
    assert kelvin.score(folder, X, features="pixels").sets[0].copies == 1
