"""Every fault of params.yaml at once: a line each, naming the user's key, and never a traceback."""

import copy
import math

import pytest
from conftest import ROOT
from helpers import plans, with_values

from kelvin.common.errors import KelvinError
from kelvin.config.plan import plan_path
from kelvin.config.registry import Registry
from kelvin.config.resolve import Params, read
from kelvin.pipeline.checks.images import size_faults
from kelvin.pipeline.checks.params import check, checked_params, faults

RAW = read(ROOT / "params.yaml")


def edited(*changes):
    return with_values(RAW, *changes)


def test_the_committed_file_has_no_fault():
    assert faults(RAW) == []


@pytest.mark.parametrize("scale", RAW["scales"])
def test_no_run_has_a_fault_where_all_are_active(scale):
    active = [name for name in RAW["runs"] if name != "tied-desaturate"]  # of RGB images only
    assert faults({**copy.deepcopy(RAW), "scale": scale, "active": active}) == []


CLEAN = {"epoch_sampler": "ddim-all", "samplers": ["ddim-all"]}


@pytest.mark.parametrize(("changes", "line"), [
    ([("runs.blur-weak.sampling.epoch_sampler", "ddim-20")],
     "runs.blur-weak.sampling.epoch_sampler names 'ddim-20', whose kind is ddim: it needs a process wit"),
    ([("runs.tied-blur-noise.sampling.samplers", ["heun-25"]),
      ("runs.tied-blur-noise.sampling.restore_samplers", None)],
     "runs.tied-blur-noise.sampling.samplers names 'heun-25', whose kind is heun: it needs a hot proces"),
    ([("runs.ddpm-default.sampling", {"samplers": ["dissipation"]})],
     "runs.ddpm-default.sampling.samplers names 'dissipation', whose kind is dissipation: it needs "),
    ([("runs.tied-motion.sampling.samplers", ["improved-50-estimated"]),
      ("runs.tied-motion.sampling.restore_samplers", None)],
     "runs.tied-motion.sampling.samplers names 'improved-50-estimated', whose kind is improved: its z ="),
    ([("runs.blur-weak.prior", {"kind": "normal"})], "runs.blur-weak.prior.kind = 'normal' is where"),
    ([("runs.ddpm-default.prior", {"kind": "real"})], "runs.ddpm-default.prior.kind = 'real' starts fro"),
    ([("runs.ddpm-default.schedule", {"kind": "own", "steps": 100})], "runs.ddpm-default.schedule.kind"),
    ([("runs.tied-blur.degradation.sigma_start", 1.5)],
     "runs.tied-blur.degradation.sigma_start is 2 times sigma, but a width grows from sigma_start to "),
    ([("active", ["tied-heat"]), ("runs.tied-heat.degradation.sigma_start", 1.5)],
     "runs.tied-heat.degradation.sigma_start is 2 times sigma, but a width grows from sigma_start to "),
    ([("scales.laptop.run.network.blocks", 1000)],
     "scales.laptop.run.network.blocks = 1000: at most 64 layers can be built"),
    ([("runs.arch-conv.network.convolutions", 60_000)],
     "runs.arch-conv.network.convolutions = 60000: at most 64 layers can be built"),
    ([("runs.arch-cnn.network.hidden", [8] * 5000)],
     "runs.arch-cnn.network.hidden has 5,000 entries: at most 64 are layers of a network that can be"),
    ([("runs.blur-strong.schedule.steps", 100_000)],
     "runs.blur-strong.schedule.steps = 100000: at most 10,000 can be held in memory"),
    ([("runs.blur-strong.degradation.kernel", 10_000.0)],
     "runs.blur-strong.degradation.kernel = 10000.0: it should be at most 100 image widths: a wider one"),
    ([("active", ["ddpm-averages"]),
      ("runs.ddpm-averages.training.stop", {"patience": 5, "gain": 0.0})],
     "runs.ddpm-averages.training: ema_more averages up to the last epoch, and stop goes back to"),
    ([("metrics.kid.degree", 64)], "metrics.kid.degree = 64: at most 10, since powers above it can over"),
    ([("runs.ddpm-default.training.weight_decay", 1e6)],
     "runs.ddpm-default.training.weight_decay = 1e+06 times training.lr = 0.002 is 1 or more: an update"),
    ([("runs.tied-fog.degradation.decay", 50.0)],
     "runs.tied-fog.degradation.decay = 50.0: input should be less than or equal to 8"),
    ([("runs.ddpm-default.training", {"images": 1, "batch": 1})],
     "runs.ddpm-default.training.images = 1: input should be greater than or equal to 2"),
    ([("runs.ddpm-default.sampling.restore_at", 5000)],
     "runs.ddpm-default.sampling.restore_at = 5000 is above schedule.steps = 1000: no t is a multiple"),
    ([("runs.tied-blur.degradation.border", "circular")], "runs.tied-blur.degradation: a blur whose"),
     ([("runs.ddpm-short.schedule",
        {"kind": "matched", "steps": 3, "beta_min": 0.5, "alpha_bar_end": 0.9}),
      ("runs.ddpm-short.sampling", CLEAN)], "runs.ddpm-short.schedule.alpha_bar_end = 0.9 cannot be"),
    ([("runs.ddpm-short.schedule", {"steps": 1, "zero_terminal_snr": True}),
      ("runs.ddpm-short.restorer", {"parameterisation": "v"}), ("runs.ddpm-short.sampling", CLEAN)],
     "runs.ddpm-short.schedule.zero_terminal_snr needs schedule.steps of 2 at least"),
    ([("active", ["tied-desaturate"])], "runs.tied-desaturate.degradation.kind = 'desaturate' needs RGB"),
    ([("replicates", [0, 7])], "replicates names 7, but runs.fold-grouped holds out fold r of replicate"),
    ([("runs.fold-leaky.fold", 9)], "runs.fold-leaky.fold = 9: datasets.digits.folds.k = 5 has folds 0"),
    ([("runs.ddpm-default.fold", 1)], "runs.ddpm-default.fold = 1 goes with a split into folds"),
    ([("datasets.digits.folds", None)], "runs.fold-grouped.split = 'grouped' needs folds, but datasets"),
    ([("runs.blur-strong.degradation.sigma", 1e-300)], "runs.blur-strong.degradation.sigma = 1e-300: it"),
    ([("runs.blur-strong.schedule", {"kind": "matched", "steps": 20, "beta_min": 1e-4,
                                     "alpha_bar_end": 0.01})],
     "runs.blur-strong.degradation: a blur whose severity follows another schedule than own needs "),
    ([("runs.blur-best.degradation.growth", "constant")], "runs.blur-best.degradation"),
    ([("runs.blur-strong.degradation.kernel", 1e9)], "runs.blur-strong.degradation.kernel = 1000000000."),
    ([("runs.blur-strong.schedule.steps", 10**12)], "runs.blur-strong.schedule.steps = 1000000000000: a"),
    ([("scales.laptop.run.network.channels", 10**9)], "scales.laptop.run.network.channels = 1000000000"),
])
def test_what_does_not_go_together_is_told_before_any_stage(changes, line):
    lines = faults(edited(*changes))
    assert lines[0].startswith(line)


