import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kelvin.common.errors import KelvinError
from kelvin.datasets.sources.find import data_roots, find_folder, load_source


def test_digits_are_scikit_learns(make_spec):
    from sklearn.datasets import load_digits

    raw = load_source(make_spec(source="sklearn", name="digits"), [])
    theirs = load_digits()
    assert raw.images.shape == (1797, 1, 8, 8) and raw.images.dtype == np.uint8
    # 255/16 spreads the levels so widely that rounding back loses none of the 17.
    assert np.array_equal(np.rint(raw.images[:, 0] / 255 * 16), theirs.images)
    assert len(np.unique(raw.images)) == raw.grey_levels == 17
    assert raw.images.min() == 0 and raw.images.max() == 255
    assert np.array_equal(raw.labels, theirs.target)


def test_photos_are_tiles_of_scikit_learns_photographs(make_spec):
    from sklearn.datasets import load_sample_images

    raw = load_source(make_spec(source="sklearn", name="photos"), [])
    theirs = load_sample_images().images
    assert raw.images.shape == (520, 3, 32, 32) and np.bincount(raw.labels).tolist() == [260, 260]
    assert np.array_equal(raw.images[21], theirs[0][32:64, 32:64].transpose(2, 0, 1))  # 20 a row
    assert np.array_equal(raw.images[260 + 19], theirs[1][:32, 608:640].transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("changes", "levels", "shape"),
    [({"channels": 3}, 17, (3, 8, 8)), ({"image_size": 8}, 17, (1, 8, 8)),
     ({"image_size": 16}, 256, (1, 16, 16))],
)  # fmt: skip
def test_grey_levels_survive_only_what_keeps_them(make_spec, changes, levels, shape):
    raw = load_source(make_spec(source="sklearn", name="digits", **changes), [])
    assert raw.grey_levels == levels and raw.images.shape[1:] == shape
    assert levels == 256 or len(np.unique(raw.images)) == levels


def test_class_subset_of_digits(make_spec):
    raw = load_source(make_spec(source="sklearn", name="digits", classes=["7", 0]), [])
    assert raw.class_names == ["7", "0"] and set(raw.labels) == {0, 1}
    assert (raw.labels == 1).sum() == 178  # zeros in scikit-learn's digits


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"source": "kaggle"}, "'kaggle' is unknown; choose sklearn"),
     ({"source": "sklearn", "name": "iris"}, "'iris' is unknown; choose from digits, photos"),
     ({"path": "x" * 5000}, "was not found under"),
     ({"path": "~nobody-of-that-name/x"}, "^path = .*no home is known for ~; write the folder out"),
     ({"path": None}, "needs a path"), ({"path": "nowhere"}, "'nowhere' was not found under")],
)  # fmt: skip
def test_unknown_sources_are_refused(make_spec, changes, message):
    with pytest.raises(KelvinError, match=message):
        load_source(make_spec(**changes), [Path("/none")])


def test_a_home_that_nobody_has_is_one_sentence():
    with pytest.raises(KelvinError, match="^KELVIN_DATA = '~nobody-of-that-name': no home is known"):
        data_roots({"KELVIN_DATA": "~nobody-of-that-name"})


def test_roots(tmp_path, monkeypatch):
    project, copy = tmp_path / "project", tmp_path / "copy"
    (project / "near").mkdir(parents=True)
    (copy / "here").mkdir(parents=True)
    monkeypatch.chdir(copy)
    queued = {"DVC_ROOT": str(project)}
    downloads = [project / "data/raw", copy / "data/raw"]
    assert data_roots({}) == [copy / "data/raw"]
    assert data_roots(queued) == downloads
    assert data_roots(queued | {"KELVIN_DATA": "here"}) == [copy / "here", *downloads]
    assert data_roots(queued | {"KELVIN_DATA": "near"}) == [project / "near", *downloads]
    assert data_roots(queued | {"KELVIN_DATA": "gone"}) == [copy / "gone", *downloads]
    assert data_roots({"KELVIN_DATA": str(tmp_path)}) == [tmp_path, copy / "data/raw"]
    assert data_roots({"DVC_ROOT": str(copy), "KELVIN_DATA": ""}) == [copy / "data/raw"]


def test_a_folder_is_found_in_roots_then_working_directory_then_project(tmp_path, monkeypatch):
    project, copy, mine = (tmp_path / name for name in ("project", "copy", "mine"))
    for folder in (project, copy, mine):
        (folder / "set").mkdir(parents=True)
    monkeypatch.chdir(copy)
    roots = [mine, project / "data/raw", copy / "data/raw"]
    for found in (mine, copy, project):
        assert find_folder("set", roots) == found / "set"
        (found / "set").rmdir()
    with pytest.raises(KelvinError, match="set KELVIN_DATA="):
        find_folder("set", roots)
    assert find_folder(str(mine), roots) == mine


def test_importing_the_package_is_cheap():
    heavy = "{'torch', 'torchvision', 'sklearn', 'scipy'}"
    code = f"import kelvin.datasets, sys; assert not {heavy} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=dict(os.environ)).returncode == 0
