"""Results written and read again; files that are missing, cut short or changed, each in one sentence."""

import json
import struct
import zipfile

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
from kelvin.artifacts.models import Kept, ModelFolder
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
    folder.write_kept(Kept(np.array([1, 2]), pixels(2, 3, 1, 4, 4), pixels(2, 2, 3, 1, 4, 4),
                           np.array([2, 5]), pixels(3, 1, 4, 4), pixels(2, 3, 1, 4, 4)))
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
    "model/samples.npz": (model, read_all("kept", ("epochs", "samples", "restored", "times", "truth",
                                                   "degraded")), "train@a-0"),
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


@pytest.fixture(params=FILES)
def written(request, tmp_path):
    """(file, folder, reader, what its cure names)."""
    kind, _, name = request.param.partition("/")
    write, read, stage = FILES[request.param]
    folder = write(tmp_path / kind / "a-0")
    read(folder)  # whole, it is read
    return folder.path / name, folder, read, stage


def sentence(read, folder, path, stage):
    """The error, which is one line that names the file and a cure."""
    with pytest.raises(KelvinError) as error:
        read(folder)
    text = str(error.value)
    assert "\n" not in text and str(path) in text and stage in text, text
    return text


def test_every_file_of_every_folder_is_tried(tmp_path):
    folders = {kind: write for (kind, _, _), (write, _, _) in
               zip((key.partition("/") for key in FILES), FILES.values(), strict=True)}
    written = {f"{kind}/{path.name}" for kind, write in folders.items()
               for path in write(tmp_path / kind).path.iterdir()}
    assert written == set(FILES)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, "last byte"])
def test_a_file_cut_short_is_one_sentence(written, share):
    path, folder, read, stage = written
    content = path.read_bytes()
    whole = content.rstrip(b"\n") if path.suffix == ".json" else content  # a tree may end with a newline
    path.write_bytes(content[:len(whole) - 1 if share == "last byte" else int(share * len(content))])
    sentence(read, folder, path, stage)


def test_a_file_that_is_not_there_is_one_sentence(written):
    path, folder, read, _ = written
    path.unlink()
    sentence(read, folder, path, "")


def test_a_file_of_another_kind_is_one_sentence(written):
    path, folder, read, stage = written
    path.write_bytes(b"[1, 2]\n" if path.suffix == ".json" else bytes(range(256)))
    sentence(read, folder, path, stage)


def places(tree, at=()):
    """Of every key of every mapping, but for those of sections of params.yaml."""
    for key, value in tree.items():
        yield (*at, key)
        if isinstance(value, dict):
            yield from places(value, (*at, key))


JSON = [name for name in FILES if name.endswith(".json")]
FREE = {"samples/config.json": ("sampling.", "samplers.ddim-5."),  # sections of params.yaml, of any type
        "reference/about.json": "extractors.pixels.", "evaluation/calibration.json": "extractors.pixels."}


@pytest.mark.parametrize("file", JSON)
def test_a_value_of_another_type_is_one_sentence_that_names_its_key(file, tmp_path):
    """Whichever key it is of, at any depth."""
    kind, _, name = file.partition("/")
    write, read, stage = FILES[file]
    folder = write(tmp_path / kind / "a-0")
    path = folder.path / name
    whole = json.loads(path.read_text())
    for place in places(whole):
        tree = json.loads(path.read_text())
        above = tree
        for key in place[:-1]:
            above = above[key]
        above[place[-1]] = [[{"odd": "x"}]]
        path.write_text(json.dumps(tree))
        if ".".join(place).startswith(FREE.get(file, "-")):
            read(folder)
        else:
            assert ".".join(place) in sentence(read, folder, path, stage)
        path.write_text(json.dumps(whole))


@pytest.mark.parametrize("file", JSON)
def test_a_key_that_is_missing_is_one_sentence_at_the_latest_where_it_is_read(file, tmp_path):
    kind, _, name = file.partition("/")
    write, read, stage = FILES[file]
    folder = write(tmp_path / kind / "a-0")
    path = folder.path / name
    whole = json.loads(path.read_text())
    for place in places(whole):
        tree = json.loads(path.read_text())
        above = tree
        for key in place[:-1]:
            above = above[key]
        del above[place[-1]]
        path.write_text(json.dumps(tree))

        def use(folder, place=place):
            node = read(folder)
            for key in place:
                node = node[key]

        assert place[-1] in sentence(use, folder, path, stage)
        path.write_text(json.dumps(whole))