def test_all_faults_are_told_a_line_each_the_first_as_a_sentence(tmp_path):
    from ruamel.yaml import YAML

    raw = edited(("threads", 0), ("studies.blur.kind", "x"), ("runs.ddpm-default.training.lr", "fast"),
                 ("samplers.naive.z", "q"), ("runs.blur-strong.degradation.sigma", -1.0),
                 ("metrics.floor_draws", 1), ("classifier.channels", []),
                 ("runs.tied-noise.restorer.rule", "study-e"))
    keys = [line.partition(" ")[0] for line in faults(raw)]
    assert sorted(keys) == sorted([
        "threads", "studies.blur.kind", "runs.ddpm-default.training.lr", "samplers.naive.z",
        "runs.blur-strong.degradation.sigma", "metrics.floor_draws", "classifier.channels",
        "runs.tied-noise.restorer.rule"])
    YAML().dump(raw, (tmp_path / "params.yaml").open("w"))
    with pytest.raises(KelvinError) as error:
        checked_params(tmp_path / "params.yaml")
    first, *others = str(error.value).splitlines()
    assert first.startswith("params.yaml: threads = 0: input should be") and len(others) == 7


@pytest.mark.parametrize(("key", "value", "line"), [
    ("samplers.odd", {"kind": "ddim", "steps": 0, "eta": 0.0},
     "samplers.odd.steps = 0: input should be greater than or equal to 1, or 'all'"),
    ("datasets.digits.metrics.images", 1.0,
     "datasets.digits.metrics.images = 1.0: input should be a valid integer, or less than 1"),
    ("datasets.digits.groups", {"blocks": 0}, "datasets.digits.groups: blocks should be at least 2"),
    ("datasets.digits.groups", {"pattern": "("}, "datasets.digits.groups: its pattern is no regular"),
    ("runs.ddpm-default.network", {"kind": "os:path"},
     "runs.ddpm-default.network.kind = 'os:path' is no "),
    ("records.full.runs", "some", "records.full.runs = 'some': input should be 'all', or a valid list"),
    ("datasets.digits.validation", True,
     "datasets.digits.validation = True: input should be a valid integer, or a valid number"),
    ("runs.ddpm-default.scales", None,
     "runs.ddpm-default.scales = None: input should be a mapping of keys to values"),
    ("runs.ddpm-default.scales", [1],
     "runs.ddpm-default.scales = [1]: input should be a mapping of keys to values"),
    ("runs.ddpm-default.scales.laptop", 3,
     "runs.ddpm-default.scales.laptop = 3: input should be a mapping of keys to values"),
    ("runs.ddpm-default.schedule", "linear",
     "runs.ddpm-default.schedule = 'linear': input should be a mapping of keys to values"),
    ("runs.blur-strong", 3, "runs.blur-strong = 3: input should be a mapping of keys to values"),
    ("classifier.channels", [], "classifier.channels = []: input should have at least 1 item"),
    ("runs.ddpm-default.restorer", {"low": 2.0, "high": 1.0},
     "runs.ddpm-default.restorer: low = 2 must lie below high = 1"),
    ("runs.guided.sampling.guidance", [1, 1.0], "runs.guided: sampling.guidance names a weight twice"),
    ("datasets.digits.path", "x", "datasets.digits: source: sklearn takes a name and no path"),
    ("runs.a\nb", {"title": "x"},
     "runs.'a\\nb': a name has at most 80 letters, digits, - and _, and begins with a letter or digit"),
    ("runs.ddpm-default.training", {1: 2}, "runs.ddpm-default.training.1: a name has at most 80 letters"),
    ("dataset", "", "dataset = '': a name has at most 80 letters"),
    ("seed", 2**32, "seed = 4294967296: input should be less than 2147483648"),
    ("replicates", [2**64], "replicates.0 = 18446744073709551616: input should be less than"),
    ("records.tiny", {"title": "x", "folder": "../../precious", "runs": ["ddpm-default"]},
     "records.tiny.folder = '../../precious': a folder below reports/reference is a name"),
    ("records.tiny", {"title": "x", "folder": "", "runs": ["ddpm-default"]}, "records.tiny.folder = ''"),
    ("records.tiny", {"title": "x", "folder": "fruits/folds/more", "runs": ["ddpm-default"]},
     "records.tiny.folder = 'fruits/folds/more' is, holds or lies in that of records.fruits-folds"),
    # named where it is written, once, however many runs it is in
    ("scales.laptop.run.network.chanels", 3,
     "scales.laptop.run.network.chanels is not a known parameter; unet takes channels, multipliers"),
    ("defaults.sampling.strip", 1, "defaults.sampling.strip = 1: input should be"),
    ("scales.laptop.run.sampling.epoch_images", 8,
     "runs.ddpm-default.sampling.epoch_images = 8 is less than metrics.small.images = 32, which are "),
    ("runs.tied-noise.schedule.beta_min", 2.0, "runs.tied-noise.schedule.beta_min = 2.0: input should"),
    ("samplers.ddim-50", "x", "samplers.ddim-50 = 'x': input should be a mapping of keys to values"),
    ("runs.blur-strong.like", "nobody", "runs.blur-strong.like = 'nobody' is not in runs; known are "),
    ("runs.ddpm-default.schedule.kind", "own",
     "runs.ddpm-default.schedule.beta_min is not a known parameter; own takes steps"),
])
def test_a_fault_is_one_short_line_that_names_the_users_key(key, value, line):
    lines = faults(edited((key, value)))
    assert lines[0].startswith(line) and "constrained" not in lines[0] and len(lines[0]) < 250
    assert len(lines) == 1 or key == "runs.ddpm-default.schedule.kind"
    assert not any("\n" in line for line in lines)


