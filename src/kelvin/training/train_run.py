"""Train a run: weights, fitted process, history, samples at chosen epochs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from kelvin import networks
from kelvin.artifacts.live import Live
from kelvin.artifacts.models import EpochSamples, ModelFolder
from kelvin.common.files import as_uint8, project_root
from kelvin.common.hardware import hardware, pick_device, resolve
from kelvin.config.digest import fingerprint
from kelvin.config.plan import TrainPlan
from kelvin.datasets.settle import of_classes, settled_run
from kelvin.datasets.splitting.held_out import FoldView, split_for
from kelvin.datasets.store import PreparedStore
from kelvin.restoration import assemble
from kelvin.training.checkpoint import Checkpoint
from kelvin.training.fitting import about_process, fit_process, load_blend
from kelvin.training.labels import Labels
from kelvin.training.loop import HELD, Trainer
from kelvin.training.memory_count import training_memory
from kelvin.training.pretraining import load_start


def train_run(plan: TrainPlan, store: PreparedStore, out: Path, start: Path) -> None:
    """Train, and write the model's folder (kelvin.artifacts.models).

    start: the folder of its initial weights or blend (kelvin.training.starts). The checkpoint stays until
    the result is recorded (kelvin.training.checkpoint.forget).
    """
    run, shape, device = plan.config, assemble.shape_of(store), pick_device()
    if plan.bounded:
        run = settled_run(run, plan.limit, of_classes(store.manifest, run.classes))
    data, store = store.digest, split_for(store, run.split, run.fold, plan.replicate)
    torch.manual_seed(plan.seed)  # initial weights
    restorer = assemble.build(run, shape, f"runs.{plan.run}", len(store.class_names))
    precision = resolve(run.training.precision, device, restorer.network, shape)
    pretrained = load_start(start, plan.run, run, shape, restorer.network) if run.pretrain else None
    mark = fingerprint(plan, store.digest, precision.mixed, device.type, torch.__version__,
                       pretrained and pretrained["sha256"])
    checkpoint = Checkpoint(mark)
    train = store.split("train").first(run.training.images).images
    fitted = fit_process(restorer, train, lambda: load_blend(start))
    trainer = Trainer(run, restorer, train, store.split("validation").first(HELD).images, plan.seed,
                      plan.epoch_sampler.model_dump(), precision, checkpoint,
                      labels_of(restorer, store, len(train), plan.seed, device))
    identity = {"run": plan.run, "replicate": plan.replicate, "dataset": plan.dataset,
                "scale": plan.scale, "fingerprint": mark}
    result = trainer.run(f"train {plan.name}", Live(project_root(), identity))
    if not trainer.accelerator.is_main_process:
        return
    model = ModelFolder(out)
    assemble.save(model.ema, trainer.ema.network, restorer, run, shape)
    assemble.save(model.raw, trainer.bare, restorer, run, shape)
    for average in trainer.more:
        assemble.save(model.average(average.decay), average.network, restorer, run, shape)
    model.write_history(result.history)
    model.write_epoch_samples(EpochSamples(
        np.array(result.epochs), torch.stack(result.samples).numpy(),
        torch.stack(result.reconstructions).numpy(), trainer.examples["times"].numpy(),
        trainer.examples["truth"].numpy(), as_uint8(restorer.image.decode(trainer.examples["states"]))))
    model.write_config({**identity, "source": "train", "config": run.model_dump(), "data": data,
                        "start": pretrained})
    model.write_process(about_process(restorer.degradation, fitted))
    model.write_cost({
        "updates": result.history[-1]["updates"], **stopped(trainer),
        "parameters": networks.parameter_count(trainer.bare),
        "flops_per_image": networks.flops_per_image(trainer.bare, shape),
        "peak_memory_bytes": training_memory(trainer.bare, shape, run.training.batch).total,
        "epoch_seconds": result.epoch_seconds,
        "train_seconds": result.seconds, "hardware": hardware(device),
        "precision": precision.name,
        "threads": plan.threads, "processes": trainer.accelerator.num_processes})


def stopped(trainer: Trainer) -> dict[str, int | None]:
    """Of early stopping: the epoch whose weights were kept and the one it stopped at, if it did."""
    verdict = trainer.verdict()
    return {"best_epoch": verdict.best, "stopped_epoch": verdict.stopped} if verdict else {}


def labels_of(restorer: assemble.Restorer, store: PreparedStore | FoldView, n: int, seed: int,
              device: torch.device) -> Labels | None:
    """Labels of the n training images and of the held-out ones; None for an unconditional network."""
    network = restorer.network
    if not isinstance(network, networks.Conditioned):
        return None
    train, held = store.split("train").labels[:n], store.split("validation").labels[:HELD]
    return Labels(train, {"train": train[:len(held)], "val": held}, network.classes, network.drop, seed,
                  device)
