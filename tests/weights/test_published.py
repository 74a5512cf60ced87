"""Published weights in use: images in any form, the process's own degrade, the sampler itself."""

import dataclasses
import zlib

import numpy as np
import pytest
import torch
from conftest import ROOT
from PIL import Image
from published_models import DDIM, IMPROVED, SAMPLERS
from typer.testing import CliRunner

from kelvin.cli import app
from kelvin.common.errors import KelvinError
from kelvin.common.streams import BlockRandom
from kelvin.degradations import State
from kelvin.sampling.samplers import ddim, direct, improved, times
from kelvin.weights import Degraded, load
from kelvin.weights.images import unit_images

COLD = str(ROOT / "weights/cold.safetensors")


def invoke(*words, status=0):
    """`kelvin *words`, in this process; a KelvinError is raised."""
    done = CliRunner().invoke(app, words)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == status, done.output


def bytes_of(samples):
    return (samples.images.clip(0, 1) * 255).round().astype(np.uint8)


FORMS = {
    "uint8 (n, H, W)": lambda x: x, "uint8 (n, C, H, W)": lambda x: x[:, None],
    "uint8 (n, H, W, C)": lambda x: x[..., None], "floats": lambda x: x / 255,
    "float32, big-endian": lambda x: (x / 255).astype(">f4"), "a tensor": torch.from_numpy,
    "a tensor of floats": lambda x: torch.from_numpy(x[:, None] / 255),
    "pictures": lambda x: [Image.fromarray(image) for image in x],
    "a list of both": lambda x: [Image.fromarray(x[0]), *x[1:]]}


@pytest.mark.parametrize("form", FORMS)
def test_an_image_is_the_same_in_every_form(form, clean):
    expected = torch.from_numpy(clean[:, None].astype(np.float64) / 255).float()
    torch.testing.assert_close(unit_images(FORMS[form](clean), (1, 8, 8)), expected, rtol=0, atol=1e-7)


def test_colour_has_its_channels_first_or_last():
    x = np.random.default_rng(2).integers(0, 256, (2, 3, 4, 5), np.uint8)
    expected = unit_images(x, (3, 4, 5))
    for other in (x.transpose(0, 2, 3, 1), [Image.fromarray(image.transpose(1, 2, 0)) for image in x]):
        assert torch.equal(unit_images(other, (3, 4, 5)), expected)
    assert torch.equal(unit_images(x[1].transpose(1, 2, 0), (3, 4, 5)), expected[1:])


@pytest.mark.parametrize("images, sentence", [
    (Image.new("L", (28, 20)), "28x20 pixels was given, but these weights are of 8x8 grey images"),
    (Image.new("RGB", (8, 8)), r"mode RGB .* picture.convert\('L'\) first"),
    (np.zeros((2, 28, 28), np.uint8), r"shape \(2, 28, 28\) .* bring them to \(n, 1, 8, 8\)"),
    (np.zeros((0, 8, 8), np.uint8), "has no image"), ([], "empty list"),
    ("photo.png", "a str is no image"),
    (np.zeros((8, 8), np.int64), "int64 may mean anything"),
    (torch.zeros((8, 8), dtype=torch.int32), "int32 may mean anything"),
    (np.full((8, 8), 200.0), "run from 200 to 200; black is 0 and white is 1"),
    (np.full((8, 8), np.nan), "run from nan")])
def test_what_is_no_image_of_the_weights_is_one_sentence(models, images, sentence):
    for use in (models["blur-strong"].degrade, models["blur-strong"].restore):
        with pytest.raises(KelvinError, match=sentence) as error:
            use(images, 3)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("t", [0, 1, 5])
def test_degrade_is_the_processs_own(models, clean, name, t):
    """Exact: D(x0, t, z) with the z of the seed, image by image the same whatever n is."""
    model = models[name]
    process, x0 = model.restorer.degradation, 2 * torch.from_numpy(clean[:, None]).float() / 255 - 1
    degraded = model.degrade(clean, t, seed=3)
    z = process.draw(BlockRandom(0, 5, 3, "degrade"))
    expected = process.degrade(x0, torch.full((5,), t), z)
    np.testing.assert_allclose(degraded.images, (expected.numpy() + 1) / 2, rtol=0, atol=1e-6)
    assert degraded.t == t and (degraded.z is None) == (z is None)
    np.testing.assert_allclose(model.degrade(clean[:2], t, seed=3).images, degraded.images[:2], atol=1e-6)