@pytest.mark.parametrize(("key", "value"), [
    ("scales.gpu.run.network.kind", None), ("scales.paper.run.training.batch", "x"),
    ("scales.gpu.run.training.epochs", 10**12), ("scales.paper.metrics.images", 1),
    ("scales.paper.classifier.epochs", []), ("scales.smoke.run.training.lr", math.nan),
    ("datasets.mnist.classifier.features", -1), ("datasets.cifar10.metrics.small.draws", "x"),
    ("datasets.fruits360.run", {"training": {"batch": 0}}), ("metrics.images", 2**32),
    ("runs.blur-best.scales.gpu.training.epochs", 1e12), ("runs.pretrain-0.scales.paper.classes", 3),
    ("defaults.training.lr", "fast"), ("samplers.naive-100.steps", 10**12),
    ("scales.gpu.run.network.multipliers", {"x": 1})])
def test_what_means_nothing_is_told_in_layers_that_nothing_reads_now(key, value):
    """Of another scale or data set, or under a layer that replaces it: one day it is read."""
    lines = faults(edited((key, value)))
    assert lines and all(line.startswith(key) for line in lines), lines


@pytest.mark.parametrize(("key", "value"), [
    ("defaults.sampling.restore_samplers", "naive"), ("every", "naive"),
    ("runs.ddpm-default.sampling.samplers", "naive"), ("studies.schedules.runs", "ddpm-default"),
    ("records.digits-folds.runs", "ddpm-default"), ("records.full.studies", "schedules"),
    ("records.digits-folds.replicates", 5), ("metrics.mmd.multiples", 0.5),
    ("metrics.extractors", "pixels"), ("defaults.training.mmd.multiples", 0.5),
    ("runs.ddpm-default.classes", 3), ("runs.pretrain-0.pretrain.classes", 3),
    ("datasets.digits.classes", 3)])
