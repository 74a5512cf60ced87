"""Statistics of real data are made again where data, extractor or preprocessing change, nowhere else."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT
from helpers import planned

from kelvin.common.errors import KelvinError
from kelvin.config.digest import Code
from kelvin.datasets.store import Split
from kelvin.features.extractor import Extractor
from kelvin.features.reference import build, key, load
from kelvin.metrics.moments import moments

CHANGED = {"limit": 20, "kept": 11, "seed": 5}  # which images are taken


@pytest.fixture
def config(params):
    return params.metrics.model_copy(update={"pixel_dim": 4, "random_dim": 8, "kept": 10, "limit": None})


def flat(images):
    """Two features of an image: its mean, and that of its first row."""
    x = images.astype(np.float64)
    return np.stack([x.mean((1, 2, 3)), x[:, :, 0].mean((1, 2))], 1)


class Judge:
    record = {"features": 2, "hash": "h", "accuracy": 0.9}
    others = ()

    def __call__(self, images):
        return flat(images), None


def store(seed=0, digest="d"):
    rng = np.random.default_rng(seed)
    real, test = (rng.integers(0, 256, (n, 1, 8, 8), dtype=np.uint8) for n in (40, 30))
    of_all, of_test = (Split(x, *[np.arange(len(x))] * 3) for x in (real, test))
    return SimpleNamespace(images=real, digest=digest, reference=lambda: of_all,
                           split=lambda name: of_test)


def test_what_is_loaded_is_what_was_measured(tmp_path, config):
    """Moments of all real images to 1e-9; ten seeded ones kept, the test images in order."""
    data, judge = store(), Judge()
    about = build(tmp_path, config, data, judge, None, print)
    references, again = load(tmp_path, config, data, judge, None)
    assert again == about and about["fid_why"].startswith("FID is null") and about["reference_n"] == 40
    assert list(references) == ["classifier", *config.extractors]
    found, features = references["classifier"], flat(data.images / np.float32(255))
    whole = moments(features)
    np.testing.assert_allclose(found.moments.mean, whole.mean, rtol=1e-9)
    np.testing.assert_allclose(found.moments.cov, whole.cov, rtol=1e-9)
    np.testing.assert_allclose(found.heldout, flat(data.split("test").images / 255), rtol=1e-6)
    assert found.subset.shape == (10, 2) and np.unique(found.subset, axis=0).shape == (10, 2)
    assert all(np.abs(features - row).max(1).min() < 1e-6 for row in found.subset)


@pytest.mark.parametrize("field", CHANGED)
def test_other_images_are_other_statistics(field, config):
    extractor = Extractor("x", 2, "none", "h", flat)
    changed = config.model_copy(update={field: CHANGED[field]})
    assert key(extractor, config, store()) != key(extractor, changed, store())


@pytest.mark.parametrize("change", [{"hash": "other"}, {"preprocessing": "clean"}, {"dim": 3}])
def test_another_extractor_or_preprocessing_makes_other_statistics(change, config):
    extractor = Extractor("x", 2, "none", "h", flat)
    assert key(extractor, config, store()) != key(replace(extractor, **change), config, store())
    assert key(extractor, config, store()) != key(extractor, config, store(digest="e"))


def test_nothing_else_does(config):
    """No other option of the protocol enters the key: each, set to nonsense, leaves it as it is."""
    extractor = Extractor("x", 2, "none", "h", flat)
    others = set(type(config).model_fields) - set(CHANGED)
    changed = config.model_copy(update=dict.fromkeys(others, "nonsense"))
    assert len(others) > 10 and key(extractor, config, store()) == key(extractor, changed, store())


def test_stale_statistics_are_refused_in_a_sentence(tmp_path, config):
    data, judge = store(), Judge()
    with pytest.raises(KelvinError, match="about.json is not there; run dvc repro reference"):
        load(tmp_path, config, data, judge, None)
    build(tmp_path, config, data, judge, None, print)
    other = Judge()
    other.record = {**judge.record, "hash": "retrained"}
    for changed, by, on in ((config, other, data), (config, judge, store(digest="e")),
                            (config.model_copy(update={"kept": 11}), judge, data)):
        with pytest.raises(KelvinError, match="made with another extractor or other data; run dvc repro"):
            load(tmp_path, changed, on, by, None)
    with pytest.raises(KelvinError, match="was made with the extractor 'random', which is missing now"):
        load(tmp_path, config.model_copy(update={"extractors": ["pixels"]}), data, judge, None)


def test_the_stage_reads_what_the_key_is_made_of_and_no_other_option(params):
    """Of the protocol's options the stage's plan holds those of the key and of the extractors; of the
    code it reaches what makes features and moments, and no distance."""
    plan = planned(params, "reference")
    assert set(type(plan.metrics).model_fields) == {
        *CHANGED, "extractors", "pixel_dim", "random_dim", "fid_resize", "fid_download"}
    reached = set(Code(ROOT).reach(ROOT / "stages/reference.py"))
    assert reached >= {"kelvin.features.reference", "kelvin.features.classifier",
                       "kelvin.features.inception", "kelvin.features.plain", "kelvin.metrics.moments"}
    assert not reached & {"kelvin.evaluation.protocol", "kelvin.evaluation.evaluate_run",
                          "kelvin.metrics.frechet"}