@pytest.mark.parametrize("name, t", [("ddpm-best", 400), ("blur-strong", 10), ("tied-pixels", 10)])
def test_restore_is_the_sampler_from_t(models, clean, name, t):
    """The sampler's function called directly, told the mask but not the noise; to 1e-5."""
    model = models[name]
    degraded = model.degrade(clean, t)
    process, image = model.restorer.degradation, model.restorer.image
    state = State(image.encode(torch.from_numpy(degraded.images)), process.public(degraded.z),
                  hidden=process.can_estimate_z)
    section = dict(SAMPLERS[name])
    function = {"ddim": ddim, "improved": improved}[section.pop("kind")]
    visited = times(process.steps, section.pop("steps"), t)
    *_, end = function(model.restorer, state, visited, None, **section)
    found = model.restore(degraded, t).images
    np.testing.assert_allclose(found, image.decode(end.x).numpy(), rtol=0, atol=1e-5)
    assert np.abs(found - model.restore(degraded, t, "direct").images).max() > 1e-3


def test_direct_is_one_evaluation(models, clean):
    model = models["tied-pixels"]
    x = torch.from_numpy(model.degrade(clean, 7).images)
    (end,) = direct(model.restorer, State(model.restorer.image.encode(x), None), [7, 0], None)
    found = model.restore(x, 7, sampler="direct")  # a mask need not be known for it
    np.testing.assert_allclose(found.images, model.restorer.image.decode(end.x), rtol=0, atol=1e-6)


def test_no_noise_is_told_to_a_restoration(models, clean):
    """x_t alone decides; of lost pixels and noise together, the mask is known."""
    degraded = models["ddpm-best"].degrade(clean, 300)
    np.testing.assert_array_equal(models["ddpm-best"].restore(degraded.images, 300).images,
                                  models["ddpm-best"].restore(degraded, 300).images)
    both = models["tied-mask-noise"]
    degraded = both.degrade(clean, 9)
    z = degraded.z.clone()
    z[:, 1:] = 0
    np.testing.assert_array_equal(both.restore(degraded, 9).images,
                                  both.restore(dataclasses.replace(degraded, z=z), 9).images)


def test_a_seed_and_not_the_batch_decides(models, clean, monkeypatch):
    model, many = models["guided"], np.repeat(clean, 8, axis=0)
    whole = model.restore(model.degrade(many, 300), 300, labels=3)
    monkeypatch.setattr("kelvin.weights.published.BATCH", 16)
    parts = model.restore(model.degrade(many, 300), 300, labels=[3] * 40)
    np.testing.assert_allclose(parts.images, whole.images, rtol=0, atol=1e-5)
    other = model.restore(model.degrade(many, 300), 300, seed=1, labels=3)
    assert np.abs(other.images - whole.images).max() > 0.01


@pytest.mark.parametrize("name", ["ddpm-best", "blur-strong"])
def test_a_trajectory_ends_in_the_samples_of_its_seed(models, name, tmp_path):
    model = models[name]
    way = model.trajectory(3, count=4, seed=2)
    assert way.times[0] == model.restorer.degradation.steps and way.times[-1] == 0
    assert way.times == sorted(way.times, reverse=True) and way.images.shape == (5, 3, 1, 8, 8)
    np.testing.assert_allclose(way.images[-1], model.sample(3, seed=2).images, rtol=0, atol=1e-6)
    way.save(tmp_path / "way.png", scale=1)
    assert Image.open(tmp_path / "way.png").size == (5 * 9 - 1, 3 * 9 - 1)


def test_a_sampler_is_a_kind_or_an_entry(models):
    model = models["ddpm-best"]
    own = model.sample(2).images
    for same in ({"sampler": "ddim"}, {"sampler": DDIM}, {"sampler": {**DDIM, "steps": 3}, "steps": 10}):
        np.testing.assert_array_equal(model.sample(2, **same).images, own)
    assert np.abs(model.sample(2, steps=2).images - own).max() > 1e-4
    fine = {"kind": "ancestral", "steps": "all"}
    np.testing.assert_array_equal(model.degrade(own, 3).images, model.degrade(own[:, 0], 3).images)
    np.testing.assert_array_equal(model.restore(own, 3, "ancestral").images,
                                  model.restore(own, 3, fine).images)


