"""The gate refuses what would give a plausible and wrong number, in one sentence."""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import kelvin.metrics
from kelvin.common.errors import KelvinError
from kelvin.metrics.checks import check_features, check_images

GOOD = np.random.default_rng(0).random((3, 1, 4, 4))


def test_bytes_and_floats_become_float32_in_unit_range():
    byte = np.array([0, 51, 255], dtype=np.uint8).reshape(3, 1, 1, 1)
    np.testing.assert_array_equal(check_images(byte, "x").ravel(), np.float32([0, 0.2, 1]))
    assert check_images(byte, "x").dtype == check_images(GOOD, "x").dtype == np.float32
    np.testing.assert_array_equal(check_images(GOOD, "x"), GOOD.astype(np.float32))


@pytest.mark.parametrize(
    ("images", "word"),
    [
        (GOOD * 2 - 1, r"\[0, 1\]"),
        (GOOD * 255, r"\[0, 1\]"),
        (np.where(GOOD > 0.5, np.nan, GOOD), "finite"),
        (np.where(GOOD > 0.5, np.inf, GOOD), "finite"),
        (GOOD[0], "shape"),
        (GOOD[:, :, :0], "shape"),
        ((GOOD * 255).astype(np.int64), "int64"),
        (GOOD[:1], "1 images, at least 2"),
    ],
)
def test_images_are_refused_in_one_sentence(images, word):
    with pytest.raises(KelvinError, match=word) as caught:
        check_images(images, "samples of ddpm", minimum=2)
    sentence = str(caught.value)
    assert sentence.startswith("samples of ddpm: ") and sentence.endswith(".")
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("features", "word"),
    [
        (np.ones(3), "shape"),
        (np.ones((3, 2), dtype=complex), "complex"),
        (np.full((3, 2), np.nan), "finite"),
        (np.ones((1, 2)), "at least 2"),
        (np.ones((3, 5)), "reference has 2"),
    ],
)
def test_features_are_refused_in_one_sentence(features, word):
    with pytest.raises(KelvinError, match=word):
        check_features(features, "features", minimum=2, dim=2)


def test_the_package_knows_no_other_part_of_kelvin_and_loads_no_torch():
    for file in Path(kelvin.metrics.__file__).parent.glob("*.py"):
        tree = ast.parse(file.read_text())
        names = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        names |= {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
        ours = {n for n in names if n.startswith("kelvin")}
        assert all(n.startswith(("kelvin.common.errors", "kelvin.metrics")) for n in ours), file
    loaded = subprocess.run([sys.executable, "-c", "import sys, kelvin.metrics; "
                             "print('torch' in sys.modules)"], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "False"
