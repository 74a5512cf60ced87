"""The training step on a real CUDA device: as a graph, compiled, and over a whole training.

Draws of CUDA's kernels are the same in a graph and out of it, sums of its convolutions are not: losses
are compared to 1e-3 over the first updates, trainings by what they learnt.
"""

import logging

import pytest
import stepping
import torch
from conftest import own_params
from stepping import FP32

from kelvin.common.errors import KelvinError
from kelvin.common.hardware import Precision
from kelvin.common.streams import derive_seed, stream_on
from kelvin.training.capturing import captured, tried, updater

pytestmark = [pytest.mark.cuda, pytest.mark.skipif(
    not torch.cuda.is_available(), reason="there is no CUDA device here: run this file on one")]
CASES = stepping.cases(own_params())
HOT = CASES["weighting simple"]


@pytest.fixture(autouse=True)
def exact_products(monkeypatch):
    """fp32 means 32 bits here, and kernels that add in one order."""
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)


def test_a_stream_named_anew_draws_the_same():
    source = stream_on(torch.device("cuda"))
    drawn = []
    for _ in range(2):
        source.manual_seed(derive_seed("a"))
        drawn.append(torch.randn(1000, generator=source, device="cuda"))
    assert source.device.type == "cuda" and torch.equal(*drawn)


@pytest.mark.parametrize("case", CASES)
def test_a_graph_does_what_the_step_does(params, tmp_path, case):
    """Same start, same draws: losses of ten updates to 1e-3, of fifty to a tenth in the mean."""
    plain, graphed = (stepping.make(params, CASES[case], tmp_path) for _ in range(2))
    update = tried(graphed.step, captured)
    assert update is not graphed.step
    losses, norms = stepping.stepped(plain)
    found, _ = stepping.stepped(graphed, update)
    torch.testing.assert_close(found[:10], losses[:10], rtol=1e-3, atol=1e-5)
    assert float(found.mean()) == pytest.approx(float(losses.mean()), rel=0.1)
    assert torch.isfinite(norms).all() and losses[-10:].mean() != losses[:10].mean()


def test_replays_draw_anew(params, tmp_path):
    """One batch, one rate of zero: only t and z differ from replay to replay."""
    one = stepping.make(params, HOT, tmp_path)
    update = tried(one.step, captured)
    one.step.start(1, [0.0] * one.batches)
    one.step.order.copy_(one.step.order[:1].expand_as(one.step.order))
    for _ in range(one.batches):
        update()
    assert len(set(one.step.losses.tolist())) == one.batches


def test_the_rates_and_averages_are_those_of_their_update(params, tmp_path):
    one = stepping.make(params, HOT, tmp_path)
    update = tried(one.step, captured)
    before = [p.clone() for p in one.bare.parameters()]
    one.step.start(1, [0.0] * 5 + [1e-3] * (one.batches - 5))
    for _ in range(5):
        update()
    assert all(torch.equal(a, b) for a, b in zip(before, one.bare.parameters(), strict=True))
    update()
    assert not all(torch.equal(a, b) for a, b in zip(before, one.bare.parameters(), strict=True))
    assert float(one.step.rate) == pytest.approx(1e-3)


@pytest.mark.parametrize("precision", [FP32, Precision("bf16", True)], ids=lambda p: p.name)
def test_a_training_learns_resumes_and_says_how_it_ran(params, tmp_path, caplog, precision):
    one = stepping.make(params, HOT, tmp_path, precision, epochs=20, checkpoint_every=10)
    one.keep_samples = lambda epoch: None
    with caplog.at_level(logging.INFO, "kelvin"):
        history = one.run().history
    assert "training step: one CUDA graph; network not compiled" in caplog.text
    assert history[-1]["val_loss"] < history[0]["val_loss"] and len(history) == 20
    longer = stepping.make(params, HOT, tmp_path, precision, epochs=22, checkpoint_every=10)
    longer.keep_samples = lambda epoch: None
    resumed = longer.run().history
    assert resumed[:20] == history and len(resumed) == 22


@pytest.mark.parametrize("options", [
    {"times": "importance"}, {"mmd": {"weight": 0.1, "multiples": [1.0]}}], ids=["importance", "mmd"])
def test_what_asks_for_numbers_is_launched(params, tmp_path, options, caplog):
    one = stepping.make(params, HOT, tmp_path, **options)
    one.keep_samples = lambda epoch: None
    with caplog.at_level(logging.INFO, "kelvin"):
        assert len(one.run().history) == stepping.EPOCHS
    assert "launched operation by operation" in caplog.text


def test_divergence_arrives_in_one_sentence(params, tmp_path):
    one = stepping.make(params, HOT, tmp_path)
    with torch.no_grad():
        next(one.bare.parameters()).fill_(float("nan"))
    with pytest.raises(KelvinError, match="the loss is nan at update 1 of 50"):
        one.run()


def test_a_compiled_network_in_a_graph(params, tmp_path, caplog):
    one, plain = (stepping.make(params, HOT, tmp_path, compile=c) for c in ("always", "never"))
    with caplog.at_level(logging.INFO, "kelvin"):
        update = updater(one.step, one.updates, one.checkpoint)
    assert "one CUDA graph; network compiled" in caplog.text
    torch.testing.assert_close(stepping.stepped(one, update)[0][:10], stepping.stepped(plain)[0][:10],
                               rtol=1e-2, atol=1e-4)