@pytest.mark.parametrize("file", [name for name in FILES if name.endswith(".npz")])
def test_a_changed_byte_of_an_array_is_found_by_its_checksum(file, tmp_path):
    """Whichever array it is of."""
    kind, _, name = file.partition("/")
    write, read, stage = FILES[file]
    folder = write(tmp_path / kind / "a-0")
    path = folder.path / name
    content = path.read_bytes()
    with zipfile.ZipFile(path) as file:
        members = file.infolist()
    for member in members:
        lengths = struct.unpack("<HH", content[member.header_offset + 26:member.header_offset + 30])
        first = member.header_offset + 30 + sum(lengths)  # the name and the extra field (APPNOTE 4.3.7)
        for share in (0.2, 0.5, 0.8):
            damaged = bytearray(content)
            damaged[first + int(share * member.compress_size)] ^= 0xFF
            path.write_bytes(damaged)
            sentence(read, folder, path, stage)


def test_a_history_cut_between_two_rows_is_found(tmp_path):
    folder = model(tmp_path / "a-0")
    path = folder.history_file
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    assert len(folder.history()) == 2
    assert "it ends after 8 updates of 12" in sentence(lambda f: f.history(12), folder, path, "train@a-0")


@pytest.mark.parametrize("odd", [pixels(2, 1, 4), reals(2, 1, 4, 4)], ids=["axes", "dtype"])
def test_an_array_of_another_shape_or_dtype_is_refused(tmp_path, odd):
    folder = SampleFolder(tmp_path / "a-0")
    folder.write_samples(Samples({"ddim-5": odd}))
    sentence(lambda f: f.samples().samples("ddim-5"), folder, folder.samples_file, "sample@a-0")


def test_statistics_of_different_widths_are_refused(tmp_path):
    folder = ReferenceFolder(tmp_path)
    folder.write_statistics("pixels", Statistics(np.asarray(9), np.zeros(3), np.eye(3), reals(5, 3),
                                                 reals(7, 4), np.zeros((1, 3))))
    assert "not all of 3 features" in sentence(lambda f: f.statistics("pixels"), folder,
                                               tmp_path / "pixels.npz", "reference")


def equal(a, b):
    if isinstance(a, dict):
        assert list(a) == list(b)
        return [equal(a[key], b[key]) for key in a]
    if hasattr(a, "__dataclass_fields__"):
        return [equal(getattr(a, name), getattr(b, name)) for name in a.__dataclass_fields__]
    assert np.array_equal(a, b) and np.asarray(a).dtype == np.asarray(b).dtype


def test_samples_come_back_as_they_were(tmp_path):
    folder, wanted = SampleFolder(tmp_path), everything()
    folder.write_samples(wanted)
    file = folder.samples()
    assert file.samplers == ["ddim-5", "ddim-5@w=2.5", "raw"]
    equal(wanted, Samples(
        {name: file.samples(name) for name in file.samplers}, file.labels, file.many, file.prior,
        file.encoding, {"ddim-5": file.decoding("ddim-5")}, file.bound, file.restorations,
        file.snr_errors, file.at_times, file.parts, file.brightness, file.gates,
        file.consistency))


def test_the_keys_of_samples_stay_those_of_recorded_results():
    """Results are read again by later versions: a key that changes loses them."""
    assert list(everything().arrays()) == [
        "labels", "samples/ddim-5", "samples/ddim-5@w=2.5", "samples/raw", "many", "prior",
        "encoding_times", "encoding", "decoding_times/ddim-5", "decoding/ddim-5", "bound", "bound_times",
        "bound_terms", "bound_grey_levels", "restore_times", "restore_truth", "restore_degraded",
        "restore_groups", "restore/one-shot", "restore/ddim-5", "log_snr", "log_snr_error", "at/times",
        *(f"at/{part}/{key}" for part in ("test", "seen")
          for key in ("kinds", "truth", "degraded", "groups", "rule/exact", "rule/study-e")),
        "brightness_times", "brightness_range", "near_black", "brightness_black",
        *(f"{key}/{name}" for name in ("exact", "exact, fed back")
          for key in ("brightness", "shown", "finite", "black", "drawn")),
        "gate_times", "gate_one_shot", "gate_linear",
        *(f"{key}/{name}" for name in ("ddim-5", "naive-5")
          for key in ("consistency_times", "consistency"))]


def test_what_a_run_has_not_is_none(tmp_path):
    folder = SampleFolder(tmp_path)
    folder.write_samples(Samples({"folder": pixels(3, 1, 4, 4)}))
    file = folder.samples()
    assert file.samplers == ["folder"] and file.parts == {}
    for name in ("labels", "many", "encoding", "bound", "snr_errors", "at_times", "brightness"):
        assert getattr(file, name) is None


def test_weights_come_back_in_their_parts_and_in_the_same_bytes(tmp_path):
    wanted = Weights({"w": torch.rand(3)}, {"mean": torch.rand(2)}, {"gain": torch.rand(2)},
                     {"run": {"a": 1}}, {"weights": torch.rand(2)})
    write_weights(tmp_path / "one", wanted)
    found = read_weights(tmp_path / "one")
    for name in ("network", "prior", "process", "linear"):
        ours, theirs = getattr(wanted, name), getattr(found, name)
        assert ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)
    assert found.about == wanted.about
    write_weights(tmp_path / "two", found)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
