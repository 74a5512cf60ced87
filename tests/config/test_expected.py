"""What the raw files tell of a data set before any is decoded, and what the plan refuses by it."""

import copy

import numpy as np
import pytest
from conftest import ROOT
from helpers import planned, plans, with_values
from PIL import Image

from kelvin.common.errors import KelvinError
from kelvin.config.resolve import Params, read
from kelvin.config.schema import Images
from kelvin.config.values import validated
from kelvin.datasets.preparation import prepare
from kelvin.pipeline.checks.expected import PUBLISHED, expected_manifest
from kelvin.pipeline.checks.starts import start_faults
from kelvin.pipeline.planning import refuse_for_images

RAW = read(ROOT / "params.yaml")
FOLDER = {"source": "folder", "path": "fruit", "test": 4, "validation": 2, "folds": None}


@pytest.fixture
def fruit(tmp_path):
    """KELVIN_DATA with 12 apples and 8 pears of 9x7 pixels, five pictures an object."""
    for kind, n in (("apple", 12), ("pear", 8)):
        for i in range(n):
            path = tmp_path / f"fruit/{kind}/{i // 2}-{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((9, 7, 3), i, np.uint8)).save(path)
    return tmp_path


def images(**entry):
    return validated(Images, entry, "datasets.x")


SAME = {
    "digits": RAW["datasets"]["digits"], "photos": RAW["datasets"]["photos"],
    "some digits": {"source": "sklearn", "name": "digits", "classes": [3, 5], "test": 60,
                    "image_size": [12, 9], "channels": 3},
    "a folder": FOLDER, "a folder of one size": FOLDER | {"image_size": 8, "channels": 1},
    "one side": FOLDER | {"image_size": 8}, "one class": FOLDER | {"classes": ["pear"]},
    "objects": FOLDER | {"split_by": "groups", "groups": {"pattern": r"(\w+/\d+)-"}, "test": 0.3}}


@pytest.mark.parametrize("name", SAME)
def test_it_is_what_the_prepared_store_says(name, fruit):
    entry = {key: value for key, value in SAME[name].items() if key in Images.model_fields}
    spec, environ = images(**entry), {"KELVIN_DATA": str(fruit)}
    made = prepare("x", spec, environ, fruit / "out/x")
    asked = expected_manifest(spec, environ)
    assert asked == {key: made[key] for key in ("sizes", "image_shape", "classes")}


def test_published_sets_are_known_before_they_are_downloaded():
    """Their totals as published; a subset by number has the images of its classes."""
    for name, known in PUBLISHED.items():
        spec = images(source="torchvision", name=name, validation=5000)
        manifest = expected_manifest(spec, {})
        whole = 60000 if "MNIST" in name else 50000
        assert manifest["sizes"] == {"train": whole - 5000, "validation": 5000, "test": 10000}
        assert manifest["image_shape"] == list(known.shape)
        assert len(manifest["classes"]) == (100 if name == "CIFAR100" else 10)
    ones = expected_manifest(images(source="torchvision", name="MNIST", classes=[1], validation=742), {})
    assert ones["sizes"] == {"train": 6000, "validation": 742, "test": 1135}


@pytest.mark.parametrize("entry", [
    {"source": "torchvision", "name": "CIFAR10", "classes": ["cat"]},
    {"source": "torchvision", "name": "MNIST", "groups": {"blocks": 7}, "split_by": "groups"}])
def test_what_cannot_be_told_is_none(entry):
    assert expected_manifest(images(**entry), {}) is None


def test_a_broken_first_picture_leaves_the_size_open(fruit):
    (fruit / "fruit/apple/0-0.png").write_bytes(b"")
    for path in (fruit / "fruit/apple").iterdir():
        path.write_bytes(b"")
    entry = FOLDER | {"on_error": "skip", "order": "listed"}
    assert expected_manifest(images(**entry), {"KELVIN_DATA": str(fruit)}) is None


def test_what_is_not_there_or_cannot_be_split_is_a_sentence(fruit):
    environ = {"KELVIN_DATA": str(fruit)}
    for change, sentence in (({"path": "nowhere"}, "'nowhere' was not found"),
                             ({"test": 99}, "^test: 99"), ({"classes": ["plum"]}, "'plum' is no class"),
                             ({"folds": {"k": 900, "seed": 0}}, "folds: k = 900")):
        with pytest.raises(KelvinError, match=sentence):
            expected_manifest(images(**FOLDER | change), environ)


@pytest.mark.parametrize(("change", "sentence"), [
    ({"test": 99}, "test: 99 means 99 images of 20"),
    ({"validation": 17}, "validation: 17 means 17 images of 16"),
    ({"folds": {"k": 17, "seed": 0}}, "folds: k = 17, but the images outside the test part form only 16"),
    ({"folds": {"k": 9, "seed": 0}}, "folds: k = 9 comes to a grouped fold of 1 of the 16 imag"),
    ({"classes": ["pear"], "test": 2, "validation": 1}, "validation: 1 comes to 1 image, but the dista"),
    ({"classes": ["pear"], "test": 0.99}, "test: 0.99 means 8 images of 8 in 1 classes")])
