"""Early stopping: by hand, in the trainer, and across a kill."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from kelvin.config.resolve import merge
from kelvin.config.schema import RunConfig
from kelvin.networks import Shape
from kelvin.restoration import assemble
from kelvin.training.checkpoint import Checkpoint
from kelvin.training.fitting import fit_process
from kelvin.training.loop import Trainer
from kelvin.training.stopping import Verdict, judged


def config(params, **training):
    small = {"network": {"kind": "unet", "channels": 8, "multipliers": [1], "blocks": 1},
             "training": {"batch": 32, "sample_every": 4, **training},
             "sampling": {"epoch_images": 4, "batch": 4}}
    return RunConfig(**merge(params.run("blur-strong").model_dump(), small))


def make(run, folder, name="a", *, precision):
    torch.manual_seed(0)
    restorer = assemble.build(run, Shape(1, 8, 8))
    images = (load_digits().images[:160, None] * 255 / 16).round().astype(np.uint8)
    fit_process(restorer, images[:128], None)
    return Trainer(run, restorer, images[:128], images[128:], 0,
                   {"kind": "improved", "steps": "all", "z": "kept"}, precision,
                   Checkpoint(name, folder))


HAND = [5.0, 4.0, 4.5, 3.9, 3.9, 4.2, 3.95, 1.0]  # best 4; with patience 3 epochs 5, 6, 7 are no better


@pytest.mark.parametrize("count, patience, gain, verdict", [
    (1, 3, 0.0, Verdict(1, None)), (4, 3, 0.0, Verdict(4, None)), (6, 3, 0.0, Verdict(4, None)),
    (7, 3, 0.0, Verdict(4, 7)), (8, 3, 0.0, Verdict(4, 7)),  # what follows the stop changes nothing
    (8, 4, 0.0, Verdict(8, None)), (8, 1, 0.0, Verdict(2, 3)),
    (8, 3, 0.2, Verdict(2, 5)),  # 3.9 is not more than 0.2 below 4.0
])
def test_a_sequence_by_hand(count, patience, gain, verdict):
    assert judged(HAND[:count], patience, gain) == verdict


def fake(one, ema_losses):
    """The trainer's evaluation of the EMA weights replaced by a sequence, one value an epoch."""
    honest = one.evaluate

    def evaluate(network, split):
        if network is one.ema.network:
            return ema_losses[len(one.result.history)]
        return honest(network, split)

    one.evaluate = evaluate
    return one


def weights(network):
    return torch.cat([v.flatten().clone() for v in network.state_dict().values()])


def test_stops_keeps_the_best_weights_and_resumes_to_the_same(params, tmp_path, trainer):
    losses = [3.0, 2.0, 2.5, 2.2, 1.0, 1.0, 1.0, 1.0]
    run = config(params, epochs=8, checkpoint_every=3, stop={"patience": 2, "gain": 0.0})
    whole, at = fake(trainer(run, tmp_path, "whole"), losses), {}
    keep = whole.keep_best
    whole.keep_best = lambda epoch: (keep(epoch), at.update(
        {epoch: (weights(whole.bare), weights(whole.ema.network))}))
    result = whole.run()
    assert [row["epoch"] for row in result.history] == [1, 2, 3, 4] and result.epochs[-1] == 4
    assert whole.verdict() == Verdict(2, 4)
    assert whole.updates == 8 * whole.batches  # the learning rate's horizon stays that of 8 epochs
    for mine, wanted, last in zip((weights(whole.bare), weights(whole.ema.network)), at[2], at[4],
                                  strict=True):
        assert torch.equal(mine, wanted) and not torch.equal(mine, last)

    cut = fake(trainer(run, tmp_path, "cut"), losses)  # dies in epoch 4, after the checkpoint of epoch 3
    epoch_of = cut.epoch

    def dies(epoch, bar):
        if epoch == 4:
            raise KeyboardInterrupt
        return epoch_of(epoch, bar)

    cut.epoch = dies
    with pytest.raises(KeyboardInterrupt):
        cut.run()
    resumed = fake(trainer(run, tmp_path, "cut"), losses)
    resumed.run()
    for a, b in ((whole.bare, resumed.bare), (whole.ema.network, resumed.ema.network)):
        assert torch.equal(weights(a), weights(b))
    again = fake(trainer(run, tmp_path, "cut"), losses)  # killed after its last checkpoint
    assert len(again.run().history) == 4
    assert torch.equal(weights(again.ema.network), weights(whole.ema.network))


def test_off_by_default(params, tmp_path, trainer):
    one = trainer(config(params, epochs=1), tmp_path)
    one.run()
    assert one.verdict() is None and not one.best and "best" not in one.checkpoint.load()