def test_what_is_named_twice_is_told_by_its_key(key, value):
    lines = faults(edited((key, [value, value])))
    assert any(line.startswith(f"{key} = {[value, value]}: ") and f"it names {value!r} twice" in line
               for line in lines), lines


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("key", [
    "defaults.training.weight_decay", "scales.laptop.run.training.lr", "scales.laptop.run.restorer.low",
    "defaults.training.vlb", "defaults.training.grad_clip", "runs.blur-strong.prior.jitter",
    "metrics.kid.coef0", "metrics.mmd.multiples", "runs.ddpm-p2.training.weighting.gamma",
    "samplers.dissipation.noise", "runs.blur-strong.degradation.kernel"])
def test_what_is_not_finite_is_refused_by_type(key, value):
    lines = faults(edited((key, [value] if key.endswith("multiples") else value)))
    assert len(lines) == 1 and lines[0].startswith(key) and "finite number" in lines[0]


@pytest.mark.parametrize("raw", [None, [], 3, "x", {}])
def test_a_file_of_no_keys_is_told_so(raw):
    assert faults(raw)
    with pytest.raises(KelvinError, match="params.yaml: "):
        Params(raw)


@pytest.mark.parametrize(("key", "name"), [
    (None, "None"), (math.nan, "nan"), ((1, "b"), "(1, 'b')"), (3, "3"), (True, "True")])
def test_a_key_that_is_no_text_is_named(key, name):
    lines = faults({**copy.deepcopy(RAW), key: 2})
    assert lines[0].startswith(f"{name}: a name has at most 80 letters"), lines


