"""Several averages of the weights at once: each is what it would be alone, and survives a crash."""

import copy

import numpy as np
import pytest
import torch
from conftest import ROOT
from helpers import planned
from sklearn.datasets import load_digits

from kelvin.artifacts.models import ModelFolder
from kelvin.common.errors import KelvinError
from kelvin.config import resolve as kelvin_params
from kelvin.config.resolve import Params, merge
from kelvin.config.schema import RunConfig
from kelvin.datasets.sources.raw import RawData
from kelvin.datasets.store import PreparedStore, write_store
from kelvin.networks import Shape
from kelvin.restoration import assemble
from kelvin.sampling.sample_run import draw_samples
from kelvin.training.checkpoint import Checkpoint
from kelvin.training.fitting import fit_process
from kelvin.training.loop import Trainer
from kelvin.training.train_run import train_run

SHAPE = Shape(1, 8, 8)
SAMPLER = {"kind": "improved", "steps": "all", "z": "kept"}
SMALL = {"kind": "unet", "channels": 8, "multipliers": [1], "blocks": 1}
DECAYS = [0.2, 0.35]  # 6 updates: the warm-up allows at most 7 / 16


def digits(n):
    return (load_digits().images[:n, None] * 255 / 16).round().astype(np.uint8)


def config(params, network=SMALL, **training):
    return RunConfig(**merge(params.run("blur-strong").model_dump(), {
        "network": network, "sampling": {"epoch_images": 4, "batch": 4},
        "training": {"epochs": 3, "batch": 32, "sample_every": 2, "checkpoint_every": 1, **training}}))


def make(run, folder, name="a", *, precision):
    torch.manual_seed(0)
    restorer, images = assemble.build(run, SHAPE), digits(96)
    fit_process(restorer, images[:64], None)
    return Trainer(run, restorer, images[:64], images[64:], 0, SAMPLER, precision,
                   Checkpoint(name, folder))


def same(one, other):
    states = one.state_dict(), other.state_dict()
    return states[0].keys() == states[1].keys() and all(
        torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_each_is_what_it_would_be_alone_and_nothing_else_changes(params, tmp_path, trainer):
    several = trainer(config(params, ema=0.5, ema_more=DECAYS), tmp_path, "several")
    found = several.run()
    assert [average.decay for average in several.more] == DECAYS
    for decay, average in [(0.5, several.ema), *zip(DECAYS, several.more, strict=True)]:
        alone = trainer(config(params, ema=decay), tmp_path, f"alone {decay}")
        assert alone.more == [] and config(params).training.ema_more == []
        result = alone.run()
        assert same(alone.bare, several.bare) and same(alone.ema.network, average.network)
        if decay == 0.5:
            assert result.history == found.history
            assert all(torch.equal(a, b) for a, b in zip(result.samples, found.samples, strict=True))
    assert not same(several.more[0].network, several.more[1].network)


def test_a_killed_run_goes_on_with_all_of_them(params, tmp_path, trainer):
    run = config(params, ema_more=DECAYS)
    whole, cut = (trainer(run, tmp_path, name) for name in ("whole", "cut"))
    whole.run()
    state_of = cut.state

    def dies(epoch):
        if epoch == 2:  # right after its first checkpoint
            raise KeyboardInterrupt
        return state_of(epoch)

    cut.state = dies
    with pytest.raises(KeyboardInterrupt):
        cut.run()
    resumed = trainer(run, tmp_path, "cut")
    resumed.run()
    for mine, theirs in zip(whole.more, resumed.more, strict=True):
        assert same(mine.network, theirs.network)


def test_batch_norm_statistics_are_copied(params, tmp_path, trainer):
    simple = {"kind": "unet-simple", "widths": [4, 4, 4, 4, 4], "dropout": 0.0}
    one = trainer(config(params, simple, ema_more=DECAYS, epochs=1), tmp_path)
    one.run()
    buffers = dict(one.bare.named_buffers())
    assert any("running_mean" in name for name in buffers)
    for average in one.more:
        assert all(torch.equal(buffers[name], b) for name, b in average.network.named_buffers())


def test_weights_are_saved_and_drawn_from(tmp_path, monkeypatch, precision):
    """Samples by a further average are those of a run whose `ema` it is: the same starting states."""
    monkeypatch.chdir(tmp_path)
    raw = copy.deepcopy(kelvin_params.read(ROOT / "params.yaml"))
    for name, options in (("two", {"ema": 0.5, "ema_more": [0.2]}), ("one", {"ema": 0.2})):
        options |= {"epochs": 1, "batch": 32, "precision": precision}
        raw["runs"][name] = {"network": SMALL, "training": options,
                             "sampling": {"samplers": ["ddim-5"], "restore_images": 4, "strip": 2,
                                          "bound_times": 2}}
    raw |= {"scale": "smoke", "active": ["two", "one"]}
    images, labels = digits(200), np.arange(200) % 10
    write_store(tmp_path / "store", "digits", RawData(
        images, labels, [str(k) for k in range(10)], np.arange(200), checksums={}),
        np.repeat([0, 1, 2], [128, 36, 36]), kelvin_params.Params(raw).images)
    store, params, arrays, cost = PreparedStore(tmp_path / "store"), Params(raw), {}, {}
    for name in ("two", "one"):
        train_run(planned(params, "train", name, 0), store, tmp_path / name, tmp_path)
        arrays[name], cost[name] = draw_samples(planned(params, "sample", name, 0), store,
                                               ModelFolder(tmp_path / name), 6)
        arrays[name] = arrays[name].arrays()
    further = ModelFolder(tmp_path / "two").average(0.2)
    assert further.name == "ema-0.2.safetensors"
    weights = [assemble.load(path).network for path in (
        further, tmp_path / "one/ema.safetensors")]
    assert same(*weights)
    names = [key for key in arrays["two"] if key.startswith("samples/")]
    assert names == ["samples/ddim-5", "samples/ddim-5@ema=0.2", "samples/raw"]
    assert not [key for key in arrays["one"] if "@" in key]
    assert not list((tmp_path / "one").glob("ema-*"))
    assert np.array_equal(arrays["two"]["samples/ddim-5@ema=0.2"], arrays["one"]["samples/ddim-5"])
    assert not np.array_equal(arrays["two"]["samples/ddim-5"], arrays["one"]["samples/ddim-5"])
    assert cost["two"]["nfe"]["ddim-5@ema=0.2"] == 5


@pytest.mark.parametrize(("decays", "said"), [
    ([0.9, 0.9], "ema_more names a decay twice"),
    ([1.0], "ema_more.0 = 1.0: input should be less than 1"),
    (0.9, "ema_more = 0.9")])
def test_wrong_decays_are_one_sentence(decays, said):
    raw = copy.deepcopy(kelvin_params.read(ROOT / "params.yaml"))
    raw["defaults"]["training"]["ema_more"] = decays
    with pytest.raises(KelvinError) as error:
        Params(raw)
    assert said in str(error.value) and "\n" not in str(error.value)
