"""Results of every kind, written by their writers: what tests of files damage and read again."""

import numpy as np
import pytest
import torch

from kelvin.artifacts.evaluations import (
    EvaluationFolder,
    read_calibration,
    read_record,
    write_calibration,
    write_record,
)
from kelvin.artifacts.features import ClassifierFolder, ReferenceFolder, Statistics
from kelvin.artifacts.models import EpochSamples, ModelFolder
from kelvin.artifacts.names import (
    guided,
    way,
)
from kelvin.artifacts.samples import (
    Bound,
    Brightness,
    Gaps,
    Gates,
    Restorations,
    SampleFolder,
    Samples,
    SingleShot,
    SnrErrors,
    Strip,
    Way,
)
from kelvin.artifacts.starts import StartFolder
from kelvin.artifacts.weights import Weights, read_weights, write_weights
from kelvin.common.errors import KelvinError

RNG = np.random.default_rng(0)


def pixels(*shape):
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def reals(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def everything():
    """Samples of a conditional run on a fold, which has all there is."""
    image = (3, 4, 5)
    return Samples(
        {name: pixels(6, *image) for name in ("ddim-5", guided("ddim-5", 2.5), "raw")},
        np.arange(6) % 2, pixels(9, *image), pixels(6, *image),
        Strip(np.array([0, 5]), pixels(2, 4, *image)),
        {"ddim-5": Strip(np.array([5, 0]), pixels(2, 4, *image))},
        Bound(RNG.normal(size=(6, 3)), reals(2), RNG.normal(size=(2, 2)), 17),
        Restorations(np.array([2, 5]), pixels(4, *image), pixels(2, 4, *image),
                     {"one-shot": pixels(2, 4, *image), "ddim-5": pixels(2, 4, *image)},
                     np.arange(4) // 2),
        SnrErrors(np.array([-2.0, 2.0]), reals(2, 4)), np.array([5]),
        {part: SingleShot(np.array(["Apple", "Pear/1"]), pixels(2, *image), pixels(1, 2, *image),
                          {rule: pixels(1, 2, *image) for rule in ("exact", "study-e")}, np.zeros(2, int))
         for part in ("test", "seen")},
        Brightness(np.array([5, 0]), -1.0, 1.0, 0.05, reals(4), {
            name: Way(reals(2, 6), reals(2, 6), reals(2, 6), reals(2, 6), pixels(2, *image))
            for name in (way("exact"), way("exact", "fed back"))}),
        Gates(np.array([2, 5]), reals(2, 4), reals(2, 4)),
        {"ddim-5": Gaps(np.array([5, 2]), reals(2, 3)), "naive-5": Gaps(np.array([5]), reals(1, 3))})


def model(path):
    folder = ModelFolder(path)
    folder.write_epoch_samples(EpochSamples(
        np.array([1, 2]), pixels(2, 3, 1, 4, 4), pixels(2, 2, 3, 1, 4, 4), np.array([2, 5]),
        pixels(3, 1, 4, 4), pixels(2, 3, 1, 4, 4)))
    folder.write_history([{"epoch": e, "updates": 4 * e, "train_loss": 1 / e} for e in (1, 2, 3)])
    folder.write_config({"run": "a", "replicate": 0, "fingerprint": "f", "dataset": "d", "scale": "smoke",
                         "source": "train", "config": {}, "data": "x", "start": None})
    folder.write_cost({"updates": 12, "parameters": 9, "flops_per_image": 9, "peak_memory_bytes": None,
                       "epoch_seconds": [0.5, 1], "train_seconds": 1.5, "hardware": "x",
                       "precision": "fp32", "threads": 1, "processes": 1})
    folder.write_process({"temperature": "hot", "signal_variance": [1.0, 0.5], "wanted": None,
                          "clamped_from": None, "tie": None, "recoverability_times": [0, 1],
                          "recoverability": [1.0, 0.4], "wanted_recoverability": None})
    for file in (folder.ema, folder.raw):
        write_weights(file, Weights({"w": torch.rand(30, 4)}, {"mean": torch.rand(3)},
                                    {"gain": torch.rand(3)}, {"run": {}}))
    return folder


def samples(path):
    folder = SampleFolder(path)
    folder.write_samples(everything())
    folder.write_config({"sampling": {"samplers": ["ddim-5"]}, "samplers": {"ddim-5": {}}})
    folder.write_cost({"nfe": {"ddim-5": 5}, "seconds": {"ddim-5": 0.5}})
    return folder


def classifier(path):
    folder = ClassifierFolder(path)
    folder.write_weights({"w": torch.rand(30, 4)})
    folder.write_record({"accuracy": 0.5, "n": 9, "hash": "f", "features": 4, "channels": [2, 4],
                         "classes": 2, "shape": [1, 4, 4], "loss": [0.5]})
    return folder


ABOUT = {"reference": "train+validation", "reference_n": 9, "data": "f", "test_n": 7, "extractor": "f",
         "classifier_accuracy": 0.5, "fid_why": "none.", "effnet_why": None,
         "extractors": {"pixels": {"key": "f", "dim": 3}}}


def reference(path):
    folder = ReferenceFolder(path)
    folder.write_about(ABOUT)
    folder.write_projection({"mean": RNG.normal(size=16), "components": RNG.normal(size=(16, 3))})
    folder.write_statistics("pixels", Statistics(np.asarray(9), RNG.normal(size=3), np.eye(3),
                                                 reals(5, 3), reals(7, 3), RNG.normal(size=(1, 3))))
    return folder


def start(path):
    folder = StartFolder(path)
    folder.write_weights({"w": torch.rand(30, 4)})
    folder.write_note({"pretrain": None, "fingerprint": "f"})
    folder.write_blend(pixels(5, 1, 4, 4))
    return folder


def evaluation(path):
    folder = EvaluationFolder(path)
    folder.write_details({"histograms": {"ddim-5": [0.5, 0.5]}, "nearest": {"nearest_sample": [1]},
                          "restoration": [{"method": "one-shot", "t": 5, "ssim": None}]})
    write_record(path / "a-0.json", {
        "run": "a", "replicate": 0, "dataset": "d", "scale": "smoke", "fingerprint": "f", "fmd": 1.5,
        "copier": False, "fid": None, "fid_why": "none.", "samplers": {"ddim-5": {"fmd": 1.5, "nfe": 5}}})
    few = {"n": 5, "fmd": 1.5, "fmd_sd": None}
    write_calibration(path / "calibration.json", {
        "dataset": "d", **ABOUT, "n": 5, "floor": 0.5, "floor_sd": 0.1, "floor_draws": 9, "ceiling": 9.5,
        "bias": {"over_n": [few], "study_a": few, "study_d": few, "fd_infinity": few,
                 "others": {"pixels": [few]}},
        "rows": {"black": {"title": "black", "fmd": 9.5, "histogram": [0.5, 0.5]}}})
    return folder


def read_all(of, names, read=lambda file: None):
    """Every property of a reader of arrays, and what else `read` reads."""
    return lambda folder: [read(getattr(folder, of)()), *(getattr(getattr(folder, of)(), name)
                                                          for name in names)]


FILES = {  # file: (writer of its folder, what reads it, a stage that its cure names)
    "model/config.json": (model, ModelFolder.config, "train@a-0"),
    "model/cost.json": (model, ModelFolder.cost, "train@a-0"),
    "model/process.json": (model, ModelFolder.process, "train@a-0"),
    "model/history.csv": (model, lambda f: f.history(12), "train@a-0"),
    "model/samples.npz": (model, read_all("epoch_samples", (
        "epochs", "samples", "restored", "times", "truth", "degraded")), "train@a-0"),
    "model/ema.safetensors": (model, lambda f: read_weights(f.ema), "make repro"),
    "model/raw.safetensors": (model, lambda f: read_weights(f.raw), "make repro"),
    "samples/config.json": (samples, SampleFolder.config, "sample@a-0"),
    "samples/cost.json": (samples, SampleFolder.cost, "sample@a-0"),
    "samples/samples.npz": (samples, read_all("samples", (
        "samplers", "labels", "many", "prior", "encoding", "bound", "restorations", "snr_errors",
        "at_times", "parts", "brightness", "gates", "consistency"), lambda file: [
            file.decoding("ddim-5"), *map(file.samples, file.samplers)]), "sample@a-0"),
    "classifier/record.json": (classifier, ClassifierFolder.record, "classifier"),
    "classifier/weights.safetensors": (classifier, ClassifierFolder.weights, "classifier"),
    "reference/about.json": (reference, ReferenceFolder.about, "reference"),
    "reference/projection.npz": (reference, ReferenceFolder.projection, "reference"),
    "reference/pixels.npz": (reference, lambda f: f.statistics("pixels"), "reference"),
    "start/start.json": (start, StartFolder.note, "pretrain"),
    "start/weights.safetensors": (start, StartFolder.weights, "pretrain"),
    "start/blend.npz": (start, StartFolder.blend, "pretrain"),
    "evaluation/details.json": (evaluation, EvaluationFolder.details, "evaluate@a-0"),
    "evaluation/a-0.json": (evaluation, lambda f: read_record(f.path / "a-0.json"), "evaluate@a-0"),
    "evaluation/calibration.json": (
        evaluation, lambda f: read_calibration(f.path / "calibration.json"), "calibrate"),
}


def assert_sentence(read, folder, path, stage):
    """The error, which is one line that names the file and a cure."""
    with pytest.raises(KelvinError) as error:
        read(folder)
    text = str(error.value)
    assert "\n" not in text and str(path) in text and stage in text, text
    return text
