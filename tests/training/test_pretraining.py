"""Pre-training: one trajectory cut at several epochs, shared by runs, made again only when stale."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT
from helpers import planned
from safetensors.torch import load_file, save_file
from sklearn.datasets import load_digits

from kelvin.common.errors import KelvinError
from kelvin.config import resolve as parameters
from kelvin.config.resolve import Params, merge
from kelvin.config.schema import RunConfig
from kelvin.datasets.preparation import prepare
from kelvin.datasets.splitting.classes import restricted
from kelvin.datasets.store import PreparedStore
from kelvin.networks import Shape
from kelvin.pipeline.checks.starts import start_faults
from kelvin.restoration import assemble
from kelvin.training.checkpoint import Checkpoint
from kelvin.training.fitting import fit_process
from kelvin.training.pretraining import Pretrainer, digest, load_start
from kelvin.training.starts import make_starts, source_images
from kelvin.training.train_run import train_run

SHAPE = Shape(1, 8, 8)
NETWORK = {"kind": "unet", "channels": 8, "multipliers": [1], "blocks": 1}
PRETRAIN = {"dataset": None, "classes": [5, 6, 7, 8, 9], "epochs": 1}


def make(run, folder, epochs, name="a", *, precision):
    torch.manual_seed(0)
    restorer = assemble.build(run, SHAPE)
    images = (load_digits().images[:160, None] * 255 / 16).round().astype(np.uint8)
    fit_process(restorer, images[:96], None)
    return Pretrainer(run, restorer, images[:96], images[96:], 0, precision,
                      Checkpoint(name, folder), epochs)


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.fixture
def run(params):
    training = {"epochs": 10, "batch": 32, "warmup": 0.2, "decay": "cosine", "checkpoint_every": 1}
    return RunConfig(**merge(params.run("blur-strong").model_dump(),
                             {"network": NETWORK, "training": training}))


def test_fewer_epochs_are_a_cut_of_the_same_trajectory(run, tmp_path, trainer):
    long, short = trainer(run, tmp_path, [1, 3], "long"), trainer(run, tmp_path, [1], "short")
    long.run()
    short.run()
    assert set(long.snapshots) == {1, 3} and set(short.snapshots) == {1}
    assert equal(long.snapshots[1], short.snapshots[1])
    assert not equal(long.snapshots[1], long.snapshots[3])
    assert equal(long.snapshots[3], long.ema.network.state_dict())
    rates = [long.learning_rate(u) for u in range(9)]  # 3 updates an epoch: 6 of 30 are warm-up
    np.testing.assert_allclose(rates, run.training.lr * np.minimum(np.arange(1, 10) / 6, 1))


def test_a_resumed_pre_training_still_has_its_early_weights(run, tmp_path, trainer):
    whole = trainer(run, tmp_path, [1, 3], "whole")
    whole.run()
    cut = trainer(run, tmp_path, [1, 3], "cut")
    state_of = cut.state

    def stop(epoch):
        if epoch == 3:
            raise KeyboardInterrupt
        return state_of(epoch)

    cut.state = stop
    with pytest.raises(KeyboardInterrupt):
        cut.run()
    again = trainer(run, tmp_path, [1, 3], "cut")
    again.run()
    assert equal(whole.snapshots[1], again.snapshots[1]) and equal(whole.snapshots[3], again.snapshots[3])


class Project:
    """Digits prepared in the working directory, and params.yaml with small runs."""

    def __init__(self, root, precision):
        self.raw = copy.deepcopy(parameters.read(ROOT / "params.yaml"))
        self.raw |= {"scale": "smoke", "active": ["scratch", "one", "two"]}
        base = {"title": "", "classes": [0, 1, 2, 3, 4], "network": NETWORK,
                "schedule": {"kind": "linear", "steps": 20, "beta_min": 1e-4, "beta_max": 0.4},
                "training": {"epochs": 1, "batch": 64, "precision": precision},
                "sampling": {"epoch_images": 16}}
        self.raw["runs"] = {"scratch": base, "one": base | {"pretrain": dict(PRETRAIN)},
                            "two": base | {"pretrain": PRETRAIN | {"epochs": 2}}}
        self.raw |= {"studies": {}, "records": {}}
        images = Params(self.raw).images
        prepare("digits", images, {}, root / "data/prepared/digits")
        self.store = PreparedStore(root / "data/prepared/digits")

    @property
    def params(self):
        return Params(copy.deepcopy(self.raw))

    def make(self):
        plan = planned(self.params, "pretrain")
        return make_starts(plan, self.store, Path("data/starts/digits"))

    def note(self, name):
        return json.loads(Path(f"data/starts/digits/{name}-0/start.json").read_text())

    def train(self, name):
        plan, out = planned(self.params, "train", name, 0), Path("models") / name
        store = restricted(self.store, plan.config.classes)
        train_run(plan, store, out, plan.results.start)
        return json.loads((out / "config.json").read_text())


@pytest.fixture
def project(tmp_path, monkeypatch):
    """In fp32: which weights are made, shared and refused depends on no precision, and whether they are
    the same bits in either is tested above."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return Project(tmp_path, "fp32")


