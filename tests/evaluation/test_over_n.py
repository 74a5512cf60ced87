"""How a distance falls with n, and what each of study D's suspects does to it."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from kelvin.evaluation import over_n
from kelvin.features.classifier import Judge
from kelvin.features.classifier_network import Classifier
from kelvin.metrics.moments import Moments, moments
from kelvin.networks import Shape

DIM = 16


@pytest.fixture(scope="module")
def judge():
    torch.manual_seed(0)
    return Judge(Classifier(Shape(1, 8, 8), [8, 8], 32, 10).eval(), {})


@pytest.fixture(scope="module")
def digits():
    return np.round(load_digits().images * 255 / 16).astype(np.uint8)[:, None]


def test_few_images_raise_the_distance_as_theory_says():
    """For N(0, I) against its exact moments E[FD_n] is about (d + d (d + 1) / 4) / n at large n."""
    reference = Moments(10**9, np.zeros(DIM), np.eye(DIM))
    features = np.random.default_rng(0).standard_normal((20_000, DIM))
    rows = over_n.over_n(features, reference, draws=40, seed=1)
    assert [row["n"] for row in rows] == [*over_n.SIZES, 20_000]
    means = [row["fmd"] for row in rows]
    assert all(a > b for a, b in zip(means, means[1:], strict=False))
    for row in rows[3:7]:
        expected = (DIM + DIM * (DIM + 1) / 4) / row["n"]
        assert row["fmd"] == pytest.approx(expected, rel=0.15)
    assert rows[-1]["draws"] == 1 and rows[-1]["fmd_sd"] is None


def test_few_on_both_sides_are_worse_than_few_on_one():
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((2, 4000, DIM))
    both = over_n.against_few(a, b, 128, 128, 10, 0)
    one = over_n.against_few(a, b, 128, 4000, 10, 0)
    assert (both["n"], both["against"], one["against"]) == (128, 128, 4000)
    assert both["fmd"] > 1.5 * one["fmd"] > 3 * over_n.against_few(a, b, 4000, 4000, 10, 0)["fmd"]


def test_fewer_than_asked_for_are_said():
    a = np.random.default_rng(0).standard_normal((50, 3))
    row = over_n.against_few(a, a, 128, 128, 5, 0)
    assert (row["n"], row["against"], row["draws"]) == (50, 50, 1) and row["fmd"] < 1e-9


def test_the_head_of_the_test_set_is_the_reference_of_study_a():
    rng = np.random.default_rng(3)
    test = np.concatenate([rng.standard_normal((40, 3)), 9 + rng.standard_normal((40, 3))])
    near = over_n.against_head(test[:40], test, 32, 40, 5, 0)
    far = over_n.against_head(test[40:], test, 32, 40, 5, 0)
    assert near["fmd"] < 2 < 200 < far["fmd"] and near["against"] == 40


def test_shallow_features_are_the_first_block_averaged(judge, digits):
    found = over_n.shallow(judge)(digits[:5])
    block = judge.network.body[:3]
    for image, row in zip(digits[:5], found, strict=True):
        slow = block(2 * torch.from_numpy(image[None] / 255).float() - 1)[0]
        np.testing.assert_allclose(row, [float(c.mean()) for c in slow.detach()], atol=1e-6)


def test_each_suspect_is_tried_alone_and_together(judge, digits):
    train, test, images = digits[:600], digits[600:900], 255 - digits[900:1200]
    rows = over_n.slips(judge, images, train, test, 3, 0)
    by = {(r["features"], r["range"], r["rule"]): r for r in rows}
    assert len(by) == 8
    deep, twice = by["deep", "right", "all"], by["deep", "divided by 255 twice", "all"]
    assert twice["fmd"] < deep["fmd"] / 1000  # nearly black images are all alike
    assert by["deep", "right", "study D"]["fmd"] > deep["fmd"]
    assert by["shallow", "right", "all"]["dimensions"] == 8
    honest = moments(judge(test)[0])
    assert deep["real"] < deep["fmd"] and honest.dim == deep["dimensions"]


def test_no_distance_below_zero_is_told():
    """Eight far classes in one reference: of a random sample the line ends within its error of 0; of a
    stratified one, whose subsets miss what the whole has exactly, below 0, and there is no value."""
    rng, far = np.random.default_rng(4), 6 * np.random.default_rng(9).normal(size=(8, 8))
    reference = moments(far[np.arange(80_000) % 8] + rng.normal(size=(80_000, 8)))
    for labels, told in ((rng.integers(0, 8, 400), True), (np.arange(400) % 8, False)):
        found = over_n.at_infinity(far[labels] + rng.normal(size=(400, 8)), reference, 0, 0.95)
        assert (found["fmd"] is not None) == told and (found["why"] is None) == told
        if told:
            assert found["low"] < 0 < found["high"]
        else:
            assert "which no distance is" in found["why"]


def test_too_few_images_have_no_extrapolation():
    reference = moments(np.random.default_rng(0).normal(size=(99, 8)))
    found = over_n.at_infinity(np.eye(20)[:, :8], reference, 0, 0.95)
    assert found["fmd"] is None and "2 or more sizes of at least 32" in found["why"]
