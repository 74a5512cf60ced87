"""Untrained weights as Published, for tests of what can be done with weights."""

import numpy as np
import torch

from kelvin.config.resolve import merge
from kelvin.config.schema import RunConfig
from kelvin.networks import Shape
from kelvin.restoration import assemble
from kelvin.training.fitting import fit_process
from kelvin.weights import Published

SHAPE = Shape(1, 8, 8)
NETWORK = {"kind": "unet", "channels": 8, "multipliers": [1], "blocks": 1}
DDIM = {"kind": "ddim", "steps": 10, "eta": 0.0}
ANCESTRAL = {"kind": "ancestral", "steps": 10}
IMPROVED = {"kind": "improved", "steps": "all", "z": "kept"}
SAMPLERS = {"ddpm-best": DDIM, "blur-strong": IMPROVED, "tied-pixels": IMPROVED,
            "tied-mask-noise": {**DDIM, "steps": 5}, "guided": ANCESTRAL}


def untrained(params, name, sampler, seed=0):
    """The run `name` with a small network of the seed, its process fitted to 80 images of noise."""
    run = RunConfig(**merge(params.run(name).model_dump(), {"network": NETWORK}))
    torch.manual_seed(seed)
    restorer = assemble.build(run, SHAPE, classes=10)
    fit_process(restorer, np.random.default_rng(0).integers(0, 256, (80, 1, 8, 8), np.uint8), None)
    restorer.network.eval().requires_grad_(False)
    for parameter in restorer.network.parameters():  # the last layer starts at zero
        parameter += 0.1 * torch.randn_like(parameter)
    return Published(restorer, run.model_dump(), sampler, {"run": name})
