"""Precision and layout follow from device and shape, and from nothing else."""

import pytest
import torch

from kelvin.common import hardware
from kelvin.common.hardware import Precision, rule
from kelvin.networks import Shape

SMALL, LARGE = Shape(1, 8, 8), Shape(3, 28, 28)


@pytest.mark.parametrize("wanted", ["auto", "fp32", "bf16"])
@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("shape", [SMALL, Shape(3, 27, 27), Shape(3, 20, 39)])
def test_small_images_on_any_cpu(wanted, native, shape):
    """fp32, contiguous, whatever the CPU can do: the numbers are those of every machine."""
    assert rule(wanted, "cpu", native, shape) == Precision("bf16" if wanted == "bf16" else "no", False)


@pytest.mark.parametrize(("wanted", "native", "name"), [
    ("auto", True, "bf16"), ("auto", False, "fp32"), ("fp32", True, "fp32"), ("bf16", False, "bf16")])
@pytest.mark.parametrize("shape", [LARGE, Shape(1, 32, 32), Shape(1, 20, 40)])
@pytest.mark.parametrize("contiguous", [True, False])
def test_large_images_on_cpus(wanted, native, name, shape, contiguous):
    assert rule(wanted, "cpu", native, shape, contiguous).name == name


@pytest.mark.parametrize("shape", [SMALL, LARGE])
def test_cuda(shape):
    assert rule("auto", "cuda", True, shape) == Precision("bf16", True)
    assert rule("auto", "cuda", False, shape) == Precision("no", True)
    assert rule("auto", "cuda", False, shape, contiguous=True) == Precision("no", False)
    assert rule("fp32", "cuda", True, shape) == Precision("no", True)


def test_other_devices_are_plain():
    assert rule("auto", "mps", False, LARGE) == Precision("no", False)


@pytest.mark.parametrize("flags", [(False, False), (True, False), (False, True)])
def test_the_cpu_is_asked_for_its_flags(monkeypatch, flags):
    for name, flag in zip(("_is_avx512_bf16_supported", "_is_amx_tile_supported"), flags, strict=True):
        monkeypatch.setattr(torch.cpu, name, lambda flag=flag: flag)
    assert hardware.has_bf16(torch.device("cpu")) == any(flags)
    found = hardware.resolve("auto", torch.device("cpu"), torch.nn.Identity(), LARGE)
    assert found.name == ("bf16" if any(flags) else "fp32")


@pytest.mark.parametrize("scale", ["smoke", "laptop"])
@pytest.mark.parametrize("dataset", ["digits", "mnist", "cifar10"])
def test_the_scales_for_a_laptop_are_fp32_on_every_machine(scale, dataset):
    from conftest import ROOT

    from kelvin.config.resolve import Params, read

    params = Params(read(ROOT / "params.yaml") | {"scale": scale, "dataset": dataset})
    assert {params.run(name).training.precision for name in params.house.active} == {"fp32"}
