"""A small training on digits, for tests and for the scripts that they start."""

import numpy as np
import torch

from kelvin.common.hardware import Precision
from kelvin.config.resolve import merge
from kelvin.config.schema import RunConfig
from kelvin.networks import Shape
from kelvin.restoration import assemble
from kelvin.training.checkpoint import Checkpoint
from kelvin.training.fitting import fit_process
from kelvin.training.loop import Trainer

SHAPE = Shape(1, 8, 8)
SAMPLER = {"kind": "improved", "steps": "all", "z": "kept"}
FP32 = Precision("no", False)


def digits(n):
    from sklearn.datasets import load_digits

    return (load_digits().images[:n, None] * 255 / 16).round().astype(np.uint8)


def config(params, run="blur-strong", **training):
    small = {"network": {"kind": "unet", "channels": 8, "multipliers": [1], "blocks": 1},
             "training": {"epochs": 4, "batch": 32, "sample_every": 2, "checkpoint_every": 1,
                          **training},
             "sampling": {"epoch_images": 4, "batch": 4}}
    lr = small["training"].pop("lr", None)  # set unchecked: params.yaml takes none that diverges at once
    run = RunConfig(**merge(params.run(run).model_dump(), small))
    return run if lr is None else run.model_copy(
        update={"training": run.training.model_copy(update={"lr": lr})})


def make(run, folder, name="a", seed=0, n=128, sampler=SAMPLER, *, precision):
    torch.manual_seed(seed)
    restorer = assemble.build(run, SHAPE)
    images = digits(n + 64)
    fit_process(restorer, images[:n], None)
    return Trainer(run, restorer, images[:n], images[n:], seed, sampler, precision,
                   Checkpoint(name, folder))
