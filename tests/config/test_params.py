"""params.yaml: what it resolves to, and that every mistake gets one sentence naming the key."""

import copy
import subprocess

import pytest
from conftest import ROOT
from helpers import plans, with_values

from kelvin.common.errors import KelvinError
from kelvin.config.digest import fingerprint
from kelvin.config.layers import merge
from kelvin.config.plan import plan_path
from kelvin.config.resolve import Params, read
from kelvin.pipeline.checks.params import check, checked_params

RAW = read(ROOT / "params.yaml")


def changed(path, value):
    raw = copy.deepcopy(RAW)
    node = raw
    *parents, last = path.split(".")
    for key in parents:
        node = node.setdefault(key, {})
    node[last] = value
    return raw


@pytest.mark.parametrize("scale", RAW["scales"])
@pytest.mark.parametrize("dataset", RAW["datasets"])
def test_every_run_resolves_on_every_data_set_at_every_scale(scale, dataset):
    blend = "photos" if dataset != "photos" else "digits"
    raw = {**copy.deepcopy(RAW), "scale": scale, "dataset": dataset, "blend": blend}
    assert set(Params(raw).runs) == set(RAW["runs"])


@pytest.mark.parametrize("dataset", ["mnist", "cifar10"])
def test_the_core_is_planned_for_a_gpu(dataset):
    """Every active run, by a network wider than a laptop's, in the precision of the device."""
    params = Params({**copy.deepcopy(RAW), "scale": "gpu", "dataset": dataset})
    found = plans(params)
    for name in params.house.active:
        run = found[plan_path("train", name, "0")].config
        assert run.network.channels >= 32 and run.training.precision == "auto"


def test_the_default_is_a_core_of_at_most_20_runs():
    assert len(RAW["active"]) <= 20
    larger = {"widths", "objectives", "targets", "colour"}  # answered by records, as `make full` makes
    for name in set(RAW["studies"]) - larger:
        study = RAW["studies"][name]
        least = 1 if name == "guidance" else 2  # guidance compares the weights of one run
        assert len(set(study["runs"]) & set(RAW["active"])) >= least, f"{name} has nothing to compare"


def test_study_a_at_paper_scale_is_study_a():
    resolved = Params({**copy.deepcopy(RAW), "scale": "paper", "dataset": "mnist"})
    for name, T, end in (("ddpm-default", 1000, 0.02), ("ddpm-long", 5000, 0.004),
                         ("ddpm-short", 200, 0.1)):
        run = resolved.run(name)
        assert run.schedule.model_dump() == {"kind": "linear", "steps": T, "beta_min": 1e-4,
                                             "beta_max": end}
        assert run.network.model_dump() == {"kind": "cnn", "hidden": [16, 32, 64, 32, 16], "kernel": 7}
        t = run.training
        assert (t.epochs, t.batch, t.lr, t.loss, t.decay) == (100, 128, 2e-4, "l2", "constant")
        assert (run.restorer.low, run.restorer.high, run.restorer.parameterisation) == (0, 1, "eps")
    assert (resolved.classifier.features, resolved.classifier.channels) == (1024, [32, 64, 128, 64])
    small = resolved.metrics.small
    assert (small.images, small.reference, small.draws) == (32, 512, 15)


def test_merging_order_and_kinds():
    below = {"a": {"kind": "x", "p": 1, "q": 2}, "b": [1, 2], "c": {"d": 1}}
    assert merge(below, {"a": {"p": 5}, "b": [3], "c": {"e": 2}}) == {
        "a": {"kind": "x", "p": 5, "q": 2}, "b": [3], "c": {"d": 1, "e": 2}}
    assert merge(below, {"a": {"kind": "y", "r": 1}})["a"] == {"kind": "y", "r": 1}


@pytest.mark.parametrize(("path", "value", "said"), [
    ("defaults.training.ema", 1.5, "training.ema = 1.5"),
    ("runs.ddpm-default.training.lr", "fast", "runs.ddpm-default.training.lr = 'fast'"),
    ("runs.ddpm-default.training.lr", -1.0, "runs.ddpm-default.training.lr = -1.0"),
    ("runs.ddpm-default.trianing", {}, "runs.ddpm-default.trianing is not a known parameter"),
    ("runs.ddpm-vlb.training.weighting", "elbo", "runs.ddpm-vlb.training.weighting = 'elbo'"),
    ("metric", {}, "metric is not a known parameter"),
    ("metrics.floor_draws", 1, "metrics.floor_draws = 1"),
    ("datasets.digits.metrics.images", 2, "metrics.images"),
    ("blend", "digits", "blend and dataset both name 'digits'"),
    ("dataset", "minst", "dataset names 'minst', which is not defined; known are cifar10"),
    ("scale", "huge", "scale names 'huge'"),
    ("active", ["nobody"], "active names 'nobody'"),
    ("active", ["ddpm-default", "ddpm-default"], "active names an entry twice"),
    ("replicates", [], "replicates = []"),
    ("studies.schedules.runs", ["nobody"], "studies.schedules.runs names 'nobody', which is not in runs"),
    ("runs.ddpm-default.sampling.samplers", ["magic"],
     "names the sampler 'magic', which is not in samplers"),
    ("runs.ddpm-default.restorer", {"low": 2.0, "high": 1.0}, "low = 2 must lie below high = 1"),
    ("runs.ddpm-default.path", "somewhere", "path goes with source: folder"),
    ("runs.ddpm-default.scales", {"hueg": {}}, "runs.ddpm-default.scales names 'hueg'"),
    ("threads", True, "threads = True"),
])
def test_mistakes_are_named(path, value, said):
    raw = changed(path, value)
    if path == "defaults.training.ema":
        for scale in raw["scales"].values():
            scale["run"]["training"].pop("ema")
    with pytest.raises(KelvinError) as error:
        Params(raw)
    text = str(error.value)
    assert said in text and "\n" not in text


