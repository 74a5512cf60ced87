"""Runs on some classes: floor, reference and ceiling are of those classes, by the same extractors."""

from types import SimpleNamespace

import numpy as np
import pytest

from kelvin.common.errors import KelvinError
from kelvin.config.schema import SmallProtocol
from kelvin.datasets.sources.raw import RawData
from kelvin.datasets.store import PreparedStore, write_store
from kelvin.evaluation.class_subset import restrict
from kelvin.evaluation.protocol import Protocol
from kelvin.evaluation.rows import epoch_rows, restoration_rows
from kelvin.features import reference
from kelvin.features.classifier import Judge
from kelvin.features.classifier_network import Classifier
from kelvin.features.extractor import Extractor
from kelvin.metrics.frechet import frechet_from_features
from kelvin.metrics.moments import moments
from kelvin.networks import Shape

CLASSES = [0, 1]


@pytest.fixture(scope="module")
def made(params, tmp_path_factory):
    """(protocol, about, store) of digits in four classes, judged by an untrained network."""
    import torch
    from sklearn.datasets import load_digits

    found = load_digits(n_class=4)
    images = (found.images[:600, None] * 255 / 16).round().astype(np.uint8)
    raw = RawData(images, found.target[:600].astype(int), list("0123"), np.arange(600), checksums={})
    folder = tmp_path_factory.mktemp("store") / "s"
    write_store(folder, "s", raw, np.repeat([0, 1, 2], [300, 60, 240]),
                SimpleNamespace(licence="free", seed=0))
    store = PreparedStore(folder)
    torch.manual_seed(0)
    network = Classifier(Shape(1, 8, 8), [8, 8], 32, 4).eval().requires_grad_(False)
    judge = Judge(network, {"features": 32, "hash": "h"})
    extractor = Extractor("classifier", 32, "none", "h", lambda images: judge(images)[0])
    small = SmallProtocol(images=16, reference=60, draws=5)
    config = params.metrics.model_copy(update={"limit": None, "small": small})
    references = {"classifier": reference.measure(extractor, config, store)}
    about = {"reference": "train+validation", "reference_n": 360, "extractor": "h"}
    return Protocol.of(config, judge, references, store, "none", 100), about, store


def test_without_classes_nothing_changes(made):
    protocol, about, store = restrict(*made, None)
    assert protocol is made[0] and about == made[1] and store is made[2]


