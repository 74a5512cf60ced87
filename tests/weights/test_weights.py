"""Weight files: what is saved comes back, what does not fit is refused, the README's example draws."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import ROOT
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

import kelvin
from kelvin.artifacts.weights import Weights, read_weights, write_weights
from kelvin.cli import app
from kelvin.common.errors import KelvinError
from kelvin.config.resolve import merge
from kelvin.config.schema import RunConfig
from kelvin.networks import Shape
from kelvin.restoration import assemble
from kelvin.training.fitting import fit_process
from kelvin.weights import load, publish, published

SHAPE = Shape(1, 8, 8)


def untrained(params, run, images, path):
    """Weights of a small untrained network, its process and prior fitted to images (n, 1, 8, 8)."""
    run = RunConfig(**merge(params.run(run).model_dump(), {
        "network": {"kind": "unet", "channels": 8, "multipliers": [1], "blocks": 1}}))
    torch.manual_seed(0)
    restorer = assemble.build(run, SHAPE)
    fit_process(restorer, images, None)
    assemble.save(path, restorer.network, restorer, run, SHAPE)
    return path


def noise():
    return np.random.default_rng(0).integers(0, 256, (80, 1, 8, 8), np.uint8)


@pytest.fixture
def saved(params, tmp_path):
    return untrained(params, "blur-strong", noise(), tmp_path / "ema.safetensors")


def test_published_weights_draw_images_from_a_seed(saved, tmp_path):
    path = tmp_path / "weights" / "cold.safetensors"
    publish(saved, {"kind": "improved", "steps": "all", "z": "kept"}, {"run": "x"}, path)
    model = kelvin.load(str(path))
    first = model.sample(5)
    assert first.images.shape == (5, 1, 8, 8) and 0 <= first.images.min() <= first.images.max() <= 1
    np.testing.assert_allclose(model.sample(20).images[:5], first.images, atol=1e-6)
    first.save(tmp_path / "out.png")
    assert (tmp_path / "out.png").stat().st_size > 50 and model.about == {"run": "x"}


def test_equal_weights_make_equal_bytes(saved, tmp_path):
    """Several entries of metadata come in any order; ten files of four entries all alike: 24**-9."""
    sampler = {"kind": "direct", "steps": "all"}
    for i in range(10):
        publish(saved, sampler, {"run": "x", "scale": "laptop"}, tmp_path / f"{i}.safetensors")
        sampler = dict(reversed(sampler.items()))
    assert len({(tmp_path / f"{i}.safetensors").read_bytes() for i in range(10)}) == 1


@pytest.fixture
def tied(params, tmp_path):
    """Weights whose prior has 64 directions, along 40 of which the images vary."""
    images = noise()
    images[:, :, :3] = 0
    return untrained(params, "tied-blur", images, tmp_path / "tied.safetensors")


def test_a_file_too_large_has_its_prior_then_its_network_in_half_precision(tied, tmp_path,
                                                                           monkeypatch):
    """The same images come of it, to a tenth of a grey level and then to a whole one."""
    torch.manual_seed(0)  # an untrained network says zero, whatever its precision
    fresh = read_weights(tied)
    write_weights(tied, replace(fresh, network={name: tensor + 0.03 * torch.randn_like(tensor)
                                                for name, tensor in fresh.network.items()}))
    path, sampler = tmp_path / "cold.safetensors", {"kind": "improved", "steps": 10, "z": "kept"}
    publish(tied, sampler, {}, path)
    exact, size = load(path), path.stat().st_size
    assert torch.equal(load(tied).restorer.degradation.prior.directions,
                       exact.restorer.degradation.prior.directions)
    monkeypatch.setattr(published, "LIMIT", size - 1)
    publish(tied, sampler, {}, path)
    assert read_weights(path).prior["directions"].shape == (64, 40)
    assert path.stat().st_size < size - 64 * 64 * 4 + 64 * 40 * 2 + 500
    np.testing.assert_allclose(load(path).sample(9).images, exact.sample(9).images, rtol=0,
                               atol=0.1 / 255)
    half_prior, small = load(path).sample(9).images, path.stat().st_size
    monkeypatch.setattr(published, "LIMIT", small - 1)  # then the network too: to a grey level
    publish(tied, sampler, {}, path)
    stored = read_weights(path).network
    assert {tensor.dtype for tensor in stored.values()} == {torch.half}
    large = published.in_half({"a": torch.tensor([7e4, 1.0]), "b": torch.ones(1, dtype=torch.double)})
    assert large["a"].dtype == torch.float and large["b"].dtype == torch.double
    network = load(path).restorer.network
    assert {p.dtype for p in network.parameters()} == {torch.float}
    assert path.stat().st_size < small - 2 * sum(p.numel() for p in network.parameters()) + 500
    assert 0 < 255 * np.abs(load(path).sample(9).images - half_prior).max() < 1
    monkeypatch.setattr(published, "LIMIT", 1000)
    with pytest.raises(KelvinError, match="make a file of .* bytes, and at most 1,000 are published"):
        publish(tied, sampler, {}, path)
    assert not path.exists()


def test_what_is_published_takes_the_place_of_what_was(saved, tmp_path):
    path, sampler = tmp_path / "cold.safetensors", {"kind": "direct"}
    publish(saved, sampler, {"run": "x"}, path)
    publish(saved, sampler, {"run": "y"}, path)
    assert load(path).about == {"run": "y"}
    tensors = load_file(saved)
    weights = read_weights(saved)
    write_weights(saved, Weights(*({k: v + 1 for k, v in part.items()} for part in (
        weights.network, weights.prior, weights.process)), weights.about))
    publish(saved, sampler, {"run": "y"}, path)
    assert all(torch.equal(v, tensors[k] + 1) for k, v in load_file(path).items())
    path.write_bytes(b"cut short")
    publish(saved, sampler, {"run": "y"}, path)
    assert load(path).about == {"run": "y"}


@pytest.mark.parametrize("kind", ["hot", "cold"])
def test_the_repositorys_own_weights(kind):
    path = ROOT / "weights" / f"{kind}.safetensors"
    assert path.stat().st_size < 2_000_000
    images = load(path).sample(32, seed=1).images
    assert images.shape == (32, 1, 8, 8) and images.std() > 0.2 and np.ptp(images.mean((1, 2, 3))) > 0.05


def test_files_that_do_not_fit_are_refused(saved, tmp_path):
    with pytest.raises(KelvinError, match="no such weight file"):
        assemble.load(tmp_path / "nothing")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(saved.read_bytes()[:200])
    with pytest.raises(KelvinError, match="is not a weight file of Kelvin"):
        assemble.load(broken)
    plain = tmp_path / "plain.safetensors"
    save_file(load_file(saved), plain)
    with pytest.raises(KelvinError, match="is not a weight file of Kelvin"):
        assemble.load(plain)


def test_weights_of_another_shape_are_refused(saved, params):
    run = params.run("blur-strong")
    network = assemble.build(RunConfig(**merge(run.model_dump(), {
        "network": {"kind": "unet", "channels": 16, "multipliers": [1], "blocks": 1}})), SHAPE).network
    tensors = {k: v for k, v in load_file(saved).items() if not k.startswith(("prior.", "degradation."))}
    with pytest.raises(KelvinError, match=r"tensor '.*' is \(.*\) in the file but \(.*\) in the network"):
        assemble.load_weights(network, tensors, saved)


def rewritten(path, change):
    """The published cold weights without their digest, with a change of their parts, at `path`."""
    weights = read_weights(ROOT / "weights/cold.safetensors")
    about = {key: value for key, value in weights.about.items() if key != "sha256"}
    write_weights(path, change(replace(weights, about=about)))
    return path


@pytest.mark.parametrize("name", ["hot", "cold", "mnist-hot", "mnist-cold"])
def test_any_change_of_a_published_file_is_told(tmp_path, name):
    """One flipped bit of a tensor, another size of its images: it would draw other images."""
    path, changed = ROOT / "weights" / f"{name}.safetensors", tmp_path / "w.safetensors"
    whole, weights = path.read_bytes(), read_weights(path)
    start = 8 + int.from_bytes(whole[:8], "little")
    load(path)
    for place in (start, start + 2001, len(whole) - 1):
        changed.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1:])
        with pytest.raises(KelvinError, match=f"{changed}: its content is not what was published"):
            load(changed)
    side = weights.about["shape"][1] * 2
    write_weights(changed, replace(weights, about={**weights.about, "shape": [1, side, side]}))
    with pytest.raises(KelvinError, match=f"{changed}.* is damaged"):
        load(changed)


def described(**changes):
    return lambda w: replace(w, about={**w.about, **changes})


def of_run(**changes):
    return lambda w: replace(w, about={**w.about, "run": {**w.about["run"], **changes}})


@pytest.mark.parametrize("change", [
    lambda w: replace(w, process={}), lambda w: replace(w, prior={}),
    lambda w: replace(w, process={key: value for key, value in w.process.items() if key != "variance"}),
    lambda w: replace(w, process={key: value[:-1].clone() for key, value in w.process.items()}),
    lambda w: replace(w, prior={**w.prior, "mean": w.prior["mean"][:-1].clone()}),
    lambda w: replace(w, prior={**w.prior, "directions": w.prior["directions"][:-1].clone()}),
    lambda w: replace(w, prior={**w.prior, "directions": w.prior["directions"].half(),
                                "count": torch.tensor(-5)}),
    lambda w: replace(w, network={key: value.long() for key, value in w.network.items()}),
    lambda w: replace(w, network={key: value * torch.nan for key, value in w.network.items()}),
    described(run=None), described(run="x"), described(run=[]), described(shape=None),
    described(shape=[1, 8]), described(shape=[1, 8.0, 8]), described(shape=[1, -8, 8]),
    described(shape=["1", 8, 8]), described(classes=-1), described(sampler=3), described(sampler=[1]),
    described(sampler=[["kind", "ddim"]]), described(shape=[2, 8, 8]),
    of_run(network={"kind": "unet", "channels": 30_000, "multipliers": [1], "blocks": 1}),
    lambda w: replace(w, prior={**w.prior, "count": torch.tensor(10**12)}),
    described(about=3), of_run(schedule=None), of_run(network=3), of_run(restorer={"low": 5}),
    of_run(degradation={"kind": "gaussian-blur"})])
def test_damaged_weights_are_refused_in_one_sentence(tmp_path, change):
    path = rewritten(tmp_path / "w.safetensors", change)
    with pytest.raises(KelvinError) as refused:
        load(path)
    assert "w.safetensors" in str(refused.value) and "pydantic" not in str(refused.value)
    assert "\n" not in str(refused.value) and "training.lr" not in str(refused.value)


@pytest.mark.parametrize("section, option, value, sentence", [
    ("schedule", "steps", 10**12, r"run.schedule.steps = 1000000000000: at most 10,000 can be held"),
    ("network", "blocks", 10**9, "run.network.blocks = 1000000000: at most 64 layers can be built"),
    ("network", "multipliers", [1] * 65, "run.network.multipliers has 65 entries: at most 64 are layers"),
    ("degradation", "sigma", 1e300, r"run.degradation.sigma = 1e\+300: it should be at most 10,000")])
def test_numbers_of_a_file_have_the_bounds_of_params_yaml(tmp_path, section, option, value, sentence):
    path = rewritten(tmp_path / "w.safetensors", lambda w: of_run(
        **{section: {**w.about["run"][section], option: value}})(w))
    with pytest.raises(KelvinError, match=f"w.safetensors: {sentence}") as refused:
        load(path)
    assert "\n" not in str(refused.value)


NONE = ["", "nonsense", "3", "[]", "null", '"run"', "1" * 5000]


@pytest.mark.parametrize("read, text", [
    (read, text) for read in (load, assemble.load)
    for text in (*NONE, "[" * 200_000, '{"run":' * 200_000)])
def test_a_description_that_is_none_is_refused_in_one_sentence(tmp_path, text, read):
    path = tmp_path / "w.safetensors"
    save_file({"x": torch.zeros(1)}, path, metadata={"kelvin": text})
    with pytest.raises(KelvinError, match="w.safetensors.* (weight file of Kelvin|mapping)") as refused:
        read(path)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 500


TRAP = """
from pathlib import Path
Path("imported").touch()
from kelvin.degradations.blur import GaussianBlur as part
"""


@pytest.mark.parametrize("place, change", [
    *((f"run.{name}.kind", lambda w, name=name: of_run(
        **{name: {**w.about["run"][name], "kind": "trap:part"}})(w))
      for name in ("degradation", "schedule", "prior", "network", "conditioning")),
    ("run.restorer.rule", lambda w: of_run(
        restorer={**w.about["run"]["restorer"], "rule": "trap:part"})(w)),
    ("run.network.deep.1.kind", lambda w: of_run(
        network={**w.about["run"]["network"], "deep": [0, {"kind": "trap:part"}]})(w)),
    ("sampler.kind", described(sampler={"kind": "trap:part"})),
    ("sampler.of.0", described(sampler={"kind": "ddim", "of": ["trap:part"]}))])
def test_a_file_that_names_code_is_refused_before_any_of_it_runs(tmp_path, monkeypatch, place, change):
    (tmp_path / "trap.py").write_text(TRAP)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    path = rewritten(tmp_path / "w.safetensors", change)
    words = ("sample", str(path)), ("restore", str(path), "a.png", "--t", "3")
    for use in (lambda: load(path), lambda: kelvin.load(path),
                *(lambda w=w: CliRunner().invoke(app, w, catch_exceptions=False) for w in words)):
        with pytest.raises(KelvinError, match=f"{path}: its {place} = 'trap:part' .*would run that code"
                                              ".*own_parts=True.*--own-parts") as refused:
            use()
        assert "\n" not in str(refused.value)
    assert not (tmp_path / "imported").exists() and "trap" not in sys.modules


def test_a_file_that_is_trusted_may_name_code(tmp_path, monkeypatch):
    """Gaussian blur under another name: the same images, in Python and on the command line."""
    (tmp_path / "trap.py").write_text(TRAP)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "trap", raising=False)
    path = rewritten(tmp_path / "w.safetensors", lambda w: of_run(
        degradation={**w.about["run"]["degradation"], "kind": "trap:part"})(w))
    expected = load(ROOT / "weights/cold.safetensors").sample(2, seed=1).images
    np.testing.assert_array_equal(kelvin.load(path, own_parts=True).sample(2, seed=1).images, expected)
    assert (tmp_path / "imported").exists()
    done = CliRunner().invoke(app, ("sample", str(path), "-n", "2", "--seed", "1", "-o", "x.npz",
                                    "--own-parts"))
    assert done.exit_code == 0, done.output
    np.testing.assert_array_equal(np.load("x.npz")["images"], (expected * 255).round().astype(np.uint8))
