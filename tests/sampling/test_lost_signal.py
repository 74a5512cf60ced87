"""Schedules that leave no signal to divide by are refused before any stage; below, no pixel that is not
finite becomes a grey level."""

import copy

import numpy as np
import pytest
import torch
from conftest import ROOT
from helpers import image, noise

from kelvin.common.errors import KelvinError
from kelvin.common.files import as_uint8
from kelvin.config.resolve import Params, read
from kelvin.pipeline.checks.params import check
from kelvin.restoration.restorer import Restorer
from kelvin.sampling.trajectories import generate
from kelvin.weights import Samples

RAW = read(ROOT / "params.yaml")
LONG = {"kind": "linear", "steps": 5000, "beta_min": 1e-4, "beta_max": 0.1}


def edited(run, **sections):
    raw = copy.deepcopy(RAW)
    raw["runs"][run] |= sections
    return Params(raw | {"active": [run]})


def test_every_run_passes():
    assert check(Params(copy.deepcopy(RAW))) is None


@pytest.mark.parametrize(("run", "sections", "sentence"), [
    ("fold-study-e", {"schedule": {"kind": "linear", "steps": 200, "beta_min": 1e-4, "beta_max": 0.02,
                                   "zero_terminal_snr": True}},
     "runs.fold-study-e.restorer.parameterisation = 'scaled-eps' cannot be turned into x0_hat at T, "
     "where schedule.zero_terminal_snr leaves no signal"),
    ("ddpm-default", {"schedule": LONG},
     "runs.ddpm-default.restorer.parameterisation = 'eps' cannot be turned into x0_hat at t = "),
    ("ddpm-default", {"schedule": {**LONG, "steps": 1000, "beta_max": 0.5}},
     "runs.ddpm-default.restorer.parameterisation = 'eps' cannot be turned into x0_hat at t = "),
])
def test_refused_before_any_stage(run, sections, sentence):
    with pytest.raises(KelvinError) as error:
        check(edited(run, **sections))
    assert str(error.value).startswith(f"params.yaml: {sentence}") and "\n" not in str(error.value)


def test_another_target_takes_the_same_schedule():
    assert check(edited("ddpm-default", schedule=LONG, restorer={"parameterisation": "v"})) is None


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_no_pixel_that_is_not_finite_becomes_a_grey_level(tmp_path, value):
    images = torch.full((2, 1, 8, 8), 0.5)
    assert as_uint8(images).tolist() == [[[[128] * 8] * 8]] * 2
    images[1, 0, 3, 3] = value
    with pytest.raises(KelvinError, match="^1 of 128 pixels that the model made are not finite"):
        as_uint8(images)
    with pytest.raises(KelvinError, match="^1 of 128 pixels"):
        Samples(images.numpy()).save(tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize(("value", "clip"), [(np.nan, True), (np.nan, False), (np.inf, False)])
def test_samples_that_are_not_finite_are_refused(value, clip):
    """Decoding would clip infinity to white."""
    restorer = Restorer(lambda x, time: torch.full_like(x, value), "x0", noise(), image(), clip=clip)
    with pytest.raises(KelvinError, match="128 of 128 pixels that the model made are not finite"):
        generate(restorer, {"kind": "ddim", "steps": 2, "eta": 0.0}, 2, (0,), 2)
