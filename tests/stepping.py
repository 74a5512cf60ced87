"""Small trainings of every kind for the tests of the training step, and the step written out plainly."""

import numpy as np
import torch
from tqdm import tqdm
from trainers import FP32, digits

from kelvin import degradations
from kelvin.common.hardware import pick_device
from kelvin.common.streams import BatchRandom, derive_seed, generator
from kelvin.config.resolve import merge
from kelvin.config.schema import RunConfig
from kelvin.networks import Conditioned, Shape
from kelvin.restoration import assemble
from kelvin.restoration.parameterisation import PARAMETERISATIONS
from kelvin.training.batches import draw_times
from kelvin.training.checkpoint import Checkpoint
from kelvin.training.fitting import fit_process
from kelvin.training.labels import Labels
from kelvin.training.loop import Trainer
from kelvin.training.objective import PredictedBatch
from kelvin.training.weightings import loss_per_image

IMAGES, BATCH, EPOCHS = 80, 8, 5  # 50 updates
LINEAR = {"kind": "linear", "steps": 20, "beta_min": 0.01, "beta_max": 0.3}
OWN = {"kind": "own", "steps": 6}
UNET = {"kind": "unet", "channels": 4, "multipliers": [1], "blocks": 1}


def examples(params):
    """kind of degradation -> a run of params.yaml that has it."""
    return {params.run(name).degradation.kind: name for name in params.runs}


def cases(params):
    """name -> (the run it is like, changed sections): every degradation, target, weighting, condition and
    learned variance that a graph may hold."""
    hot, runs = "ddpm-default", examples(params)
    found = {f"degradation {kind}": (runs[kind], {}) for kind in degradations.degradations.kinds()}
    for target in PARAMETERISATIONS:
        like = {"velocity": runs["interpolation"], "previous": runs["heat-dissipation"],
                "linear+": runs["averaging"]}.get(target, hot)
        found[f"target {target}"] = (like, {"restorer": {"parameterisation": target}})
    for kind in ("simple", "vlb", "min-snr", "p2"):
        found[f"weighting {kind}"] = (hot, {"training": {"weighting": {"kind": kind}}})
    return found | {
        "classes": (hot, {"conditioning": {"kind": "classes", "drop": 0.3}}),
        "learned variance": (hot, {"restorer": {"variance": "learned"}}),
        "stratified times, mirrored, two averages, no clipping": (hot, {"training": {
            "times": "stratified", "flip": True, "ema_more": [0.3], "grad_clip": None,
            "weight_decay": 0.1, "decay": "cosine"}}),
        "batch norm and dropout": (hot, {"network": {"kind": "unet-simple", "widths": [4, 8, 4],
                                                     "dropout": 0.3}})}


def make(params, case, folder, precision=FP32, **training):
    """A trainer of that case, on 80 digits, in batches of 8."""
    like, changes = case
    run = params.run(like)
    hot = degradations.degradations.find(run.degradation.kind).temperature == "hot"
    small = {"network": UNET, "schedule": LINEAR if hot else OWN,
             "prior": {"kind": "constant", "level": 0.5, "jitter": 0.0},
             "training": {"epochs": EPOCHS, "batch": BATCH, "lr": 2e-3, "warmup": 0.3, "compile": "never",
                          **training},
             "sampling": {"epoch_images": 4, "batch": 4}}
    run = RunConfig(**merge(merge(run.model_dump(), small), changes))
    torch.manual_seed(0)
    shape = Shape(3 if run.degradation.kind == "desaturate" else 1, 8, 8)
    restorer = assemble.build(run, shape, classes=10)
    images = np.repeat(digits(IMAGES + 40), shape.channels, 1)
    fit_process(restorer, images[:IMAGES], lambda: torch.from_numpy(images[IMAGES:]).float() / 255)
    truth = np.arange(IMAGES) % 10
    labels = None
    if isinstance(restorer.network, Conditioned):
        held = {"train": truth[:40], "val": truth[:40]}
        labels = Labels(truth, held, 10, restorer.network.drop, 0, pick_device())
    return Trainer(run, restorer, images[:IMAGES], images[IMAGES:], 0, {}, precision,
                   Checkpoint("a", folder), labels)


def plain(one):
    """Train `one` by the step as a reader would write it for a CPU, numbers on the host and all; returns
    losses, gradient norms and the averages' weights."""
    options, restorer, network = one.config.training, one.restorer, one.bare
    process, images = restorer.degradation, one.images
    optimizer = torch.optim.AdamW(network.parameters(), options.lr, fused=True,
                                  weight_decay=options.weight_decay)
    decays = [options.ema, *options.ema_more]
    averages = [[p.detach().clone() for p in network.parameters()] for _ in decays]
    losses, norms, update = [], [], 0
    conditional = isinstance(network, Conditioned)
    for epoch in range(1, options.epochs + 1):
        source, told = generator(0, "train", epoch), generator(0, "labels", epoch)
        torch.manual_seed(derive_seed(0, "network", epoch))
        order = torch.randperm(len(images), generator=source)
        network.train()
        for b in range(len(images) // options.batch):
            for group in optimizer.param_groups:
                group["lr"] = one.learning_rate(update)
            update += 1
            index = order[b * options.batch:(b + 1) * options.batch]
            t = draw_times(options.times, len(index), process.steps, source)
            z = process.draw(BatchRandom(len(index), source))
            chosen = images[index]
            if options.flip:
                mirrored = torch.randint(2, (len(index),), generator=source) == 1
                chosen[mirrored] = chosen[mirrored].flip(-1)
            x0 = restorer.image.encode(chosen.float() / 255)
            x_t = process.degrade(x0, t, z)
            labels = None
            if conditional:
                labels = one.labels.train[index].clone()
                labels[torch.rand(len(index), generator=told) < network.drop] = 10
            restorer.network = network
            prediction, v = restorer.predict_both(x_t, t, labels)
            costs = one.objective.weights[t] * loss_per_image(
                options.loss, prediction, restorer.target(x0, z, x_t, t))
            if v is not None:
                costs = costs + options.vlb * one.objective.bound(
                    PredictedBatch(prediction, x0, z, x_t, t, v))
            loss = costs.mean()
            loss.backward()
            norms.append(torch.nn.utils.clip_grad_norm_(network.parameters(),
                                                        options.grad_clip or float("inf")))
            optimizer.step()
            optimizer.zero_grad()
            for decay, shadow in zip(decays, averages, strict=True):
                decay = min(decay, (1 + update) / (10 + update))
                torch._foreach_lerp_(shadow, list(p.detach() for p in network.parameters()), 1 - decay)
            losses.append(loss.detach())
    return torch.stack(losses), torch.stack(norms), averages


def silent():
    return tqdm(disable=True)


def stepped(one, update=None):
    """Train `one` by its step, or by what was made of it; returns losses and norms."""
    losses, norms = [], []
    for epoch in range(1, one.config.training.epochs + 1):
        first = (epoch - 1) * one.batches
        one.step.start(epoch, [one.learning_rate(first + b) for b in range(one.batches)])
        one.network.train()
        for _ in range(one.batches):
            (update or one.step)()
        losses.append(one.step.losses.clone())
        norms.append(one.step.norms.clone())
    return torch.cat(losses), torch.cat(norms)
