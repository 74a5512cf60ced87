"""`samplers: every`: all of the list that a degradation can take, tried on the degradation."""

import copy

import pytest
import torch
from conftest import ROOT

from kelvin import degradations
from kelvin.common.errors import KelvinError
from kelvin.config.resolve import Params, read
from kelvin.degradations import ImageSpec
from kelvin.pipeline.checks.params import faults
from kelvin.pipeline.checks.run import with_samplers
from kelvin.restoration.restorer import Restorer
from kelvin.sampling.trajectories import generate

RAW = read(ROOT / "params.yaml")
BUDGETS = (5, 20, 50, 100)


@pytest.mark.parametrize("name", ["tied-noise", "tied-flow", "tied-blur-noise", "tied-mask-noise",
                                  "tied-blur", "tied-pixels", "tied-fade"])
def test_a_run_draws_with_every_sampler_that_works_on_it_and_no_other(params, name):
    """Sampling itself is the oracle: a sampler is in the list where drawing with it raises no error."""
    run = with_samplers(params, params.run(name))
    image = ImageSpec(1, 8, 8, -1.0, 1.0)
    process = degradations.build(image, run.degradation.model_dump(), run.schedule.model_dump(),
                                 {"kind": "constant", "level": 0.5, "jitter": 0.1})
    process.fit(image.encode(torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(0))), None)
    restorer = Restorer(lambda x, t: 0.1 * x, run.restorer.parameterisation, process, image, True)
    works = {}
    for sampler in params.house.every:
        restorer.evaluations = 0
        try:
            works[sampler] = generate(restorer, params.sampler(sampler), 2, (0, "a"), 2).nfe
        except KelvinError:
            continue
    assert run.sampling.samplers == list(works)
    for kind in ("naive", "improved"):
        assert all(works[f"{kind}-{n}"] == n for n in BUDGETS)
    gaussian = isinstance(process, degradations.GaussianProcess)
    assert gaussian == all(works.get(f"{kind}-{n}") == n
                           for kind in ("ddim", "ancestral") for n in BUDGETS)


def test_a_short_process_takes_only_budgets_within_its_steps():
    raw = copy.deepcopy(RAW)
    raw["runs"]["short"] = {"like": "tied-blur", "schedule": {"steps": 20}}
    params = Params(raw)
    assert with_samplers(params, params.run("short")).sampling.samplers == [
        "direct", "improved-5", "naive-5", "improved-20", "naive-20"]


def test_names_of_the_list_are_checked():
    raw = {**copy.deepcopy(RAW), "every": ["ddim-50", "nonsense"]}
    assert any("every names 'nonsense', which is not defined" in line for line in faults(raw))
    raw = {**copy.deepcopy(RAW), "every": ["ddim-50"]}
    assert any("tied-blur.sampling.samplers = 'every', but gaussian-blur can take none" in line
               for line in faults(raw))
