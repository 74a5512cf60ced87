"""Samplers on a real CUDA device: replayed as a graph, never waiting, compiled, in any batch.

Sums of CUDA's convolutions may be ordered otherwise in a graph: images are compared to 1e-4.
"""

import logging

import pytest
import torch
import torch.nn.functional as F
import walks

from kelvin.common.hardware import Precision
from kelvin.networks.blocks import GroupNorm, is_channels_last
from kelvin.sampling import device, walk
from kelvin.sampling.device import Evaluated, batch_size
from kelvin.sampling.trajectories import generate
from kelvin.sampling.walk import Recordable

pytestmark = [pytest.mark.cuda, pytest.mark.skipif(
    not torch.cuda.is_available(), reason="there is no CUDA device here: run this file on one")]
CASES = walks.cases()
HOT, CUDA = "weighting simple", torch.device("cuda")


@pytest.fixture(autouse=True)
def exact_products(monkeypatch):
    """fp32 means 32 bits here, and kernels that add in one order; short walks are recorded too."""
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    monkeypatch.setattr(walk, "LEAST", 2)


@pytest.mark.parametrize(("case", "name"), CASES)
@torch.no_grad()
def test_replayed_steps_are_the_plain_ones(case, name):
    restorer = walks.restorer_of(case)
    before = restorer.evaluations
    plain = list(walks.walk(case, name))[-1].x
    nfe, before = restorer.evaluations - before, restorer.evaluations
    way = walks.walk(case, name)
    found = way.to(0).x
    assert nfe == restorer.evaluations - before and way.is_tried == (name != "direct")
    torch.testing.assert_close(found, plain, rtol=0, atol=1e-4 * max(1.0, float(plain.abs().max())))


@torch.no_grad()
def test_states_on_the_way_are_those_of_plain_steps():
    plain = [state.x for state in walks.walk(HOT, "ancestral")]
    way = walks.walk(HOT, "ancestral")
    found = {time: way.to(time).x for time in (15, 9, 2, 0)}
    for time, x in found.items():
        torch.testing.assert_close(x, plain[way.times.index(time) - 1], rtol=0, atol=1e-4)


@pytest.mark.parametrize(("case", "name"), [c for c in CASES if c[1] != "direct"])
@torch.no_grad()
def test_a_step_never_waits(case, name):
    way = walks.walk(case, name)
    next(way), next(way)
    work = Recordable(way)
    work()
    torch.cuda.set_sync_debug_mode("error")
    try:
        work()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert int(work.at) == 2


def test_the_log_says_how(caplog):
    walk.say.cache_clear()
    with caplog.at_level(logging.INFO, "kelvin"), torch.no_grad():
        walks.walk(HOT, "ancestral").to(0)
    assert [r.getMessage() for r in caplog.records] == ["sampler steps: one CUDA graph"]


@pytest.mark.parametrize("name", ["ancestral", "ddim"])
def test_samples_do_not_depend_on_the_batch(name):
    whole, parts = (generate(walks.restorer_of(HOT), walks.SECTIONS[name], 37, (3,), batch, CUDA).images
                    for batch in (37, 11))
    torch.testing.assert_close(whole, parts, rtol=0, atol=1e-4)


@pytest.mark.parametrize("is_compiled", [False, True])
def test_bf16_and_compiled_draw_nearly_the_same(monkeypatch, is_compiled):
    """By the mean over pixels: bf16 has three digits."""
    monkeypatch.setattr(device, "LARGE", 1)
    restorer = walks.restorer_of(HOT)
    plain = generate(restorer, walks.SECTIONS["ddim"], 8, (0,), 8, CUDA).images
    fast = Evaluated(restorer.network, Precision("bf16", True), CUDA, is_compiled)
    monkeypatch.setattr(restorer, "network", fast)
    found = generate(restorer, walks.SECTIONS["ddim"], 8, (0,), 8, CUDA).images
    assert (fast.fast is not None) == is_compiled
    assert float((found - plain).abs().mean()) < 0.02 < float(plain.std())


def test_a_batch_fits_into_memory():
    restorer = walks.restorer_of(HOT)
    batch = batch_size(restorer, 5000, 4, CUDA)
    assert batch == 5000
    generate(restorer, {"kind": "ddim", "steps": 2, "eta": 0.0}, batch, (0,), batch, CUDA)


def test_group_norm_keeps_the_layout():
    norm = GroupNorm(4, 16).to(CUDA)
    x = torch.randn(8, 16, 14, 14, device=CUDA).to(memory_format=torch.channels_last)
    found = norm(x)
    assert is_channels_last(found)
    torch.testing.assert_close(found, F.group_norm(x, 4, norm.weight, norm.bias, norm.eps),
                               rtol=1e-5, atol=1e-5)
