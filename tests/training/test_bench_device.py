"""benchmarks/device.py on a CPU, as small as it gets: every row is there, or says why not."""

import sys

import pytest
import torch
from conftest import ROOT
from stepping import UNET

from kelvin.common.errors import KelvinError
from kelvin.networks import Shape, build
from kelvin.pipeline.bench import bench


@pytest.fixture
def device(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    for name in ("degrading", "networks", "device"):  # modules of the folder, and no others of that name
        monkeypatch.delitem(sys.modules, name, raising=False)
    import device

    def missing():
        raise ImportError("no module named peers")

    monkeypatch.setattr(device, "NETWORKS", {device.SAMPLED: UNET})
    monkeypatch.setattr(device, "PEERS", {"one": (lambda: build(UNET, Shape(1, 8, 8)), "a peer"),
                                          "two": (missing, "no peer")})
    return device


def test_rows_of_ours_and_of_peers(device):
    launched, peer, missing, sampled = device.rates(torch.device("cpu"))
    assert launched.name == f"{device.SAMPLED}, launched" and sampled.name.endswith("ddim-50 of 4")
    for row in (launched, peer, sampled):
        assert row.images > 0 and row.parameters == launched.parameters > 0 and row.before > 0
        assert f"{row.images:,.0f}" in str(row)
    assert missing.images is None and str(missing).endswith("no module named peers")


def test_no_row_is_begun_after_the_budget(device):
    rows = list(device.rates(torch.device("cpu"), budget=-1.0))
    assert len(rows) == 4 and all(row.images is None and "are over" in str(row) for row in rows)


def test_a_device_has_one_table(monkeypatch):
    with pytest.raises(KelvinError, match="--device cuda prints one table: leave train-cnn out"):
        bench(["train-cnn"], "cuda")
