"""What is given to weights in use: images that weights degraded, labels, numbers of numpy's."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from published_models import DDIM, IMPROVED, untrained

from kelvin.common.errors import KelvinError
from kelvin.weights.images import unit_images


def refused(use, sentence):
    with pytest.raises(KelvinError, match=sentence) as error:
        use()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("theirs", ["ddpm-best", "blur-strong", "tied-pixels", "tied-mask-noise"])
@pytest.mark.parametrize("own", ["ddpm-best", "blur-strong", "tied-pixels", "tied-mask-noise"])
@pytest.mark.parametrize("is_listed", [False, True])
def test_images_are_restored_by_the_process_that_degraded_them(models, clean, theirs, own, is_listed):
    degraded = models[theirs].degrade(clean, 5)
    given = [degraded] if is_listed else degraded
    if theirs != own:
        refused(lambda: models[own].restore(given, 5), "degraded by another process: its degradation is "
                                                       ".*kind.*, that of these weights is .*kind")
    else:
        np.testing.assert_array_equal(models[own].restore(given, 5).images,
                                      models[own].restore(degraded, 5).images)


@pytest.mark.parametrize("change", [
    {"schedule": {"kind": "own", "steps": 21}}, {"restorer": {"low": 0.0, "high": 1.0}}])
def test_another_schedule_or_range_is_another_process(params, models, clean, change):
    """The same run but for one thing: at the same t its x_t is another."""
    model = models["blur-strong"]
    run = {key: {**model.run[key], **change.get(key, {})} if isinstance(model.run[key], dict)
           else model.run[key] for key in model.run}
    image = dataclasses.replace(model.restorer.image, low=run["restorer"]["low"])
    restorer = type(model.restorer)(model.restorer.network, "x0", model.restorer.degradation, image, True)
    other = dataclasses.replace(model, run=run, restorer=restorer)
    refused(lambda: other.restore(model.degrade(clean, 5), 5), "another process: its (schedule|range) is")


@pytest.mark.parametrize("name, sampler, t", [("blur-strong", IMPROVED, 5), ("tied-pixels", IMPROVED, 5),
                                              ("ddpm-best", DDIM, 300)])
def test_two_networks_of_one_process_restore_each_others_images(params, models, clean, name, sampler, t):
    other = untrained(params, name, sampler, seed=1)
    found = other.restore(models[name].degrade(clean, t), t).images
    np.testing.assert_array_equal(found, other.restore(other.degrade(clean, t), t).images)
    assert np.abs(found - models[name].restore(models[name].degrade(clean, t), t).images).max() > 1e-3


@pytest.mark.parametrize("name", ["tied-pixels", "blur-strong"])
def test_a_list_of_degraded_images_is_all_of_them_with_their_z(models, clean, name):
    model = models[name]
    parts = [model.degrade(clean[:2], 7, seed=1), [model.degrade(clean[2:], 7, seed=2)]]
    alone = [model.restore(part, 7).images for part in (parts[0], parts[1][0])]
    np.testing.assert_allclose(model.restore(parts, 7).images, np.concatenate(alone), rtol=0, atol=1e-5)


@pytest.mark.parametrize("given, sentence", [
    (lambda m, x: [m.degrade(x, 3), x], "and other images: restore them apart"),
    (lambda m, x: [x, [m.degrade(x, 3)]], "and other images: restore them apart"),
    (lambda m, x: [m.degrade(x, 3), m.degrade(x, 4)], "to t = 3 and to t = 4: restore them apart"),
    (lambda m, x: [m.degrade(x, 4)], "degraded to t = 4, not 3"),
    (lambda m, x: dataclasses.replace(m.degrade(x, 3), images=m.degrade(x, 3).images[:2]),
     "2 images come with the z of 5"),
    (lambda m, x: dataclasses.replace(m.degrade(x, 3), z=None), "what these images do not show"),
    (lambda m, x: dataclasses.replace(m.degrade(x, 3), process={}), "its degradation is unknown")])
def test_degraded_images_that_do_not_belong_together_are_one_sentence(models, clean, given, sentence):
    model = models["tied-pixels"]
    refused(lambda: model.restore(given(model, clean), 3), sentence)


def test_a_list_of_two_processes_is_refused(models, clean):
    both = [models[name].degrade(clean, 3) for name in ("tied-pixels", "tied-mask-noise")]
    refused(lambda: models["tied-pixels"].restore(both, 3), "several processes degraded")


@pytest.mark.parametrize("label", [torch.tensor(4), np.array(4), np.int64(4), [4, 4], np.array([4, 4]),
                                   torch.tensor([4, 4]), [torch.tensor(4), np.array(4)]])
def test_a_label_is_a_number_in_any_form(models, label):
    model = models["guided"]
    np.testing.assert_array_equal(model.sample(2, labels=label, steps=2).images,
                                  model.sample(2, labels=4, steps=2).images)


@pytest.mark.parametrize("labels, sentence", [
    (np.eye(10, dtype=int)[:2], r"labels of the shape \(2, 10\) are no classes"),
    (torch.eye(10)[:2], r"labels of the shape \(2, 10\) are no classes"),
    (np.array([[1], [2]]), r"labels of the shape \(2, 1\) are no classes"),
    (list(torch.eye(10)[:2]), "a label = tensor.* should be a whole number"),
    ([np.zeros((3, 3)), 1], "a label = array.* should be a whole number"),
    (torch.tensor(4.0), r"labels = 4.0: give one"), (torch.tensor(True), "labels = True"),
    (np.array("4"), "labels = '4': give one"), ("42", "labels = '42': give one"),
    ([10**5000, 1], "a label = a huge int should be")])
def test_what_is_no_label_is_one_sentence(models, labels, sentence):
    refused(lambda: models["guided"].sample(2, labels=labels), sentence)


@pytest.mark.parametrize("sampler, sentence", [
    ({"kind": "ddim", "a": 1, "b": 2}, r"samplers.ddim.\w+ is .*\(3 more faults\)$"),
    ({"kind": "ddim", "steps": 5}, "samplers.ddim.eta is missing; ddim takes eta, steps$"),
    ({"kind": "ddim", "steps": 5, "eta": 2.0, "a": 1}, r"\(1 more fault\)$"),
    ({"steps": np.zeros((3, 3))}, "sampler = {'steps': array.* is no sampler")])
def test_several_faults_of_a_sampler_are_one_sentence(models, sampler, sentence):
    for use in (models["ddpm-best"].sample, models["ddpm-best"].trajectory):
        refused(lambda use=use: use(2, sampler=sampler), sentence)


def test_numbers_may_be_numpys(models, clean):
    model, whole = models["ddpm-best"], np.int64
    expected = model.degrade(clean, 300)
    degraded = model.degrade(clean, whole(300), seed=whole(0))
    np.testing.assert_array_equal(degraded.images, expected.images)
    assert type(degraded.t) is int and repr(degraded) == repr(expected)
    own = {"kind": "ddim", "steps": np.int32(5), "eta": np.float32(0.5)}
    for theirs, ours in (({"steps": whole(5)}, {"steps": 5}),
                         ({"sampler": own}, {"sampler": {"kind": "ddim", "steps": 5, "eta": 0.5}})):
        np.testing.assert_array_equal(model.restore(degraded, whole(300), **theirs).images,
                                      model.restore(expected, 300, **ours).images)
        np.testing.assert_array_equal(model.sample(whole(2), **theirs).images,
                                      model.sample(2, **ours).images)


@pytest.mark.parametrize("use, sentence", [
    (lambda m, x: m.degrade(x, True), "t = True is no time"),
    (lambda m, x: m.degrade(x, np.bool_(True)), "t = .*True.* is no time"),
    (lambda m, x: m.degrade(x, np.float64(3)), "t = .*3.0.* is no time"),
    (lambda m, x: m.degrade(x, np.zeros((3, 3))), "t = array.* is no time"),
    (lambda m, x: m.degrade(x, 10**5000), "t = a huge int is no time"),
    (lambda m, x: m.sample(2, steps=True), "steps = True"),
    (lambda m, x: m.sample(2, steps=np.bool_(True)), "steps = True"),
    (lambda m, x: m.sample(2, guidance=10**400), "guidance = 1000.* should be a finite number")])
def test_what_is_no_number_is_one_sentence(models, clean, use, sentence):
    refused(lambda: use(models["ddpm-best"], clean), sentence)


UNIT = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)


@pytest.mark.parametrize("form", [
    np.longdouble, np.float16, lambda x: torch.from_numpy(x).bfloat16(),
    *(lambda x, kind=kind: torch.from_numpy(x).to(getattr(torch, kind))
      for kind in ("float8_e4m3fn", "float8_e5m2"))])
def test_floats_of_any_width_are_images(form):
    """To the rounding of two bits of mantissa, an eighth, at most."""
    found = unit_images(form(UNIT), (1, 8, 8))
    assert found.dtype == torch.float32 and found.shape == (1, 1, 8, 8)
    np.testing.assert_allclose(found[0, 0], UNIT, rtol=1 / 8, atol=1e-5)


def test_longdouble_is_as_exact_as_double():
    np.testing.assert_array_equal(unit_images(UNIT.astype(np.longdouble), (1, 8, 8))[0, 0], UNIT)


@pytest.mark.parametrize("images, sentence", [
    (np.ma.masked_less(UNIT, 0.5), "masked; give an array without a mask"),
    ([np.ma.array(np.zeros((8, 8), np.uint8), mask=True)], "masked; give an array without a mask"),
    (np.full((8, 8), 20, np.longdouble), "run from 20 to 20"),
    (torch.zeros(8, 8, device="meta"), "a tensor that is on the device meta has not a value"),
    (torch.zeros(8, 8, dtype=torch.uint8, device="meta"), "on the device meta has not a value"),
    (torch.zeros(8, 8).to_sparse(), "a tensor that is sparse has not a value"),
    (torch.zeros(8, 8, dtype=torch.uint8).view(torch.float4_e2m1fn_x2), "float4_e2m1fn_x2 may mean"),
    (torch.full((8, 8), torch.nan).to(torch.float8_e5m2), "run from nan")])
def test_what_has_not_a_value_for_each_pixel_is_one_sentence(models, images, sentence):
    for use in (models["blur-strong"].degrade, models["blur-strong"].restore):
        refused(lambda use=use: use(images, 3), sentence)


def test_a_picture_needs_no_mask():
    assert unit_images(Image.new("L", (8, 8), 255), (1, 8, 8)).min() == 1
