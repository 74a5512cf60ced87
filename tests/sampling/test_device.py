"""How networks are evaluated for samples: rules of device, length and memory, and a fall back."""

import pytest
import torch
import walks
from torch import nn

from kelvin.common.hardware import Precision
from kelvin.networks import Shape, build
from kelvin.networks.memory import evaluation_memory
from kelvin.sampling import device
from kelvin.sampling.device import (
    EVALUATED,
    MOST,
    Evaluated,
    batch_of,
    batch_size,
    ready,
    why_not_compiled,
)
from kelvin.sampling.trajectories import generate

CPU, CUDA, FP32 = torch.device("cpu"), torch.device("cuda"), Precision("no", False)
DDIM = {"kind": "ddim", "steps": 3, "eta": 0.0}
SIZE = 4 * 8 * 8  # bytes of a channel of 8x8 pixels


class Chain(nn.Module):
    """Three layers whose tensors can be counted by hand: of 2, 6 and 1 channels."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Conv2d(2, 6, 1), nn.Conv2d(6, 1, 1))

    def forward(self, x, time):
        return self.layers(x)


class Skip(Chain):
    def forward(self, x, time):
        a = self.layers[0](x)
        return self.layers[2](self.layers[1](a)) + a[:, :1]


@pytest.mark.parametrize(("network", "channels"), [(Chain, 8), (Skip, 9)])
def test_the_memory_of_an_evaluation_is_counted(network, channels):
    """Chain: 2 and 6 channels at once; with a skip of 2 also the last one, while the 6 are there."""
    assert evaluation_memory(network(), Shape(1, 8, 8)) == channels * SIZE


def test_memory_grows_with_the_pixels():
    small, large = (evaluation_memory(build({"kind": "unet", "channels": 8, "multipliers": [1, 2],
                                             "blocks": 1}, shape), shape)
                    for shape in (Shape(1, 8, 8), Shape(1, 16, 16)))
    assert 3.5 < large / small < 4.1


@pytest.mark.parametrize(("n", "one", "free", "batch"), [
    (5000, 2**20, 80 * 2**30, 5000), (5000, 2**22, 40 * 2**30, 2500), (60_000, 1, 2**40, 7500),
    (4999, 2**22, 40 * 2**30, 3072), (10, 2**30, 2**20, 1)])
def test_the_rule_of_batches(n, one, free, batch):
    """All at once where they fit, else even parts; a prime number has none."""
    assert batch_of(n, one, free) == batch <= MOST


def test_on_a_cpu_the_batch_and_the_network_are_those_of_params(monkeypatch):
    restorer = walks.restorer_of("weighting simple")
    assert batch_size(restorer, 5000, 270, CPU) == 270
    assert ready(restorer, CPU, Precision("bf16", True), 10**9) is restorer


def test_on_cuda_the_batch_follows_the_free_memory(monkeypatch):
    restorer = walks.restorer_of("weighting simple")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2**26, 2**40))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 0)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 0)
    plain, guided = (batch_size(restorer, 4999, 270, CUDA, g) for g in (False, True))
    assert 0 < guided < plain < 4999


@pytest.mark.parametrize(("kind", "evaluated", "why"), [
    (CUDA, EVALUATED, None), (CUDA, EVALUATED - 1, "are fewer than 1,000,000"),
    (CPU, 10**9, "this is a CPU")])
def test_the_rule_of_compiling(kind, evaluated, why):
    found = why_not_compiled(kind, evaluated)
    assert found is None if why is None else why in found


def evaluated(monkeypatch, network, is_compiled):
    monkeypatch.setattr(device, "LARGE", 1)
    return Evaluated(network, FP32, CPU, is_compiled)


@pytest.mark.slow  # a C++ compiler is at work
def test_a_compiled_network_draws_the_same(monkeypatch):
    """A U-Net compiled to its kernels: samples are equal to 1e-5."""
    restorer = walks.restorer_of("weighting simple")
    plain, bare = generate(restorer, DDIM, 4, (0,), 4), restorer.network
    monkeypatch.setattr(restorer, "network", evaluated(monkeypatch, bare, True))
    try:
        found = generate(restorer, DDIM, 4, (0,), 2)
    finally:
        torch._dynamo.reset()
    if restorer.network.fast is None:
        pytest.skip("no C++ compiler for torch.compile")
    torch.testing.assert_close(found.images, plain.images, rtol=0, atol=1e-5)
    assert found.nfe == plain.nfe == 3 and plain.images.std() > 0.05


def test_a_failed_compilation_is_left_out(monkeypatch, caplog):
    def broken(network, **options):
        def fast(*given):
            raise RuntimeError("no compiler\nand more")
        return fast

    monkeypatch.setattr(device, "compiled", broken)
    network = evaluated(monkeypatch, walks.restorer_of("weighting simple").network, True)
    x, time = torch.rand(3, 1, 8, 8), torch.rand(3)
    with torch.no_grad():
        assert torch.equal(network(x, time), network.bare(x, time)) and network.fast is None
    assert "compiling the network for sampling failed, it is run as it is: no compiler" in caplog.text
    assert "and more" not in caplog.text


def test_small_batches_are_not_compiled():
    network = Evaluated(walks.restorer_of("weighting simple").network, FP32, CPU, False)
    network.fast = None
    calls = []
    network.fast = lambda *given: calls.append(len(given[0])) or given[0]
    for n in (device.LARGE - 1, device.LARGE):
        network(torch.zeros(n, 1, 8, 8), torch.zeros(n))
    assert calls == [device.LARGE]
