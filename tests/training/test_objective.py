"""A batch's objective: the terms added to the target's error."""

import numpy as np
import pytest
import torch
from helpers import unit_images
from torch.distributions import Normal, kl_divergence
from tqdm import tqdm

from kelvin.common.errors import KelvinError
from kelvin.config.resolve import merge
from kelvin.config.schema import RunConfig
from kelvin.networks import Shape
from kelvin.restoration import assemble
from kelvin.restoration.variance import log_variance
from kelvin.sampling.likelihood import bits_per_dimension
from kelvin.sampling.trajectories import generate
from kelvin.training.checkpoint import Checkpoint
from kelvin.training.labels import Labels
from kelvin.training.loop import Trainer
from kelvin.training.objective import batch_mmd

SHAPE = Shape(1, 8, 8)
SAMPLER = {"kind": "ddim", "steps": 2, "eta": 0.0}


def config(params, training, restorer=None, like="ddpm-default", **more):
    small = {"network": {"kind": "unet", "channels": 8, "multipliers": [1], "blocks": 1},
             "training": {"epochs": 4, "batch": 32, "sample_every": 4, "checkpoint_every": 1, **training},
             "restorer": restorer or {}, "sampling": {"epoch_images": 4, "batch": 4}, **more}
    return RunConfig(**merge(params.run(like).model_dump(), small))


def make(run, folder, name="a", classes=0, *, precision):
    torch.manual_seed(0)
    restorer = assemble.build(run, SHAPE, classes=classes)
    images = (unit_images(96, restorer.image) * 255).round().to(torch.uint8).numpy()
    truth = np.arange(96) % 10
    labels = Labels(truth, {"train": truth[:32], "val": truth[:32]}, 10, 0.1, 0) if classes else None
    return Trainer(run, restorer, images, images[:32], 0, SAMPLER, precision,
                   Checkpoint(name, folder), labels)


def test_the_mmd_term_is_added_and_off_it_changes_nothing(params, tmp_path, trainer):
    """The loss is the plain one plus weight times the MMD of x0_hat, rebuilt from eps (1e-6)."""
    on, off = (trainer(config(params, {"mmd": {"weight": w, "multiples": [0.5, 1.0]}}),
                       tmp_path, str(w)) for w in (3.0, 0.0))
    off.step.source.manual_seed(0)
    x0, z, t = off.step.batch(torch.arange(32))
    made = off.step.predict(off.network, x0, z, t)
    plain = off.objective.losses(made).mean()
    assert torch.equal(off.objective.together(made, off.objective.per_image(made)), plain)
    signal, noise = (table[t].view(-1, 1, 1, 1).float() for table in (
        off.restorer.degradation.signal, off.restorer.degradation.noise))
    x0_hat = (signal * x0 + noise * z - noise * made.prediction) / signal
    expected = plain + 3 * batch_mmd(x0_hat, x0, [0.5, 1.0])
    found = on.objective.together(made, on.objective.per_image(made))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert float(expected.detach() - plain.detach()) > 0.01
    assert on.epoch(1, tqdm(disable=True))["running_loss"] > 0


def test_mmd_of_one_image_is_refused(params, tmp_path, trainer):
    with pytest.raises(KelvinError, match="training.mmd compares sets of images, but a process has 1"):
        trainer(config(params, {"batch": 1, "mmd": {"weight": 1.0}}), tmp_path)


def test_importance_resumes_exactly(params, tmp_path, trainer):
    """A history in the making is part of the checkpoint: four epochs cut after two are the whole."""
    run = config(params, {"times": "importance"}, schedule={"steps": 6})
    whole, cut = trainer(run, tmp_path, "whole"), trainer(run, tmp_path, "cut")
    whole.run()
    state_of = cut.state

    def stop(epoch):
        if epoch == 3:
            raise KeyboardInterrupt
        return state_of(epoch)

    cut.state = stop
    with pytest.raises(KeyboardInterrupt):
        cut.run()
    after = trainer(run, tmp_path, "cut")
    assert after.run().history == whole.result.history
    assert int(whole.step.times.counts.sum()) == 4 * 96 and int(whole.step.times.counts.min()) >= 10
    assert all(torch.equal(a, b) for a, b in zip(whole.step.times.state().values(),
                                                 after.step.times.state().values(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(whole.bare.state_dict().values(),
                                                 after.bare.state_dict().values(), strict=True))


@pytest.mark.parametrize("name", ["ddpm-mmd", "ddpm-importance", "ddpm-zero-snr",
                                  "ddpm-learned-variance"])
@pytest.mark.parametrize("classes", [0, 10])
def test_runs_of_the_study_train_survive_their_file_and_sample(params, tmp_path, name, classes, trainer):
    """One epoch; the restorer read back draws what the trainer's does, guided by a class or not, and its
    bound is finite."""
    told = {"conditioning": {"kind": "classes", "drop": 0.1}} if classes else {}
    run = config(params, {"epochs": 1}, like=name, **told)
    one = trainer(run, tmp_path, name, classes=classes)
    one.run()
    assemble.save(tmp_path / "w.safetensors", one.bare, one.restorer, run, SHAPE)
    back, drawn = assemble.load(tmp_path / "w.safetensors"), []
    labels = torch.arange(4) if classes else None
    for restorer in (one.restorer, back):
        drawn.append(generate(restorer, {"kind": "ancestral", "steps": 4}, 4, (0,), 4, labels=labels,
                              guidance=2.0).images)
    torch.testing.assert_close(*drawn, rtol=0, atol=1e-3)  # another memory layout, another rounding
    images = (unit_images(4, back.image) * 16).round() / 16
    assert torch.isfinite(bits_per_dimension(back, images, 17, (0,), times=4).total).all()


def test_the_hybrid_loss_adds_the_bound_and_spares_the_mean(params, tmp_path, trainer):
    """Cost of each image against torch.distributions (1e-4), none at t = 1; from the bound alone the
    prediction's channels of the last layer get no gradient and v's do."""
    plain, one = (trainer(config(params, {"vlb": vlb}, {"variance": "learned"}), tmp_path, str(vlb))
                  for vlb in (0.0, 0.5))
    process = one.restorer.degradation
    one.step.source.manual_seed(0)
    x0, z, t = one.step.batch(torch.arange(32))
    t[:3] = torch.tensor([1, 2, 1000])
    made = one.step.predict(one.network, x0, z, t)
    added = one.objective.per_image(made) - plain.objective.per_image(made)
    x0_hat, late = one.restorer.x0_hat(made.prediction, made.x_t, t), t.clamp(min=2)
    (q, std), (p, _) = (process.posterior(made.x_t.double(), x.double(), late, late - 1)
                        for x in (x0, x0_hat))
    sigma = (log_variance(process, made.v, late, late - 1) / 2).exp()
    kl = kl_divergence(Normal(q, std.expand_as(q)), Normal(p, sigma)).flatten(1).mean(1)
    expected = (0.5 * process.steps * kl / np.log(2) * (t > 1)).float()
    torch.testing.assert_close(added, expected, rtol=1e-4, atol=1e-4)
    assert added[0] == 0 and float(added[1:].min().detach()) > 0
    one.objective.bound(made).mean().backward()
    assert not one.bare.out.bias.grad[0] and not one.bare.out.weight.grad[0].any()
    assert one.bare.out.bias.grad[1].abs() > 0