@pytest.mark.parametrize(("path", "value", "said"), [
    ("runs.blur-strong.degradation.sigma", -1.0, "runs.blur-strong.degradation.sigma = -1.0"),
    ("runs.blur-strong.degradation.border", "cyclic", "runs.blur-strong.degradation.border = 'cyclic'"),
    ("runs.blur-strong.degradation.kind", "blurr", "no such degradation; known are averaging"),
    ("runs.blur-strong.degradation.kind", "nowhere:Blur", "No module named 'nowhere'"),
    ("runs.blur-strong.restorer.parameterisation", "eps",
     "has no meaning for gaussian-blur; it takes x0"),
    ("runs.blur-strong.training.weighting", {"kind": "vlb"},
     "runs.blur-strong.training.weighting = 'vlb' weights by the likelihood bound of a hot process, but "
     "gaussian-blur is cold"),
    ("runs.tied-blur-noise.training.weighting", {"kind": "vlb"}, "but blur-noise is warm"),
    ("runs.ddpm-vlb.training.loss", "l1",
     "weights squared errors, but runs.ddpm-vlb.training.loss = 'l1'"),
    ("runs.ddpm-default.schedule.steps", 0, "runs.ddpm-default.schedule.steps = 0"),
    ("runs.ddpm-default.schedule.steps", 30, "samplers.ddim-50.steps = 50 is more than"),
    ("runs.ddpm-default.schedule.beta_min", 1.0, "runs.ddpm-default.schedule.beta_min = 1.0"),
    ("samplers.ddim-50.eta", 2.0, "samplers.ddim-50.eta = 2.0"),
    ("scales.laptop.run.network.chanels", 3, "network.chanels is not a known parameter"),
    ("scales.laptop.run.sampling.epoch_images", 8, "epoch_images = 8 is less than metrics.small.images"),
])
def test_parts_are_checked_before_any_stage_works(path, value, said):
    check(Params(RAW))
    with pytest.raises(KelvinError) as error:
        check(Params(changed(path, value)))
    assert said in str(error.value) and "\n" not in str(error.value)


def test_a_part_of_your_own_is_named_as_module_and_name(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "from kelvin.degradations.blur import GaussianBlur\n"
        "class Faint(GaussianBlur):\n    \"\"\"A blur of one's own.\"\"\"\n")
    monkeypatch.syspath_prepend(tmp_path)
    params = Params(changed("runs.blur-strong.degradation.kind", "mine:Faint"))
    check(params)
    assert params.run("blur-strong").degradation.kind == "mine:Faint"


def test_yaml_numbers_and_yaml_errors(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text("a: 1e-4\n")
    assert read(file) == {"a": 1e-4}
    file.write_text("a: [1,\n")
    with pytest.raises(KelvinError, match="is not YAML"):
        read(file)
    with pytest.raises(KelvinError, match="run from the project's root"):
        read(tmp_path / "nothing.yaml")


@pytest.fixture
def repository(tmp_path):
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    for command in (["init", "-q"], ["add", "-A"],
                    ["-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qm", "x"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)

    def edit(*changes):
        from ruamel.yaml import YAML

        YAML().dump(with_values(RAW, *changes), (tmp_path / "params.yaml").open("w"))
        return checked_params(tmp_path / "params.yaml")

    return edit


@pytest.mark.parametrize(("path", "value", "mask"), [
    ("defaults.training.epochs", 5, "scales.laptop.run.training.epochs"),
    ("runs.ddpm-best.training", {"epochs": 5}, "runs.ddpm-best.scales.laptop.training.epochs"),
    ("classifier.features", 128, "datasets.digits.classifier.features"),
    ("classifier.images", 128, "scales.laptop.classifier.images"),
])
def test_a_masked_override_is_refused(repository, path, value, mask):
    with pytest.raises(KelvinError) as error:
        repository((path, value))
    assert "would change nothing" in str(error.value) and mask in str(error.value)


def test_overrides_that_reach_a_run_pass(repository):
    assert repository().run("ddpm-best").training.epochs == 120
    assert repository(("runs.ddpm-default.schedule.steps", 500)).run("ddpm-default").schedule.steps == 500
    assert repository(("scales.laptop.run.training.epochs", 9)).run("ddpm-long").training.epochs == 9
    assert repository(("defaults.sampling.strip", 4)).run("ddpm-long").sampling.strip == 4
    only = [("active", ["ddpm-best"]), ("scales.laptop.run.training.epochs", 9)]
    with pytest.raises(KelvinError, match="runs.ddpm-best.scales.laptop.training.epochs is written over"):
        repository(*only)


def test_fingerprints_follow_content():
    a = Params(copy.deepcopy(RAW)).run("ddpm-default")
    b = Params(changed("runs.ddpm-default.schedule.steps", 500)).run("ddpm-default")
    assert fingerprint(a, 0) == fingerprint(a.model_copy(), 0)
    assert len({fingerprint(a, 0), fingerprint(b, 0), fingerprint(a, 1)}) == 3


def test_eps_without_a_signal_at_T_is_refused_before_any_stage():
    raw = changed("runs.ddpm-default.schedule.zero_terminal_snr", True)
    with pytest.raises(KelvinError, match="ddpm-default.restorer.parameterisation = 'eps' cannot"):
        check(Params(raw))
    raw["runs"]["ddpm-default"]["restorer"] = {"parameterisation": "v"}
    check(Params(raw))