def test_runs_share_one_training_that_is_made_once(project):
    assert project.make() == ["one"]  # and serves two
    assert project.note("scratch") == {"pretrain": None}
    one, two = project.note("one"), project.note("two")
    assert (one["updates"], two["updates"]) == (one["updates"], 2 * one["updates"])
    assert one["fingerprint"] == two["fingerprint"] and one["sha256"] != two["sha256"]
    files = {p: p.read_bytes() for p in Path("data/starts").rglob("*.*")}
    assert project.make() == []
    project.raw["runs"]["scratch"]["training"] = {"epochs": 1, "batch": 32}
    assert project.make() == []  # another run's change trains nothing again
    assert files == {p: p.read_bytes() for p in Path("data/starts").rglob("*.*")}
    project.raw["runs"]["one"]["pretrain"]["classes"] = [5, 6]
    assert project.make() == ["one"]  # it shares no longer; the other's weights stay
    assert project.note("two")["sha256"] == two["sha256"]
    assert project.note("one")["sha256"] != one["sha256"]
    project.raw["active"] = ["scratch"]
    assert project.make() == [] and not Path("data/starts/digits/one-0").exists()


def test_a_pre_training_that_diverges_leaves_no_weights(project):
    project.make()
    for run in ("one", "two"):
        project.raw["runs"][run]["training"] = {"epochs": 1, "batch": 64, "lr": 1e6, "warmup": 0.0}
    with pytest.raises(KelvinError, match="^pre-training diverged: "):
        project.make()
    assert not list(Path("data/starts").rglob("weights.safetensors"))


def test_a_run_starts_from_its_weights_and_its_fingerprint_says_so(project):
    project.make()
    configs = {name: project.train(name) for name in ("scratch", "one", "two")}
    assert len({c["fingerprint"] for c in configs.values()}) == 3
    assert configs["scratch"]["start"] is None
    assert configs["two"]["start"]["sha256"] == project.note("two")["sha256"]
    folder, params = Path("data/starts/digits/two-0"), project.params
    network = assemble.build(params.run("two"), SHAPE).network
    load_start(folder, "two", params.run("two"), SHAPE, network)
    assert equal(network.state_dict(), load_file(folder / "weights.safetensors"))
    # the tensors decide the fingerprint, not the words beside them
    weights = load_file(folder / "weights.safetensors")
    first = next(name for name in weights if name.endswith("weight"))
    weights[first] = weights[first] + 1
    save_file(weights, folder / "weights.safetensors")
    note = project.note("two") | {"sha256": digest(weights)}
    (folder / "start.json").write_text(json.dumps(note))
    assert project.train("two")["fingerprint"] != configs["two"]["fingerprint"]


@pytest.mark.parametrize("change, sentence", [
    ({"network": {"kind": "unet", "channels": 16, "multipliers": [1], "blocks": 1}},
     "made with network.channels = 8, but runs.one has 16"),
    ({"schedule": {"kind": "linear", "steps": 30, "beta_min": 1e-4, "beta_max": 0.4}},
     "made with schedule.steps = 20, but runs.one has 30"),
    ({"degradation": {"kind": "interpolation"}}, "made with degradation.kind = gaussian-noise"),
    ({"restorer": {"low": 0.0}}, "made with restorer.low = -1.0, but runs.one has 0.0"),
    ({"pretrain": PRETRAIN | {"epochs": 2}}, "made with pretrain.epochs = 1, but runs.one has 2")])
def test_weights_of_something_else_are_refused(project, change, sentence):
    project.make()
    project.raw["runs"]["one"] |= change
    params = project.params
    network = assemble.build(params.run("scratch"), SHAPE).network
    with pytest.raises(KelvinError, match=sentence + ".*; run dvc repro pretrain"):
        load_start(Path("data/starts/digits/one-0"), "one", params.run("one"), SHAPE, network)


