"""How an update is run: the rule, a trial that leaves no trace, and a fall back with a sentence."""

import logging

import pytest
import stepping
import torch
from conftest import own_params
from torch import nn

from kelvin.networks import Shape, build
from kelvin.training import capturing
from kelvin.training.capturing import tried, updater, why_not_captured
from kelvin.training.compiling import UPDATES, why_not_compiled

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
HOT = ("ddpm-default", {})
# every kind of network, as small as it can be built
NETWORKS = [{"kind": "cnn", "hidden": [3, 4], "kernel": 7}, stepping.UNET,
            {"kind": "unet-simple", "widths": [4, 6, 4]}, {"kind": "unet-conv", "widths": [4, 6, 4]},
            {"kind": "unet-resnet", "channels": 4, "multipliers": [1, 2], "blocks": [1, 1],
             "attention": "bottom"},
            {"kind": "fruit-unet", "channels": 4},
            {"kind": "ddpm-unet", "channels": 4, "multipliers": [1, 2], "blocks": 1,
             "attention": "bottom", "dropout": 0.0}]


@pytest.mark.parametrize(("changed", "device", "processes", "why"), [
    ({}, CUDA, 1, None), ({}, CPU, 1, "this is a CPU"), ({}, CUDA, 2, "2 processes share"),
    ({"times": "importance"}, CUDA, 1, "importance ask"), ({"times": "stratified"}, CUDA, 1, None),
    ({"mmd": own_params().run("ddpm-mmd").training.mmd}, CUDA, 1, "MMD picks")])
def test_the_rule_of_graphs(params, changed, device, processes, why):
    options = params.run("ddpm-default").training.model_copy(update=changed)
    found = why_not_captured(options, device, processes)
    assert found is None if why is None else why in found


@pytest.mark.parametrize(("wanted", "device", "updates", "why"), [
    ("auto", CUDA, UPDATES, None), ("auto", CUDA, UPDATES - 1, "fewer than 2000"),
    ("auto", CPU, 10**6, "this is a CPU"), ("always", CPU, 1, None),
    ("never", CUDA, 10**6, "training.compile is never")])
def test_the_rule_of_compiling(wanted, device, updates, why):
    found = why_not_compiled(wanted, device, updates)
    assert found is None if why is None else why in found


def test_on_a_cpu_the_step_itself_is_run_and_the_log_says_why(params, tmp_path, caplog):
    one = stepping.make(params, HOT, tmp_path)
    with caplog.at_level(logging.INFO, "kelvin"):
        assert updater(one.step, 10**6, one.checkpoint) is one.step
    (line,) = [r.getMessage() for r in caplog.records if r.getMessage().startswith("training step")]
    assert line == ("training step: launched operation by operation (graphs are recorded on CUDA, and "
                    "this is a CPU); network not compiled (training.compile is never)")


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("case", ["batch norm and dropout", "classes"])
def test_a_trial_leaves_no_trace(params, tmp_path, case, trained):
    """After it fifty updates are those without it, to the last bit; also of a training under way."""
    one, two = (stepping.make(params, stepping.cases(params)[case], tmp_path) for _ in range(2))
    if trained:
        for each in (one, two):
            each.epoch(1, stepping.silent())
    assert tried(one.step, lambda step: step) is one.step
    assert all(torch.equal(a, b) for a, b in zip(stepping.stepped(one), stepping.stepped(two),
                                                 strict=True))
    assert all(torch.equal(a, b) for a, b in zip(one.ema.network.parameters(),
                                                 two.ema.network.parameters(), strict=True))


@pytest.mark.parametrize("works", [True, False])
def test_what_fails_is_left_out(params, tmp_path, monkeypatch, caplog, works):
    """A failed compilation falls back to the network as it is; a lost device ends the training, which
    does without the trial when it is started again."""
    one, other = (stepping.make(params, HOT, tmp_path, compile="always") for _ in range(2))

    def broken(network):
        raise RuntimeError("no compiler\nand more")

    monkeypatch.setattr(capturing, "compiled", broken)
    monkeypatch.setattr(capturing, "works", lambda device: works)
    network = one.step.network
    if works:
        assert updater(one.step, 50, one.checkpoint) is one.step and one.step.network is network
        assert "a trial of the training step (compiled) failed: no compiler" in caplog.text
        assert "and more" not in caplog.text
        return
    with pytest.raises(capturing.KelvinError, match=r"lost the device \(no compiler\): start this again"):
        updater(one.step, 50, one.checkpoint)
    monkeypatch.setattr(capturing, "why_not_captured", lambda *_: None)  # as on CUDA
    assert updater(other.step, 50, other.checkpoint) is other.step
    one.checkpoint.remove()
    assert not one.checkpoint.had_failed_trial()


def outputs(network, call, backend):
    """What it says, and the gradients of a sum of squares."""
    torch.manual_seed(1)
    x, t = torch.randn(2, 1, 8, 8), torch.tensor([0.2, 0.7])
    if backend == "inductor":  # each kernel takes a C++ compiler seconds: the forward ones are enough
        with torch.no_grad():
            return [call(x, t)]
    out = call(x, t)
    gradients = torch.autograd.grad(out.square().sum(), list(network.parameters()))
    return [out.detach(), *gradients]


@pytest.mark.parametrize(("section", "backend"), [
    *((section, "aot_eager") for section in NETWORKS),
    ({"kind": "cnn", "hidden": [3], "kernel": 3}, "inductor")],
    ids=lambda x: x if isinstance(x, str) else x["kind"])
def test_a_compiled_network_is_the_network(section, backend):
    """Equal to 1e-5 of the largest value, gradients too: every network traced by the compiler, a small
    one compiled to its kernels."""
    torch.manual_seed(0)
    network = build(section, Shape(1, 8, 8)).train()
    with torch.no_grad():
        for p in network.parameters():  # layers that begin at zero would hide the others
            p.add_(0.1 * torch.randn(p.shape))
    expected = outputs(network, network, backend)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
    try:
        found = outputs(network, torch.compile(network, backend=backend), backend)
    except torch._dynamo.exc.BackendCompilerFailed as error:
        if "compiler" in str(error).lower():
            pytest.skip(f"no C++ compiler for torch.compile: {str(error).splitlines()[0]}")
        raise
    for mine, theirs in zip(found, expected, strict=True):
        largest = max(float(theirs.abs().max()), 1.0)
        assert float((mine - theirs).abs().max()) <= 1e-5 * largest
