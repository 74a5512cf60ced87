"""Samplers on small restorers of every degradation, for the tests of their steps."""

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import stepping
import torch
from conftest import own_params

from kelvin.common.streams import BlockRandom
from kelvin.degradations import degradations
from kelvin.restoration.guidance import balanced_labels
from kelvin.sampling import single_shot  # noqa: F401 - it enters study E's sampler
from kelvin.sampling.samplers import samplers, unfit
from kelvin.sampling.trajectories import to, trajectory

SECTIONS = {
    "ancestral": {"kind": "ancestral", "steps": "all"},
    "ddim": {"kind": "ddim", "steps": "all", "eta": 0.0},
    "ddim eta 0.5": {"kind": "ddim", "steps": "all", "eta": 0.5},
    "heun": {"kind": "heun", "steps": "all"},
    "dpm-solver++": {"kind": "dpm-solver++", "steps": "all"},
    "dissipation": {"kind": "dissipation", "noise": 0.01},
    **{f"{kind} {z}": {"kind": kind, "steps": "all", "z": z} for kind in ("naive", "improved")
       for z in ("kept", "estimated")},
    "naive fresh": {"kind": "naive", "steps": "all", "z": "fresh"}, "direct": {"kind": "direct"},
    "fed-back": {"kind": "fed-back", "steps": "all"}}
N = 5


def fits(section, process):
    """Does the sampler of a section take a process of that class, whatever its target?"""
    return (section["kind"] != "dissipation" and not unfit(samplers.find(section["kind"]), process)
            and (section.get("z") != "estimated" or process.can_estimate_z))


def cases():
    """(case of tests/stepping.py, sampler): every degradation with every sampler that takes it, the
    target that dissipation wants, a learned variance, classes."""
    found, every = [], stepping.cases(own_params())
    for case in every:
        kind = case.removeprefix("degradation ")
        if kind in degradations.kinds():
            found += [(case, name) for name, section in SECTIONS.items()
                      if fits(section, degradations.find(kind))]
    hot = degradations.find("gaussian-noise")
    return [*found, ("target previous", "dissipation"), ("learned variance", "ancestral"),
            *(("classes", name) for name, section in SECTIONS.items() if fits(section, hot))]


@cache
def restorer_of(case):
    """An untrained restorer, with weights that say something."""
    one = stepping.make(own_params(), stepping.cases(own_params())[case], Path(mkdtemp()))
    restorer, source = one.restorer, torch.Generator().manual_seed(3)
    restorer.network = one.bare.eval().requires_grad_(False)
    for p in restorer.network.parameters():
        p.add_(0.1 * torch.randn(p.shape, generator=source).to(p.device))
    if case == "classes":
        restorer = restorer.conditional(balanced_labels(N, 10).to(one.images.device), 2.0)
    return restorer


def walk(case, name, stream=None):
    """A sampler's states from the prior. stream: of its steps' noise, in place of the usual one."""
    restorer, random = restorer_of(case), BlockRandom(0, N, 0, "walk")
    state = to(restorer.degradation.prior.draw(random), restorer.degradation.device)
    if stream is not None:
        random.on = lambda device: stream
    return trajectory(restorer, SECTIONS[name], state, restorer.degradation.steps, random)[1]