def test_labels_are_one_for_all_or_one_for_each(models):
    model = models["guided"]
    np.testing.assert_array_equal(model.sample(2, labels=4).images, model.sample(2, labels=[4, 4]).images)
    apart = np.abs(model.sample(2, labels=[4, 5]).images - model.sample(2, labels=4).images)
    assert apart[0].max() == 0 and apart[1].max() > 0


@pytest.mark.parametrize("name, use, sentence", [
    ("blur-strong", lambda m, x: m.restore(x, 0), "t = 0 is no time of these weights; .* from 1 to 20"),
    ("blur-strong", lambda m, x: m.degrade(x, 21), "t = 21 is no time .* from 0 to 20"),
    ("blur-strong", lambda m, x: m.degrade(x, 2.5), "t = 2.5 is no time"),
    ("blur-strong", lambda m, x: m.restore(m.degrade(x, 3), 4), "degraded to t = 3, not 4"),
    ("blur-strong", lambda m, x: m.restore(x, 4, "ddim"), "samplers.ddim.eta is missing"),
    ("blur-strong", lambda m, x: m.restore(x, 4, DDIM), "ddim needs a process with Gaussian noise"),
    ("blur-strong", lambda m, x: m.restore(x, 4, "dim"), "'dim': no such sampler"),
    ("blur-strong", lambda m, x: m.sample(2, sampler={"steps": 3}), "is no sampler; give a kind"),
    ("blur-strong", lambda m, x: m.sample(2, steps=99), "99 is more than the process has"),
    ("blur-strong", lambda m, x: m.sample(2, labels=1), "trained without classes"),
    ("blur-strong", lambda m, x: m.sample(2, guidance=3), "guidance = 3 is of a class, and no labels"),
    ("guided", lambda m, x: m.restore(x, 4, guidance=0.5), "no labels are given"),
    ("guided", lambda m, x: m.trajectory(2, guidance=-1), "or leave guidance at 1"),
    ("guided", lambda m, x: m.sample(2, labels=[1, 2, 3]), "3 labels were given for 2 images"),
    ("tied-pixels", lambda m, x: m.restore(x, 4), "what these images do not show")])
def test_a_wrong_use_is_one_sentence(models, clean, name, use, sentence):
    with pytest.raises(KelvinError, match=sentence) as error:
        use(models[name], clean)
    assert "\n" not in str(error.value)


def test_weights_that_were_not_published_name_no_sampler(models):
    model = dataclasses.replace(models["blur-strong"], sampler=None, about={})
    with pytest.raises(KelvinError, match="these weights name no sampler"):
        model.sample(2)
    np.testing.assert_array_equal(model.sample(2, sampler=IMPROVED).images,
                                  models["blur-strong"].sample(2).images)


def test_what_they_are_is_read_at_a_glance(models, clean):
    assert repr(models["blur-strong"]) == (
        "<blur-strong: gaussian-blur, own schedule, T = 20 (cold); 8x8 grey images; unet of 30,153 "
        "parameters that predicts x0; sampler improved, steps all, z kept>")
    assert "10 classes" in repr(models["guided"])
    degraded = models["blur-strong"].degrade(clean, 3)
    assert repr(degraded) == "<Degraded: 5 images of 8x8 grey, degraded to t = 3>"
    assert repr(models["blur-strong"].trajectory(2, 2)) == (
        "<Trajectory: 2 images of 8x8 grey at t = 20, 10, 0>")


def test_what_lies_beyond_white_is_saved_as_white(models, tmp_path):
    x = np.stack([np.full((1, 8, 8), value, np.float32) for value in (-0.5, 0.5, 1.5)])
    Degraded(x, 1, None).save(tmp_path / "x.npz")
    assert np.load(tmp_path / "x.npz")["images"][:, 0, 0, 0].tolist() == [0, 128, 255]


def picture(path, side=8):
    x = np.random.default_rng(4).integers(0, 256, (side, side), np.uint8)
    Image.fromarray(x).save(path)
    return x


