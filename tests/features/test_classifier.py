"""FMD with a trained classifier: it must rise as real digits are spoilt."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from sklearn.datasets import load_digits

from kelvin.common.errors import KelvinError
from kelvin.config.schema import ClassifierConfig
from kelvin.features import classifier
from kelvin.features.classifier_network import Classifier
from kelvin.features.classifier_training import train_classifier
from kelvin.metrics.frechet import frechet_from_features
from kelvin.metrics.moments import moments
from kelvin.networks import Shape


@pytest.fixture(scope="module")
def data():
    digits = load_digits()
    images = (digits.images[:, None] * 255 / 16).round().astype(np.uint8)
    order = np.random.default_rng(0).permutation(len(images))
    return images[order], digits.target[order]


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    torch.set_num_threads(1)
    config = ClassifierConfig(channels=[16, 32, 32], features=32, epochs=8, batch=64, lr=3e-3,
                              images=1200)
    network = Classifier(Shape(1, 8, 8), config.channels, config.features, 10)
    folder = tmp_path_factory.mktemp("classifier")
    history = train_classifier(config, network, *data, seed=0)
    record = classifier.save(folder, network, config, history, data[0][1200:], data[1][1200:])
    return folder, record


def test_it_learns_and_comes_back(trained, data):
    folder, record = trained
    assert record["accuracy"] > 0.9 and record["n"] == 597
    judge = classifier.load(folder)
    features, probabilities = judge(data[0][1200:])
    assert features.shape == (597, 32)
    assert (probabilities.argmax(1) == data[1][1200:]).mean() == record["accuracy"]


def test_another_classifier_under_the_same_name_is_refused(trained, tmp_path):
    folder, record = trained
    with pytest.raises(KelvinError, match="run dvc repro classifier"):
        classifier.load(tmp_path)
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    text = (tmp_path / "record.json").read_text()
    (tmp_path / "record.json").write_text(text.replace(record["hash"], "0" * 16))
    with pytest.raises(KelvinError, match="the weights are not those of record.json"):
        classifier.load(tmp_path)


def test_fmd_rises_as_real_digits_are_spoilt(trained, data):
    judge, images = classifier.load(trained[0]), data[0] / 255
    reference, held_out = moments(judge(images[:1200])[0]), images[1200:1470]
    rng = np.random.default_rng(0)
    z = rng.standard_normal(held_out.shape)
    spoilers = {
        "noise": [np.clip(held_out + s * z, 0, 1) for s in (0, 0.1, 0.2, 0.4, 0.8)],
        "blur": [ndimage.gaussian_filter(held_out, (0, 0, s, s)) for s in (0, 0.5, 0.8, 1.2, 2.5)],
        "blackout": [np.where(np.arange(8) < k, 0, held_out) for k in (0, 2, 3, 5, 8)]}
    for name, series in spoilers.items():
        values = [frechet_from_features(judge(x)[0], reference) for x in series]
        assert all(b > a * 1.02 for a, b in zip(values, values[1:], strict=False)), (name, values)


def test_classifiers_of_other_seeds_come_back_beside_the_first(trained, data, tmp_path):
    """A folder of three: two others, each with its own weights and features; their distances by hand."""
    import shutil

    first = tmp_path / "classifier"
    shutil.copytree(trained[0], first)
    config = ClassifierConfig(channels=[16, 32, 32], features=32, epochs=1, batch=64, lr=3e-3, images=400)
    for k in (1, 2):
        network = Classifier(Shape(1, 8, 8), config.channels, config.features, 10)
        history = train_classifier(config, network, *data, seed=10_000 * k)
        classifier.save(classifier.other_folder(first, k), network, config, history, data[0][1200:],
                        data[1][1200:])
    judge = classifier.load(first)
    assert len({judge.record["hash"], *(other.record["hash"] for other in judge.others)}) == 3
    assert [other.others for other in judge.others] == [(), ()]
    assert classifier.load(trained[0]).others == ()
    (classifier.other_folder(first, 2) / "record.json").unlink()
    with pytest.raises(KelvinError, match="other-2.record.json is not there; run dvc repro classifier"):
        classifier.load(first)
