"""Images whose height is not their width, from the folder to the process that is trained on them."""

import copy

import numpy as np
import pytest
import torch
from conftest import ROOT
from helpers import image, planned

from kelvin import degradations
from kelvin.artifacts.models import ModelFolder
from kelvin.common.errors import KelvinError
from kelvin.config import resolve
from kelvin.config.schema import Images
from kelvin.config.values import validated
from kelvin.datasets.preparation import prepare
from kelvin.datasets.store import PreparedStore
from kelvin.networks import Shape
from kelvin.restoration.assemble import shape_of
from kelvin.sampling.folder_run import score_folder
from kelvin.training.fitting import load_blend, save_blend

H, W = 8, 12


@pytest.fixture
def store(make_tree, make_spec, picture, tmp_path, monkeypatch):
    """A prepared set of 8x12 images, the working folder's own, beside the photographs to morph to."""
    monkeypatch.chdir(tmp_path)
    make_tree({f"{'ab'[i % 2]}/{i}.png": picture(9 * i, (W, H)) for i in range(24)})
    prepared = tmp_path / "data/prepared"
    prepare("mine", make_spec(test=6, validation=4), {"KELVIN_DATA": str(tmp_path)}, prepared / "mine")
    photos = make_spec(source="sklearn", name="photos", test=104, validation=52)
    prepare("photos", photos, {}, prepared / "photos")
    return PreparedStore(prepared / "mine")


@pytest.fixture
def with_folder_run():
    raw = copy.deepcopy(resolve.read(ROOT / "params.yaml"))
    raw["runs"]["theirs"] = {"title": "theirs", "source": "folder", "path": "theirs"}
    return planned(resolve.Params(raw | {"active": ["theirs"]}), "train", "theirs", 0)


def test_a_store_keeps_both_sides(store):
    assert store.manifest["image_shape"] == [1, H, W]
    assert shape_of(store) == Shape(1, H, W)


def test_morphing_blends_towards_images_of_both_sides(store, tmp_path):
    save_blend(tmp_path, PreparedStore("data/prepared/photos"), shape_of(store))
    other = load_blend(tmp_path)
    assert other.shape == (len(PreparedStore("data/prepared/photos").split("train")), 1, H, W)
    prior = {"kind": "gaussian", "rank": 8, "jitter": 0.0}
    process = degradations.build(image(1, H, W), {"kind": "morph"}, {"kind": "own", "steps": 5}, prior)
    x0 = torch.from_numpy(store.split("train").images).float() / 127.5 - 1
    process.fit(x0, lambda: other * 2 - 1)
    z = other[: len(x0)] * 2 - 1
    half = process.degrade(x0, torch.full((len(x0),), 2), z)
    assert half.shape == x0.shape
    last = process.degrade(x0, torch.full((len(x0),), 5), z)
    assert torch.allclose(last, z, atol=1e-5)


@pytest.mark.parametrize("size", [(W, H), (2 * W, 2 * H), (30, 8)])
def test_a_folder_run_has_both_sides(store, with_folder_run, make_tree, picture, tmp_path, size):
    make_tree({f"{i}.png": picture(10 * i, size) for i in range(5)}, "theirs")
    score_folder(with_folder_run, store, tmp_path / "out", [tmp_path])
    samples = ModelFolder(tmp_path / "out").images()
    assert samples.shape == (5, 1, H, W)
    assert samples[:, 0, 0, 0].tolist() == [0, 10, 20, 30, 40]


@pytest.mark.parametrize(
    ("size", "shape"), [(6, (6, 6)), ([6, 9], (6, 9)), ([9, 6], (9, 6)), (None, (H, W))])
def test_image_size_is_a_side_or_both(make_tree, make_spec, picture, tmp_path, size, shape):
    make_tree({f"{'ab'[i % 2]}/{i}.png": picture(9 * i, (W, H)) for i in range(12)})
    spec = make_spec(test=4, image_size=size)
    prepare("mine", spec, {"KELVIN_DATA": str(tmp_path)}, tmp_path / "out")
    images = PreparedStore(tmp_path / "out").images
    assert images.shape == (12, 1, *shape)
    assert np.array_equal(images[:, 0, 0, 0], 9 * np.array([0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11]))


@pytest.mark.parametrize(
    ("size", "good"),
    [(8, True), ([8, 12], True), (None, True), ([8], False), ([8, 12, 3], False), ([8, 0], False),
     ([8.0, 12], False), (0, False), ("8x12", False), ([], False)],
)  # fmt: skip
def test_params_take_a_side_or_both(params, size, good):
    images = params.house.datasets["digits"].images.model_dump() | {"image_size": size}
    if good:
        assert validated(Images, images, "datasets").image_size == size
    else:
        with pytest.raises(KelvinError, match="image_size"):
            validated(Images, images, "datasets")
