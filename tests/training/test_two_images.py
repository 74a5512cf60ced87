"""Every objective drives a two-image problem to near zero; a learned variance tightens the bound."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from tqdm import tqdm

from kelvin import degradations
from kelvin.config.resolve import merge
from kelvin.config.schema import RunConfig
from kelvin.networks import Shape
from kelvin.restoration import assemble
from kelvin.restoration.restorer import Restorer
from kelvin.sampling.likelihood import bits_per_dimension
from kelvin.training.checkpoint import Checkpoint
from kelvin.training.loop import Trainer

SAMPLER = {"kind": "ddim", "steps": 2, "eta": 0.0}
# at every t the noise leaves no doubt which of an image and its negative it hides
CLEAR = {"kind": "linear", "steps": 8, "beta_min": 0.3, "beta_max": 0.05}
DOUBT = {"kind": "matched", "steps": 20, "beta_min": 0.01, "alpha_bar_end": 1e-3}
MMD = {"weight": 0.1, "multiples": [0.5, 1.0, 2.0]}


class Perceptron(nn.Module):
    """What every target needs and no more: x_t times a function of the time, and a hidden layer."""

    def __init__(self, outputs):
        super().__init__()
        self.gain = nn.Sequential(nn.Linear(1, 32), nn.SiLU(), nn.Linear(32, outputs))
        self.rest = nn.Sequential(nn.Linear(65, 32), nn.Tanh(), nn.Linear(32, 64 * outputs))
        self.outputs = outputs

    def forward(self, x, time):
        told = torch.cat([x.flatten(1), time[:, None]], 1)
        gain = self.gain(time[:, None]).view(-1, self.outputs, 1, 1)
        return gain * x + self.rest(told).view(-1, self.outputs, 8, 8)


def make(params, folder, schedule, training, parameterisation, variance, updates=200, *,
         precision):
    """A trainer after one epoch of so many updates on two images, and its first and last loss."""
    one = np.random.default_rng(0).integers(0, 2, (1, 1, 8, 8), np.uint8) * 255
    images = np.tile(np.concatenate([one, 255 - one]), (16 * updates, 1, 1, 1))
    run = RunConfig(**merge(params.run("ddpm-default").model_dump(), {
        "schedule": schedule, "restorer": {"parameterisation": parameterisation, "variance": variance},
        "training": {"epochs": 1, "batch": 32, "lr": 3e-2, "warmup": 0.1, **training}}))
    image = assemble.image_spec(run, Shape(1, 8, 8))
    process = degradations.build(image, {"kind": "gaussian-noise"}, schedule, {"kind": "normal"})
    torch.manual_seed(0)
    restorer = Restorer(Perceptron(2 if variance == "learned" else 1), parameterisation, process, image,
                        True, variance=variance)
    trainer = Trainer(run, restorer, images, images[:64], 0, SAMPLER, precision,
                      Checkpoint("a", folder))
    before = trainer.evaluate(trainer.bare, "val")
    trainer.epoch(1, tqdm(disable=True))
    return trainer, before, trainer.evaluate(trainer.bare, "val")


@pytest.mark.parametrize(("loss", "weighting", "parameterisation", "times", "mmd", "variance"), [
    ("l2", "simple", "eps", "uniform", False, "fixed"),
    ("l1", "simple", "x0", "stratified", False, "fixed"),
    ("huber", "min-snr", "v", "importance", False, "fixed"),
    ("l2", "vlb", "x0", "importance", True, "fixed"),
    ("l2", "p2", "velocity", "stratified", True, "fixed"),
    ("l1", "p2", "eps", "importance", True, "fixed"),
    ("l2", "min-snr", "x0", "uniform", True, "learned"),
    ("l2", "vlb", "v", "stratified", False, "learned"),
    ("huber", "simple", "velocity", "importance", True, "learned")])
def test_every_objective_learns_two_images(params, tmp_path, loss, weighting, parameterisation, times,
                                           mmd, variance, trainer):
    """200 updates: the loss falls below 4 % of the untrained network's (L1, a root: below 20 %)."""
    training = {"loss": loss, "weighting": {"kind": weighting}, "times": times,
                "mmd": MMD if mmd else {"weight": 0.0}}
    _, before, after = trainer(params, tmp_path, CLEAR, training, parameterisation, variance)
    assert after < (0.2 if loss == "l1" else 0.04) * before


def test_a_learned_variance_tightens_the_bound(params, tmp_path, trainer):
    """Where two images can be meant, the posterior of one is too narrow: with the same x0_hat and the
    same draws the learned variance's sum of L_t is lower by a tenth at least."""
    one, *_ = trainer(params, tmp_path, DOUBT, {}, "v", "learned", 300)
    learned, fixed = one.restorer, copy.copy(one.restorer)
    learned.network = one.bare.eval()
    fixed.variance, fixed.network = "fixed", lambda x, time: one.bare(x, time)[:, :1]
    images = one.images[:32].float() / 255
    tight, loose = (bits_per_dimension(r, images, 2, (0,)).lt.mean() for r in (learned, fixed))
    assert tight < 0.9 * loose
