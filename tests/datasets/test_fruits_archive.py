"""The real Fruits-360 archive (2018 edition, 20 classes), where KELVIN_DATA holds it."""

import json
import os
import tarfile
from collections import Counter
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from conftest import ROOT

from kelvin.datasets.preparation import prepare
from kelvin.datasets.sources.fruits import parse_class
from kelvin.datasets.splitting.held_out import FoldView
from kelvin.datasets.store import PreparedStore

ARCHIVE = Path(os.environ.get("KELVIN_DATA", ROOT / "data/raw")) / "fruits-360.tar"
CLASSES, FOLDS = 20, 5
MANY, FEW = 0.5, 0.02  # shares of the held-out images that have a near-duplicate on the other side


@pytest.fixture(scope="module")
def listed():
    """The archive's images, by tarfile alone."""
    if not ARCHIVE.exists():
        pytest.skip("KELVIN_DATA holds no fruits-360.tar")
    with tarfile.open(ARCHIVE) as tar:
        names = [name for name in tar.getnames() if name.endswith(".jpg")]
    if (found := len({PurePosixPath(name).parent.name for name in names})) != CLASSES:
        pytest.skip(f"fruits-360.tar is of another edition: {found} classes, not {CLASSES}")
    return names


@pytest.fixture(scope="module")
def folder(listed, params, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fruits") / "prepared"
    spec = params.house.datasets["fruits360"].images.model_copy(update={"image_size": 16})
    prepare("fruits360", spec, {"KELVIN_DATA": str(ARCHIVE.parent)}, folder)
    return folder


def test_every_listed_image_is_in_the_store_under_its_class_and_part(listed, folder):
    store, files = PreparedStore(folder), json.loads((folder / "files.json").read_text())
    sizes = store.manifest["sizes"]
    assert sorted(files) == sorted(listed) and len(store.class_names) == CLASSES
    paths = [PurePosixPath(file) for file in files]
    assert [store.class_names[label] for label in store.labels] == [path.parent.name for path in paths]
    given = Counter(path.parts[1] for path in paths)
    assert sizes["test"] == given["Validation"] == np.sum(store.parts == 2) and len(given) == 2
    assert sizes["train"] + sizes["validation"] == given["Training"]
    for part, size in sizes.items():
        assert store.split(part).shape == (size, 3, 16, 16)
    assert abs(sizes["validation"] - 0.1 * given["Training"]) < CLASSES  # a tenth of every class
    assert {path.parts[1] for path, test in zip(paths, store.parts == 2, strict=True) if test} == {
        "Validation"}


def test_every_name_says_its_fruit(listed):
    fruits = {name: parse_class(name) for name in {PurePosixPath(file).parent.name for file in listed}}
    assert len(set(fruits.values())) == CLASSES  # no two classes are one fruit
    assert fruits["Apple Golden 2"].kind == "Apple" and fruits["Apple Golden 2"].variety == "Golden 2"


def test_no_fruit_is_on_both_sides_of_a_grouped_fold(folder):
    store, held = PreparedStore(folder), []
    for r in range(FOLDS):
        view = FoldView(store, "grouped", r)
        train, validation, test, seen = (set(view.split(part).groups) for part in view.rows)
        assert validation and not train & validation and not train & test and seen <= train
        assert train | validation == set(store.groups)
        held += validation
    assert sorted(held) == sorted(set(store.groups))  # each fruit is held out once


def test_leaky_folds_leak_near_duplicates_and_grouped_ones_do_not(folder):
    checks = {check["split"].split()[0]: check
              for check in json.loads((folder / "leakage.json").read_text())["checks"]}
    share = {name: check["near_duplicates"] / check["queries"] for name, check in checks.items()}
    assert share["leaky"] > MANY and share["stratified"] > MANY and share["validation"] > MANY
    assert share["grouped"] < FEW and share["test"] > FEW
    assert checks["leaky"]["shared_groups"] == CLASSES and checks["grouped"]["shared_groups"] == 0
    assert "leaks" in checks["leaky"]["finding"] and "no leak" in checks["grouped"]["finding"]