def test_kelvin_restore_writes_what_python_restores(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x, model = picture("photo.png"), load(COLD)
    invoke("restore", COLD, "photo.png", "--t", "10", "-o", "out.png")
    np.testing.assert_array_equal(np.asarray(Image.open("out.png")), bytes_of(model.restore(x, 10))[0, 0])
    invoke("restore", COLD, "photo.png", "--t", "3", "--degrade", "--seed", "2", "--sampler", "direct")
    degraded = model.degrade(x, 3, seed=2)
    row = np.kron(np.concatenate([x, *(bytes_of(part)[0, 0] for part in (
        degraded, model.restore(degraded, 3, "direct")))], 1), np.ones((8, 8), np.uint8))
    shown = np.asarray(Image.open("restored.png"))
    assert shown.shape == (64, 26 * 8)
    shown = np.concatenate([shown[:, 72 * i:72 * i + 64] for i in range(3)], 1)
    np.testing.assert_array_equal(shown, row)


def test_kelvin_restore_brings_a_photo_to_size_where_it_is_asked_to(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    picture("photo.png", side=20)
    with pytest.raises(KelvinError, match="20x20 pixels, but these weights are of 8x8: add --resize"):
        invoke("restore", COLD, "photo.png", "--t", "10")
    invoke("restore", COLD, "photo.png", "--t", "10", "--resize")
    assert Image.open("restored.png").size == (8, 8)


@pytest.mark.parametrize("words, sentence", [
    (("nothing.png", "--t", "3"), "nothing.png is not there"),
    (("text.png", "--t", "3"), "text.png cannot be read as a picture: it is no readable PNG"),
    (("odd.png", "--t", "3"), "odd.png cannot be read as a picture: it is no usable image"),
    ((".", "--t", "3"), "cannot be read .Is a directory."),
    (("photo.png", "--t", "300"), "t = 300 is no time"),
    (("photo.png", "--t", "3", "--sampler", "ddim"), "samplers.ddim.eta is missing"),
    (("photo.png", "--t", "3", "-o", "out.gif"), "out.gif should end in .png")])
def test_kelvin_restore_refuses_in_a_sentence(tmp_path, monkeypatch, words, sentence):
    monkeypatch.chdir(tmp_path)
    picture("photo.png")
    (tmp_path / "text.png").write_text("no picture")
    content = (tmp_path / "photo.png").read_bytes()  # grey, as which its palette is missing
    header = content[12:25] + b"\3" + content[26:29]
    (tmp_path / "odd.png").write_bytes(
        content[:12] + header + zlib.crc32(header).to_bytes(4, "big") + content[33:])
    with pytest.raises(KelvinError, match=sentence):
        invoke("restore", COLD, *words)


def test_every_command_has_examples_and_says_how_it_ends():
    for command in app.registered_commands:
        text = command.callback.__doc__
        assert f"\n    kelvin {command.callback.__name__}" in text, command.callback.__name__
        assert "nds with status " in text, command.callback.__name__


def test_kelvin_bench_is_the_checkouts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KelvinError, match="run this from the project's root"):
        invoke("bench")
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks/bench.py").write_text("import sys; sys.exit(len(sys.argv))")
    invoke("bench", "a", "b", status=3)


@pytest.mark.parametrize("use", [
    lambda m: m.sample(0), lambda m: m.sample(-1), lambda m: m.sample(1.5), lambda m: m.sample("3"),
    lambda m: m.sample(True), lambda m: m.sample(2, seed="x"), lambda m: m.sample(2, seed=None),
    lambda m: m.sample(2, seed=-1), lambda m: m.sample(2, guidance=float("nan")),
    lambda m: m.sample(2, guidance="x"), lambda m: m.sample(2, labels=[None, 1]),
    lambda m: m.sample(2, labels=[0.5, 1]), lambda m: m.sample(2, labels=1.0),
    lambda m: m.sample(2, sampler={"kind": 3}), lambda m: m.trajectory(0),
    lambda m: m.trajectory(2, count=0), lambda m: m.sample(1).save("a.txt"),
    lambda m: m.sample(1).save("a"), lambda m: m.sample(1).save("a.png", scale=0),
    lambda m: m.sample(1).save("not-there/a.png"), lambda m: m.trajectory(1).save("a.npz")])
def test_what_no_call_can_mean_is_one_sentence(tmp_path, monkeypatch, use):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KelvinError) as refused:
        use(load(COLD))
    assert "\n" not in str(refused.value) and not list(tmp_path.iterdir())