def test_reference_and_floor_are_of_the_classes(made):
    whole, _, store = made
    protocol, about, subset = restrict(*made, CLASSES)
    real, test = store.reference(), store.split("test")
    mine = [np.asarray(part.images)[np.isin(part.labels, CLASSES)] for part in (real, test)]
    features = [whole.judge(images)[0] for images in mine]
    expected = moments(features[0])
    np.testing.assert_allclose(protocol.reference.moments.mean, expected.mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(protocol.reference.moments.cov, expected.cov, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(protocol.reference.heldout, features[1], rtol=1e-4, atol=1e-5)
    assert about["classes"] == CLASSES and about["reference_n"] == len(mine[0]) < 360
    assert len(subset.split("test").images) == len(mine[1])
    assert protocol.small().n == 16
    share = len(mine[1]) / 240
    assert protocol.config.small.reference == round(60 * share)
    # images of other classes are farther from this reference
    others = np.asarray(test.images)[~np.isin(test.labels, CLASSES)][:40]
    ours = mine[1][:40]
    distance = [frechet_from_features(whole.judge(images)[0], protocol.reference.moments)
                for images in (ours, others)]
    assert distance[1] > 1.2 * distance[0]
    record, _ = protocol.score(protocol.samples(ours, protocol.scale(40)))
    assert record["n"] == 40 and record["fmd"] == pytest.approx(distance[0], rel=1e-3)


def test_black_images_have_no_mmd_where_few_held_out_ones_are_beside_them(made):
    """n of 200 leaves 40 of 240 test images: most pairs are of equal rows: null, no error."""
    from dataclasses import replace

    black = np.zeros((200, 1, 8, 8), np.uint8)
    protocols = [replace(made[0], n=n) for n in (200, 100)]
    found = [p.more(p.samples(black[:p.n], made[0].scale(p.n))) for p in protocols]
    assert [found[0][key] for key in ("mmd", "mmd_p")] == [None, None]
    assert "most of the rows are equal" in found[0]["mmd_why"] and "mmd_why" not in found[1]
    assert found[1]["mmd"] > 0 and 0 < found[1]["mmd_p"] <= 1


@pytest.mark.parametrize("count", [0, 1, 2])
def test_every_value_that_is_null_has_its_reason(made, count):
    """Classes may leave one validation image, and a few samples no debiased distance."""
    from dataclasses import replace

    whole, _, store = made
    images = store.split("test").images
    judged = replace(whole, validation_images=store.split("validation").images[:count])
    few, many = (judged.score(judged.samples(images[:n], whole.scale(n)))[0] for n in (16, 239))
    for record in (few, many):
        nulls = {key for key, value in record.items() if value is None}
        assert all(f"{key.removesuffix('_low').removesuffix('_high')}_why" in record for key in nulls)
        assert ("fmd_validation_why" in record) == (record["fmd_validation"] is None) == (count < 2)
        assert count > 1 or record["fmd_validation_why"].endswith(f"images, and there are {count}")
    assert few["fmd_debiased"] is None and "16 rows" in few["fmd_debiased_why"]
    assert many["fmd_debiased"] is not None and "fmd_debiased_why" not in many


def test_a_verdict_is_of_the_median_classifier_and_choices_are_by_validation_images(made):
    """Two judges beside the first: each distance by hand, in its own features and moments."""
    from dataclasses import replace

    import torch

    whole, _, store = made
    real, images = store.reference().images, store.split("test").images[:80]
    references, expected = dict(whole.references), []
    for k in (1, 2):
        torch.manual_seed(k)
        other = Judge(Classifier(Shape(1, 8, 8), [8, 8], 32, 4).eval().requires_grad_(False), {})
        extractor = Extractor(f"classifier-{k}", 32, "none", str(k), lambda x, other=other: other(x)[0])
        references[f"classifier-{k}"] = reference.measure(extractor, whole.config, store)
        expected.append(frechet_from_features(other(images)[0], moments(other(real)[0])))
    judged = replace(whole, references=references)
    record, _ = judged.score(judged.samples(images, whole.scale(80)))
    expected = [record["fmd"], *expected]
    assert record["fmd_by_classifier"] == pytest.approx(expected, rel=1e-3)
    assert record["fmd_median"] == pytest.approx(float(np.median(expected)), rel=1e-3)
    of_validation = moments(whole.judge(store.split("validation").images)[0])
    assert record["fmd_validation"] == pytest.approx(
        frechet_from_features(whole.judge(images)[0], of_validation), rel=1e-6)
    assert whole.score(whole.samples(images, whole.scale(80)))[0]["fmd_by_classifier"] == [record["fmd"]]


@pytest.mark.parametrize(("ask", "key"), [
    (lambda protocol, blank: protocol.scale(len(blank)), "metrics.images"),
    (lambda protocol, blank: epoch_rows(protocol, SimpleNamespace(samples=blank[None])),
     "sampling.epoch_images"),
    (lambda protocol, blank: restoration_rows(SimpleNamespace(truth=blank), 7, protocol),
     "sampling.restore_images")])
def test_more_images_than_the_floor_bears_are_told_by_the_key_that_asked_for_them(ask, key, made):
    """A folder of images has no key but the first."""
    with pytest.raises(KelvinError, match=f"^240 samples .* drawn from 240 test images; lower {key}$"):
        ask(made[0], np.zeros((240, 1, 8, 8), np.uint8))
