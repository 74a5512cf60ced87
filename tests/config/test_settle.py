"""What the prepared images settle: every rule of kelvin.datasets.settle by numbers worked out by hand."""

import copy

import pytest
from conftest import ROOT

from kelvin.common.errors import KelvinError
from kelvin.config.resolve import Params, read
from kelvin.datasets.settle import settled_classifier, settled_metrics, settled_run, size_of_test
from kelvin.features.classifier_network import pool_side
from kelvin.pipeline.checks.params import check

RAW = read(ROOT / "params.yaml")
MINE = {"source": "folder", "path": "pictures.tar"}


def params(scale="laptop", mine=MINE, **changes):
    raw = {**copy.deepcopy(RAW), "scale": scale, "dataset": "mine", **changes}
    raw["datasets"]["mine"] = copy.deepcopy(mine)
    return Params(raw)


def manifest(train, validation, test, shape=(3, 32, 32), classes=10):
    return {"sizes": {"train": train, "validation": validation, "test": test}, "image_shape": list(shape),
            "classes": [{"name": str(i)} for i in range(classes)]}


def settle(resolved, made):
    """What the stages take of params.yaml, once the images are prepared."""
    resolved.metrics, resolved.classifier = settled_metrics(resolved.metrics, made), settled_classifier(
        resolved.classifier, resolved.metrics.limit, made)
    if resolved.metrics.bounded:
        resolved.runs = {name: settled_run(run, resolved.metrics.limit, made)
                         for name, run in resolved.runs.items()}


@pytest.mark.parametrize("scale", RAW["scales"])
def test_source_and_path_are_a_whole_entry_at_every_scale(scale):
    resolved = params(scale)
    check(resolved)
    images = resolved.images
    assert (images.validation, images.test, images.channels, images.image_size) == (0.1, None, None, None)
    assert (images.order, images.licence, images.on_error) == ("shuffled", "not stated", "refuse")
    assert (images.folds.k, images.folds.seed, images.groups) == (5, 0, None)
    for sizes in ((7000, 700, 3300), (380, 42, 180), (38, 4, 18)):
        resolved = params(scale)
        settle(resolved, manifest(*sizes))
        metrics, classifier, run = resolved.metrics, resolved.classifier, resolved.run("ddpm-default")
        n = metrics.images if isinstance(metrics.images, int) else round(metrics.images * sizes[2])
        assert 8 <= n <= sizes[2] // 2
        assert metrics.small.reference + metrics.small.images < sizes[2]
        assert metrics.small.images <= run.sampling.epoch_images <= sizes[2] // 2
        assert run.training.batch <= (sizes[0] + sizes[1]) // 2
        assert 10 * classifier.features <= min(sum(sizes[:2]), metrics.limit or 10**9)
        pool_side(classifier.channels, classifier.features)
        check(resolved)


@pytest.mark.parametrize(("sizes", "features", "channels"), [
    ((60_000, 6_000, 10_000), 1024, 64),
    ((9_216, 1_024, 3_000), 1024, 64),  # 10,240: just a tenth
    ((9_215, 1_024, 3_000), 256, 64),
    ((2_304, 256, 500), 256, 64),
    ((576, 64, 200), 64, 64),
    ((575, 64, 200), 32, 32),           # 63 and fewer: the last channels give way too
    ((100, 20, 60), 8, 8),
    ((36, 4, 16), 4, 4),
])
def test_the_width_is_what_a_tenth_of_the_reference_carries(sizes, features, channels):
    resolved = params()
    settle(resolved, manifest(*sizes))
    assert resolved.classifier.features == features
    assert resolved.classifier.channels == [32, 64, 128, channels]


@pytest.mark.parametrize(("train", "classes", "epochs"), [
    (50_000, 10, 5), (12_800, 10, 6), (1_280, 10, 50), (300, 2, 50), (50_000, 1, 1)])
def test_epochs_make_about_600_updates(train, classes, epochs):
    resolved = params()
    settle(resolved, manifest(train, train // 9, 1000, classes=classes))
    assert resolved.classifier.epochs == epochs


@pytest.mark.parametrize(("test", "images", "small"), [
    (10_000, 2_000, (32, 512)), (4_000, 2_000, (32, 512)), (1_000, 500, (32, 500)), (101, 50, (25, 50))])
def test_n_is_half_of_the_test_set_and_the_small_protocol_what_fits(test, images, small):
    resolved = params()
    settle(resolved, manifest(20_000, 2_000, test))
    assert resolved.metrics.images == images
    assert (resolved.metrics.small.images, resolved.metrics.small.reference) == small
    assert resolved.metrics.small.draws == 15


@pytest.mark.parametrize(("test", "images", "small", "quantile"), [
    (540, 48, (16, 64), 0.01), (90, 45, (16, 45), 1 / 89), (40, 20, (10, 20), 1 / 39)])
def test_what_a_scale_asks_for_gives_way_to_a_small_test_set(test, images, small, quantile):
    resolved = params("smoke")
    settle(resolved, manifest(400, 40, test))
    assert resolved.metrics.images == images
    assert (resolved.metrics.small.images, resolved.metrics.small.reference) == small
    assert resolved.metrics.copy_quantile == pytest.approx(quantile)
    assert resolved.classifier.epochs == 2  # the scale's


@pytest.mark.parametrize(("side", "window"), [(32, 7), (8, 7), (7, 7), (6, 5), (4, 3)])
def test_the_window_of_ssim_fits_the_image(side, window):
    resolved = params()
    settle(resolved, manifest(400, 40, 100, shape=(1, side, side + 3)))
    assert resolved.metrics.ssim_window == window


def test_a_data_set_that_states_its_protocol_is_held_to_it():
    before, made = Params(copy.deepcopy(RAW)), manifest(100, 10, 40, (1, 4, 4), 2)
    assert settled_metrics(before.metrics, made) == before.metrics
    assert settled_classifier(before.classifier, None, made) == before.classifier
    assert all("metrics" in entry for entry in RAW["datasets"].values())  # none of today's changes


@pytest.mark.parametrize(("sizes", "said"), [
    ((400, 40, 15), "the data set has 15 test images, too few to measure by: at least 16 are needed"),
    ((30, 9, 20), "the data set has 39 training and validation images, too few for a classifier"),
])
def test_a_tiny_set_is_told_what_is_too_small(sizes, said):
    with pytest.raises(KelvinError) as error:
        settle(params(), manifest(*sizes))
    assert str(error.value).startswith(said) and "\n" not in str(error.value)


@pytest.mark.parametrize(("test", "given", "size"), [
    (None, True, None), (None, False, 0.3), (100, False, 100), (0.2, True, 0.2)])
def test_the_size_of_test_is_the_given_one_or_three_tenths(test, given, size):
    assert size_of_test(test, given) == size


@pytest.mark.parametrize(("entry", "said"), [
    ({"source": "folder"}, "source: folder needs a path"),
    ({"source": "torchvision", "path": "x"}, "source: torchvision needs a name"),
    ({"source": "sklearn", "name": "digits", "path": "x"}, "source: sklearn takes a name and no path"),
    ({**MINE, "validation": 1.5}, "datasets.mine.validation"),
    ({**MINE, "images": {}}, "datasets.mine.images is not a known parameter"),
])
def test_a_wrong_entry_is_named(entry, said):
    with pytest.raises(KelvinError) as error:
        params(mine=entry)
    assert said in str(error.value) and "datasets.mine" in str(error.value)
