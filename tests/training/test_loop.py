"""Training: repeatable, resumable (after a real kill: test_killed_stage.py), honest, able to learn."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from tqdm import tqdm
from trainers import FP32, SAMPLER, SHAPE, config, digits, make

from kelvin.common.errors import KelvinError
from kelvin.common.hardware import Precision
from kelvin.restoration import assemble
from kelvin.training.checkpoint import Checkpoint
from kelvin.training.ema import EMA
from kelvin.training.loop import Trainer


def test_same_seed_same_weights_and_resume_is_exact(params, tmp_path, trainer):
    run = config(params)
    whole = trainer(run, tmp_path, "whole")
    result = whole.run()
    again = trainer(run, tmp_path, "again")
    again.run()
    cut = trainer(run, tmp_path, "cut")
    state_of = cut.state

    def stop_after_two(epoch):  # the process dies right after its second checkpoint
        if epoch == 3:
            raise KeyboardInterrupt
        return state_of(epoch)

    cut.state = stop_after_two
    with pytest.raises(KeyboardInterrupt):
        cut.run()
    resumed = trainer(run, tmp_path, "cut")
    assert resumed.checkpoint.load()["epoch"] == 2
    after = resumed.run()
    for other in (again, resumed):
        for mine, theirs in ((whole.bare, other.bare), (whole.ema.network, other.ema.network)):
            for a, b in zip(mine.state_dict().values(), theirs.state_dict().values(), strict=True):
                assert torch.equal(a, b)
    assert result.history == after.history and result.epochs == after.epochs == [1, 2, 4]
    assert all(torch.equal(a, b) for a, b in zip(result.samples, after.samples, strict=True))
    other_seed = trainer(run, tmp_path, "other", seed=1)
    other_seed.run()
    assert not torch.equal(next(iter(whole.bare.parameters())), next(iter(other_seed.bare.parameters())))


def test_losses_fall_and_validation_is_taken_after_the_epoch(params, tmp_path, trainer):
    """Both losses are evaluated after the epoch on fixed t and z: twice the same number."""
    one = trainer(config(params, epochs=12), tmp_path)
    history = one.run().history
    assert history[-1]["val_loss"] < 0.7 * history[0]["val_loss"]
    assert history[-1]["train_loss"] == one.evaluate(one.bare, "train")
    assert history[-1]["val_loss_ema"] == one.evaluate(one.ema.network, "val")


def test_every_time_is_trained(params, tmp_path):
    one, seen = make(config(params), tmp_path, precision=FP32), set()
    one.step.source.manual_seed(0)
    for _ in range(40):
        seen |= set(one.step.batch(torch.arange(32))[2].tolist())
    assert seen == set(range(1, one.restorer.degradation.steps + 1))


def test_simple_weighting_changes_no_bit(params, tmp_path, trainer):
    one = trainer(config(params), tmp_path)
    assert torch.equal(one.objective.weights, torch.ones(one.restorer.degradation.steps + 1))
    one.step.source.manual_seed(0)
    x0, z, t = one.step.batch(torch.arange(32))
    gradients = []
    for weight in (one.objective.weights[t], None):
        losses = one.step.losses_of(one.network, x0, z, t)
        (losses if weight is None else weight * losses).mean().backward()
        gradients.append([p.grad.clone() for p in one.bare.parameters()])
        one.bare.zero_grad()
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_vlb_weighting_trains_by_the_bound_and_validates_without(params, tmp_path, trainer):
    """The first update's loss is the weighted mean; the validation loss is the simple run's number."""
    plain, vlb = (trainer(config(params, "ddpm-default", epochs=1, weighting={"kind": w}), tmp_path, w)
                  for w in ("simple", "vlb"))
    for split in ("train", "val"):
        assert plain.evaluate(plain.bare, split) == vlb.evaluate(vlb.bare, split)
    seen, compute = [], vlb.objective.losses

    def losses(made):
        out = compute(made)
        seen.append(float((vlb.objective.weights[made.t].double() * out.detach().double()).mean()))
        return out

    vlb.objective.losses = losses
    row = vlb.epoch(1, tqdm(disable=True))
    assert row["running_loss"] == pytest.approx(np.mean(seen), rel=1e-5)
    unweighted = plain.epoch(1, tqdm(disable=True))
    assert unweighted["running_loss"] != pytest.approx(row["running_loss"], rel=1e-2)


def test_vlb_weighting_without_a_bound_is_refused_before_training(params, tmp_path):
    with pytest.raises(KelvinError, match="of a hot process, but gaussian-blur is cold"):
        make(config(params, weighting={"kind": "vlb"}), tmp_path, precision=FP32)
    with pytest.raises(KelvinError, match="weights squared errors, but training.loss = 'l1'"):
        make(config(params, "ddpm-vlb", loss="l1"), tmp_path, precision=FP32)


def test_nan_is_one_sentence(params, tmp_path, trainer):
    one = trainer(config(params, lr=1e-3), tmp_path)
    with torch.no_grad():
        next(one.bare.parameters()).fill_(float("nan"))
    with pytest.raises(KelvinError, match=r"diverged: the loss is nan at update 1 of 16; try a lower"):
        one.run()


def test_more_batch_than_data_is_refused(params, tmp_path):
    with pytest.raises(KelvinError, match="training.batch = 32 is more than the 20 training images"):
        make(config(params), tmp_path, n=20, precision=FP32)


def test_learning_rate_warms_up_and_decays(params, tmp_path):
    one = make(config(params, lr=1.0, warmup=0.25, decay="cosine"), tmp_path, precision=FP32)
    rates = [one.learning_rate(u) for u in range(16)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0] and rates[4] == 1.0
    assert all(a > b for a, b in zip(rates[4:], rates[5:], strict=False)) and 0 < rates[-1] < 0.05
    flat = make(config(params, lr=1.0, warmup=0.0, decay="constant"), tmp_path, precision=FP32)
    assert {flat.learning_rate(u) for u in range(16)} == {1.0}


@pytest.mark.parametrize("decay", ["constant", "cosine"])
@pytest.mark.parametrize(("epochs", "n", "warmup"), [
    (1, 32, 0.1), (2, 128, 0.1), (1, 352, 0.1), (4, 128, 0.9), (7, 1024, 0.1), (1, 64, 0.99),
    (3, 96, 0.37)])
def test_the_learning_rate_never_exceeds_lr(params, tmp_path, epochs, n, warmup, decay):
    """Also where warmup times the updates is no whole number; it rises until there, then only falls."""
    one = make(config(params, lr=2e-3, warmup=warmup, decay=decay, epochs=epochs), tmp_path, n=n,
               precision=FP32)
    rates = [one.learning_rate(u) for u in range(one.updates)]
    assert min(rates) > 0 and max(rates) <= 2e-3
    whole = int(warmup * one.updates)  # updates that lie wholly within the warm-up: the line through 0
    assert rates[:whole] == pytest.approx([2e-3 * (u + 1) / (warmup * one.updates) for u in range(whole)])
    assert rates[whole:] == sorted(rates[whole:], reverse=True)


def test_ema_against_its_definition_and_buffers():
    net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    ema, expected = EMA(net, 0.9), net[0].weight.detach().clone()
    for k in range(1, 30):
        with torch.no_grad():
            net[0].weight.add_(0.1)
            net[1].running_mean.add_(1.0)
        ema.update(net, torch.tensor(ema.share(k)))
        decay = min(0.9, (1 + k) / (10 + k))
        expected = decay * expected + (1 - decay) * net[0].weight.detach()
    torch.testing.assert_close(ema.network[0].weight, expected)
    assert torch.equal(ema.network[1].running_mean, net[1].running_mean)


def test_bf16_agrees_with_fp32(params, tmp_path):
    """Autocast and channels_last change the loss of one batch by less than 2 %; trainers of different
    precision live in one process, and each keeps its own."""
    trainers, run = {}, config(params, "ddpm-default")
    for mixed, last in (("no", False), ("no", True), ("bf16", True), ("bf16", False)):
        torch.manual_seed(0)
        one = Trainer(run, assemble.build(run, SHAPE), digits(64), digits(64), 0, SAMPLER,
                      Precision(mixed, last), Checkpoint(f"{mixed}{last}", tmp_path))
        torch.manual_seed(1)
        with torch.no_grad():  # zero-initialised layers would hide the difference
            for p in one.bare.parameters():
                p.add_(0.05 * torch.randn(p.shape))
        trainers[mixed, last] = one
    for _ in range(2):  # after all are made, and each after the others have worked
        losses = {}
        for key, one in trainers.items():
            one.step.source.manual_seed(0)
            batch = one.step.batch(torch.arange(32))
            losses[key] = float(one.step.losses_of(one.network, *batch).detach().mean())
        assert losses["no", True] == pytest.approx(losses["no", False], rel=1e-5)
        for last in (True, False):
            assert losses["bf16", last] == pytest.approx(losses["no", False], rel=2e-2)
            assert losses["bf16", last] != pytest.approx(losses["no", False], rel=1e-5)


def test_only_the_forward_pass_is_in_bf16(params, tmp_path):
    """Weights, gradients and the network outside of training stay fp32."""
    one = make(config(params, epochs=1), tmp_path, precision=Precision("bf16", False))
    kinds = set()
    hook = one.bare.out.register_forward_hook(lambda module, given, out: kinds.add(out.dtype))
    one.epoch(1, tqdm(disable=True))
    assert kinds == {torch.bfloat16}
    kinds.clear()
    one.bare(torch.zeros(1, 1, 8, 8), torch.zeros(1))
    assert kinds == {torch.float32}
    hook.remove()
    assert {p.dtype for p in one.bare.parameters()} == {torch.float32}


def test_mixed_precision_of_the_whole_process_is_refused(params, tmp_path):
    """Elsewhere in the process accelerate computes in bf16: it would wrap our network too."""
    script = tmp_path / "go.py"
    script.write_text(textwrap.dedent("""
        from accelerate import Accelerator
        from kelvin.common.errors import KelvinError
        from kelvin.common.hardware import make_accelerator
        Accelerator(mixed_precision="bf16")
        try:
            make_accelerator()
        except KelvinError as error:
            print(error)
    """))
    out = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True).stdout
    assert "with mixed_precision='no'" in out


def test_a_locked_checkpoint_is_refused(tmp_path):
    with Checkpoint("x", tmp_path).locked(), \
            pytest.raises(KelvinError, match="another process is training the same run"), \
            Checkpoint("x", tmp_path).locked():
        pass


def test_a_broken_checkpoint_says_what_to_do(tmp_path):
    checkpoint = Checkpoint("x", tmp_path)
    checkpoint.path.write_bytes(b"not a checkpoint")
    with pytest.raises(KelvinError, match="Delete it to start this run"):
        checkpoint.load()