def test_missing_foreign_and_changed_weights_are_refused(project):
    run, folder = project.params.run("one"), Path("data/starts/digits/one-0")
    network = assemble.build(run, SHAPE).network
    with pytest.raises(KelvinError, match="holds no weights for runs.one to start from; run dvc repro"):
        load_start(folder, "one", run, SHAPE, network)
    project.make()
    with pytest.raises(KelvinError, match="made with image.height = 8, but runs.one has 16"):
        load_start(folder, "one", run, SHAPE.__class__(1, 16, 8), network)
    weights = load_file(folder / "weights.safetensors")
    name = sorted(weights)[0]
    save_file(weights | {name: weights[name] + 1}, folder / "weights.safetensors")
    with pytest.raises(KelvinError, match="is not what start.json describes"):
        load_start(folder, "one", run, SHAPE, network)
    odd = {key: value for key, value in weights.items() if key != name}
    save_file(odd, folder / "weights.safetensors")
    note = project.note("one") | {"sha256": digest(odd)}
    (folder / "start.json").write_text(json.dumps(note))
    with pytest.raises(KelvinError, match=f"tensor '{name}' is absent in the file"):
        load_start(folder, "one", run, SHAPE, network)


def test_images_of_the_other_classes_or_of_another_data_set(project):
    plan = planned(project.params, "pretrain")
    start = plan.starts[0]
    run, train, held = source_images(plan, project.store, start, SHAPE)
    assert run == start.config
    part = project.store.split("train")
    assert np.array_equal(train, part.images[part.labels >= 5][:256]) and len(held) == 68
    project.raw["runs"]["one"]["pretrain"] |= {"dataset": "photos", "classes": None}
    plan = planned(project.params, "pretrain")
    _, train, held = source_images(plan, project.store, plan.starts[0], SHAPE)
    assert train.shape == (256, 1, 8, 8) and train.dtype == np.uint8 and len(held) == 52


def test_under_a_bounded_protocol_the_batch_gives_way_in_plan_and_pre_training(project):
    """To half of the images outside the test set, of the classes that are pre-trained on."""
    def faults():
        return start_faults(plan.starts, project.store.manifest, {}, plan.checked.metrics)

    one = project.raw["runs"]["one"]
    one |= {"pretrain": PRETRAIN | {"classes": [5, 6]},
            "training": one["training"] | {"batch": 300, "images": None}}
    project.raw["active"] = ["one"]
    plan = planned(project.params, "pretrain")
    (line,) = faults()
    assert line.startswith("runs.one.training.batch = 300 is more than the ")
    assert line.endswith(" training images of pretrain.classes = [5, 6]: no batch would be full")
    project.raw["datasets"]["digits"]["metrics"]["bounded"] = True
    plan = planned(project.params, "pretrain")
    assert faults() == []
    run, train, _ = source_images(plan, project.store, plan.starts[0], SHAPE)
    outside = int(np.isin(project.store.labels[project.store.parts != 2], [5, 6]).sum())
    assert run.training.batch == outside // 2 <= len(train) < 300
    assert project.make() == ["one"] and project.make() == []


@pytest.mark.parametrize("change, sentence", [
    ({"pretrain": PRETRAIN | {"dataset": "nowhere"}},
     r"runs.one.pretrain.dataset = 'nowhere' is not in datasets; known are .*null for the run's own"),
    ({"pretrain": PRETRAIN | {"epochs": 0}}, "runs.one.pretrain.epochs"),
    ({"pretrain": {"epochs": 1}}, "runs.one.pretrain"),
    ({"classes": []}, "runs.one.classes"),
    ({"pretrain": PRETRAIN, "source": "folder", "path": "x"}, "pretrain goes with source: train")])
def test_options_without_meaning_are_refused(params, change, sentence):
    raw = copy.deepcopy(parameters.read(ROOT / "params.yaml"))
    raw["runs"]["one"] = {"title": "", **change}
    with pytest.raises(KelvinError, match=sentence):
        Params(raw)


def test_the_study_resolves_as_study_d_has_it(params):
    for name, epochs in (("pretrain-10", 10), ("pretrain-20", 20), ("pretrain-30", 30)):
        run = params.run(name)
        assert (run.pretrain.epochs, run.pretrain.classes, run.classes) == (
            epochs, [5, 6, 7, 8, 9], [0, 1, 2, 3, 4])
        assert run.training == params.run("pretrain-0").training
    scratch, control = params.run("pretrain-0").training, params.run("pretrain-control").training
    assert control.epochs == scratch.epochs + 30 and scratch.decay == "constant"
    paper = Params({**copy.deepcopy(parameters.read(ROOT / "params.yaml")), "scale": "paper",
                    "dataset": "cifar10"})
    run = paper.run("pretrain-30")
    assert run.classes is None and run.pretrain.model_dump() == {
        "dataset": "cifar100", "classes": None, "epochs": 30}
    assert (run.training.epochs, run.training.batch, run.training.lr) == (50, 64, 1e-3)