@pytest.mark.parametrize(("content", "said"), [
    ("title: Grün\n".encode("latin-1"), r"params.yaml is not UTF-8: byte 0xfc at position 9"),
    ("a: 1\n".encode("utf-16"), "params.yaml is not UTF-8: byte 0xff at position 0"),
    (b"a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n", "params.yaml has the key 'c' twice, again in line 5"),
    (b"a: [1,\n", "params.yaml is not YAML: "),
    (b"a: \x07\n", "params.yaml is not YAML: "),
    (b"<<<<<<< HEAD\na: 1\n=======\n", "params.yaml is not YAML: "),
    (b"a: 2023-13-45\n", "params.yaml is not YAML: "),
])
def test_a_file_that_cannot_be_read_is_one_sentence(content, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_bytes(content)
    with pytest.raises(KelvinError) as error:
        read()
    assert str(error.value).startswith(said) and "\n" not in str(error.value)


SMALL_BATCHES = [("scales.smoke.run.training.images", 8), ("scales.smoke.run.training.batch", 2),
                 ("scale", "smoke")]


def test_a_scale_edit_is_not_refused_because_of_inactive_runs():
    """pretrain-0 has a batch of 32 of its own at smoke, more than 8 images."""
    assert faults(edited(*SMALL_BATCHES, ("active", ["ddpm-default"]))) == []
    (line,) = faults(edited(*SMALL_BATCHES))
    assert line.startswith("runs.pretrain-0.training.batch = 32 is more than training.images = 8")
    kind = ("scales.laptop.run.network", {"kind": "cnn", "hidden": [4], "kernel": 3})
    assert faults(edited(kind, ("active", ["ddpm-default"]))) == []
    (line,) = faults(edited(kind))  # ddpm-best sets a U-Net's channels
    assert line.startswith("runs.ddpm-best.scales.laptop.network.channels is not a known parameter; cnn")


def test_an_inactive_run_is_still_checked_where_no_scale_is_the_cause():
    (line,) = faults(edited(("runs.tied-heat.restorer.parameterisation", "eps")))
    assert line.startswith("runs.tied-heat.restorer.parameterisation = 'eps' has no meaning for heat")
    (line,) = faults(edited(("runs.tied-heat.degradation.noise", "much")))
    assert line.startswith("runs.tied-heat.degradation.noise = 'much'")


def test_a_fault_of_a_parent_is_told_once():
    lines = faults(edited(("runs.blur-strong.restorer.parameterisation", "eps")))
    assert lines == ["runs.blur-strong.restorer.parameterisation = 'eps' has no meaning for "
                     "gaussian-blur; it takes x0, residual, linear+ (and so for 5 more runs)"]


def test_check_tells_all_lines_too():
    raw = edited(("samplers.naive.z", "q"), ("runs.blur-strong.degradation.sigma", -1.0))
    with pytest.raises(KelvinError, match="(?s)samplers.naive.z.*runs.blur-strong.degradation.sigma"):
        check(Params(raw))


def test_a_name_cannot_be_registered_twice():
    registry = Registry("thing")
    registry.register("a")(test_check_tells_all_lines_too)
    with pytest.raises(KelvinError, match="thing 'a' is registered twice: by test_check_tells"):
        registry.register("a")(edited)


@pytest.mark.parametrize("seed", [20_240_101, 2**31 - 1])
def test_a_seed_of_31_bits_is_planned(seed):
    """A date is a seed; the sum with a replicate's has 32 bits."""
    params = Params(edited(("seed", seed), ("replicates", [seed]), ("active", ["ddpm-default"])))
    train = plans(params)[plan_path("train", "ddpm-default", str(seed))]
    assert train.seed == 2 * seed and train.replicate == seed


@pytest.mark.parametrize(("text", "sentence"), [
    ("runs:\n  a: &r {training: *r}\n", "runs.a.training is an alias of what it stands in"),
    ("runs: " + "[" * 5000 + "]" * 5000, "is nested more than 20 levels deep"),
    ("a: " + "{a: " * 30 + "1" + "}" * 30, "a.a.a.a is nested more than 20 levels deep")])
def test_a_file_without_end_is_one_sentence(tmp_path, text, sentence):
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(KelvinError) as refused:
        read(tmp_path / "params.yaml")
    assert sentence in str(refused.value) and "\n" not in str(refused.value)
    (tmp_path / "params.yaml").write_text("a: &r {b: 1}\nc: *r\nd: [*r, *r]\n")
    assert read(tmp_path / "params.yaml") == {"a": {"b": 1}, "c": {"b": 1}, "d": [{"b": 1}] * 2}


def test_images_beyond_the_memory_are_told_by_their_key():
    manifest = {"sizes": {"train": 1000, "test": 24}, "image_shape": [3, 4096, 4096], "classes": []}
    (line,) = size_faults("mine", manifest, 2**30)
    assert line.startswith("datasets.mine.image_size: 1,024 images of 4096x4096 pixels take 192 GiB, but")
    assert size_faults("mine", manifest, 2**40) == size_faults("mine", manifest, None) == []
