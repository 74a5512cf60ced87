"""Labels in training: dropped at the rate, from their own stream, true where losses are evaluated."""

import numpy as np
import pytest
import torch
from tqdm import tqdm

from kelvin.common.errors import KelvinError
from kelvin.config.resolve import merge
from kelvin.config.schema import RunConfig
from kelvin.networks import Shape
from kelvin.restoration import assemble
from kelvin.training.checkpoint import Checkpoint
from kelvin.training.fitting import fit_process
from kelvin.training.labels import Labels
from kelvin.training.loop import Trainer

SHAPE = Shape(1, 8, 8)
SAMPLER = {"kind": "improved", "steps": "all", "z": "kept"}
CLASSES = {"conditioning": {"kind": "classes", "drop": 0.25}}


def labels(n=50_000, drop=0.1, seed=0):
    return Labels(np.arange(n) % 10, {"val": np.arange(40) % 10}, 10, drop, seed)


@pytest.mark.parametrize("drop", [0.1, 0.5])
def test_dropped_at_the_rate_and_never_changed(drop):
    """Of 200,000 draws: within 4 standard deviations of the rate, in all and for every class (a right
    rate fails once in 16,000 each); a label that stays is the image's own."""
    made = labels(drop=drop)
    index = torch.arange(50_000).flip(0)
    drawn = torch.stack([made.draw(index) for _ in range(4)])
    null, true = drawn == 10, (index % 10).expand(4, -1)
    assert torch.equal(drawn[~null], true[~null])
    for share, n in ((null.double().mean(), 200_000),
                     *((null[true == k].double().mean(), 20_000) for k in range(10))):
        assert abs(float(share) - drop) < 4 * (drop * (1 - drop) / n) ** 0.5
    assert not torch.equal(null[0], null[1])  # not the same images every time


def test_streams_by_epoch_and_seed():
    index, made = torch.arange(1000), labels()
    made.start(3)
    third = made.draw(index)
    made.start(4)
    fourth = made.draw(index)
    made.start(3)
    assert torch.equal(made.draw(index), third) and not torch.equal(third, fourth)
    other = labels(seed=1)
    other.start(3)
    assert not torch.equal(other.draw(index), third)
    made.start(3)
    parts = made.draw(index, slice(1, None, 2))  # a process draws all and takes its share
    assert torch.equal(parts, third[1::2])


def test_held_labels_are_true():
    assert labels(drop=0.9).held("val", slice(5, 12)).tolist() == [5, 6, 7, 8, 9, 0, 1]


def test_labels_outside_are_refused():
    with pytest.raises(KelvinError, match="labels run from 0 to 3, but the network knows the classes 0 "
                                          "to 1"):
        Labels(np.array([0, 3]), {}, 2, 0.1, 0)


def config(params, like="blur-strong", **training):
    small = {"network": {"kind": "unet", "channels": 16, "multipliers": [1], "blocks": 1},
             "training": {"epochs": 4, "batch": 32, "sample_every": 2, "checkpoint_every": 1,
                          **training},
             "sampling": {"epoch_images": 4, "batch": 4}}
    return RunConfig(**merge(params.run(like).model_dump(), small))


def make(run, folder, name, told, *, precision):
    from sklearn.datasets import load_digits

    torch.manual_seed(0)
    restorer, data = assemble.build(run, SHAPE, classes=10), load_digits()
    images, truth = (data.images[:96, None] * 255 / 16).round().astype(np.uint8), data.target
    fit_process(restorer, images[:64], None)
    beside = Labels(truth[:64], {"train": truth[:32], "val": truth[64:96]}, 10, 0.25, 0) if told \
        else None
    return Trainer(run, restorer, images[:64], images[64:], 0, SAMPLER, precision,
                   Checkpoint(name, folder), labels=beside)


def conditional(params, like="blur-strong", **training):
    return RunConfig(**merge(config(params, like, **training).model_dump(), CLASSES))


def test_z_t_and_order_are_those_of_the_unconditional_run(params, tmp_path, monkeypatch, trainer):
    seen = []
    for name, run, told in (("a", config(params, "ddpm-default"), False),
                            ("b", conditional(params, "ddpm-default"), True)):
        one, batches = trainer(run, tmp_path, name, told), []

        def keep(network, x0, z, t, *more, predicted=one.step.predict, into=batches):
            into.append((x0, z, t))
            return predicted(network, x0, z, t, *more)

        monkeypatch.setattr(one.step, "predict", keep)
        one.epoch(1, tqdm(disable=True))
        seen.append(batches)
    assert len(seen[0]) == 2
    for mine, theirs in zip(*seen, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


def test_a_conditional_run_resumes_exactly_and_its_loss_is_conditional(params, tmp_path, trainer):
    run = conditional(params)
    whole = trainer(run, tmp_path, "whole", True)
    whole.run()
    cut = trainer(run, tmp_path, "cut", True)
    state_of = cut.state

    def stop(epoch):
        if epoch == 3:
            raise KeyboardInterrupt
        return state_of(epoch)

    cut.state = stop
    with pytest.raises(KeyboardInterrupt):
        cut.run()
    after = trainer(run, tmp_path, "cut", True)
    assert after.run().history == whole.result.history
    assert all(torch.equal(a, b) for a, b in zip(whole.bare.state_dict().values(),
                                                 after.bare.state_dict().values(), strict=True))
    value = whole.evaluate(whole.bare, "val")
    assert value == whole.result.history[-1]["val_loss"]
    whole.labels.of["val"] = (whole.labels.of["val"] + 1) % 10
    assert abs(whole.evaluate(whole.bare, "val") / value - 1) > 1e-4  # far above rounding


def test_weights_survive_the_file(params, tmp_path, trainer):
    run = conditional(params, epochs=1)
    one = trainer(run, tmp_path, "a", True)
    one.run()
    assemble.save(tmp_path / "w.safetensors", one.ema.network, one.restorer, run, SHAPE)
    back = assemble.load(tmp_path / "w.safetensors")
    x, t = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([1, 5])
    one.restorer.network = one.ema.network
    found, other = (back.conditional(torch.tensor(asked), 2.0)(x, t).x0_hat for asked in ([3, 7], [4, 7]))
    torch.testing.assert_close(found, one.restorer.conditional(torch.tensor([3, 7]), 2.0)(x, t).x0_hat)
    assert (found - other)[0].abs().max() > 1e-3  # the class counts