def test_a_split_that_cannot_be_is_told_by_the_plan_and_by_prepare_before_decoding(
    change, sentence, fruit, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    entry, environ = FOLDER | {"image_size": 8, "channels": 3} | change, {"KELVIN_DATA": str(fruit)}
    monkeypatch.setattr("kelvin.datasets.sources.folders.read_images",
                        lambda *_, **__: pytest.fail("decoded"))
    with pytest.raises(KelvinError, match=f"^datasets.fruit: {sentence}"):
        prepare("fruit", images(**entry), environ, tmp_path / "out")
    raw = copy.deepcopy(RAW) | {"scale": "smoke", "active": ["ddpm-default"], "dataset": "fruit"}
    params = Params(with_values(raw, ("datasets.fruit", entry)))
    with pytest.raises(KelvinError, match=f"^params.yaml: datasets.fruit: {sentence}"):
        refuse_for_images(params, plans(params, environ), environ)
    lenient = Params(with_values(raw, ("datasets.fruit", entry | {"on_error": "skip"})))
    refuse_for_images(lenient, plans(lenient, environ), environ)  # how many are broken, none knows yet


SMALL = {"kind": "unet", "channels": 8, "multipliers": [1], "blocks": 1}
START = {"title": "", "network": SMALL, "training": {"epochs": 1, "batch": 16},
         "sampling": {"epoch_images": 32, "restore_images": 32}}


def params_of(pretrain, *changes, **run):
    raw = copy.deepcopy(RAW) | {"scale": "smoke", "active": ["one"], "studies": {}, "records": {},
                                "runs": {"one": {**START, "pretrain": {"epochs": 1, **pretrain}, **run}}}
    return Params(with_values(raw, ("datasets.fruit", FOLDER), *changes))


PRETRAIN = {
    "the whole set": ({"dataset": None, "classes": [99]}, {},
                      "runs.one.pretrain.classes names 99, but the data set has 10, 0 to 9"),
    "another set": ({"dataset": "photos", "classes": [2]}, {},
                    "runs.one.pretrain.classes names 2, but the data set has 2, 0 to 1"),
    "no image": ({"dataset": "nowhere", "classes": None}, {},
                 "runs.one.pretrain.dataset = 'nowhere': folder, tar or zip 'nowhere' was not found "),
    "too few": ({"dataset": "fruit", "classes": None}, {},
                "runs.one.training.batch = 16 is more than the 14 training images of pretrain.dataset = "
                "'fruit': no batch would be full"),
    "too few of a class": ({"dataset": None, "classes": [5]},
                           {"training": {"epochs": 1, "batch": 200, "images": None}},
                           "runs.one.training.batch = 200 is more than the "),
    "too few to mix": ({"dataset": "fruit", "classes": None},
                       {"training": {"epochs": 1, "batch": 8},
                        "prior": {"kind": "mixture", "components": 15, "jitter": 0.0}},
                       "runs.one.prior.components = 15 is more than the 14 training images of")}


@pytest.mark.parametrize("name", PRETRAIN)
def test_images_to_pre_train_on_are_checked_in_the_plan(name, fruit, tmp_path, monkeypatch):
    """Before anything is prepared, by the key; another size and other channels are no fault."""
    monkeypatch.chdir(tmp_path)
    pretrain, run, line = PRETRAIN[name]
    params = params_of(pretrain, ("datasets.nowhere", FOLDER | {"path": "nowhere"}), **run)
    environ = {"KELVIN_DATA": str(fruit)}
    with pytest.raises(KelvinError) as error:
        refuse_for_images(params, plans(params, environ), environ)
    (first,) = str(error.value).removeprefix("params.yaml: ").splitlines()
    assert first.startswith(line), first
    fine = params_of({"dataset": "fruit", "classes": None}, training={"epochs": 1, "batch": 8})
    assert refuse_for_images(fine, plans(fine, environ), environ) is None


def test_runs_that_share_a_fault_share_its_line_and_missing_images_to_blend_are_named(tmp_path):
    params = params_of({"dataset": "photos", "classes": [7]}, ("datasets.photos", FOLDER),
                       ("runs.two", {"like": "one"}), ("active", ["one", "two"]),
                       ("runs.one.degradation", {"kind": "morph"}),
                       ("runs.one.restorer", {"parameterisation": "x0"}))
    plan = planned(params, "pretrain")
    blend, line = start_faults(plan.starts, None, {"KELVIN_DATA": str(tmp_path)}, plan.checked.metrics)
    assert blend.startswith("blend = 'photos': folder, tar or zip 'fruit' was not found under ")
    assert line.startswith("runs.one.pretrain.dataset = 'photos': folder, ")
    assert line.endswith("(and so for 1 more run)")


@pytest.mark.parametrize(("key", "value", "line"), [
    ("metrics.ssim_window", 9, "metrics.ssim_window = 9 is larger than images of 8x8; take at most 7"),
    ("metrics.neighbours", 300, "metrics.neighbours = 300 must be less than the images compared")])
def test_window_and_neighbours_are_told_before_any_image_is_prepared(key, value, line, tmp_path,
                                                                     monkeypatch):
    monkeypatch.chdir(tmp_path)
    params = Params(with_values(copy.deepcopy(RAW) | {"active": ["ddpm-default"]}, (key, value)))
    with pytest.raises(KelvinError, match=f"^params.yaml: {line}"):
        refuse_for_images(params, plans(params), {})
