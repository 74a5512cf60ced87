"""A run's first half: trained, or read from a folder; kelvin.sampled is the second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kelvin import networks
from kelvin.config.digest import code_digest, fingerprint
from kelvin.config.resolve import Params
from kelvin.config.schema import RunConfig
from kelvin.datasets import PreparedStore
from kelvin.datasets.held_out import FoldView, split_for
from kelvin.degradations import Degradation, Graded
from kelvin.errors import KelvinError
from kelvin.files import as_uint8, project_root, write_arrays, write_csv, write_json
from kelvin.networks import Shape
from kelvin.restoration import assemble
from kelvin.stage import log
from kelvin.training.checkpoint import Checkpoint
from kelvin.training.device import pick_device
from kelvin.training.labels import Labels
from kelvin.training.loop import HELD, Trainer
from kelvin.training.peak import training_memory
from kelvin.training.precision import hardware, resolve
from kelvin.training.pretraining import load_start

FITTED = 20_000  # training images at most that a prior or a severity is fitted to
CODE = ("degradations", "networks", "restoration", "training", "datasets", "random")


def shape_of(store: PreparedStore) -> Shape:
    return Shape(*store.split("train").shape[1:])


def run_fingerprint(params: Params, name: str, replicate: int, store: PreparedStore,
                    precision: str, device: str, start: str | None = None) -> str:
    """Names a training: resolved parameters, code, data, precision, device, threads, first weights."""
    run = params.run(name).model_dump(exclude={"title"})
    sampler = params.sampler(params.run(name).sampling.epoch_sampler)
    return fingerprint(run, sampler, params.house.seed + replicate, store.digest, precision, device,
                       params.house.threads, torch.__version__, code_digest(*CODE), start)


def train_run(params: Params, name: str, replicate: int, store: PreparedStore, out: Path) -> None:
    """Train, and write ema/raw.safetensors, history.csv, samples.npz, config.json, cost.json."""
    run, shape, device = params.run(name), shape_of(store), pick_device()
    data, store = store.digest, split_of(run, replicate, store)
    torch.manual_seed(params.house.seed + replicate)  # initial weights
    restorer = assemble.build(run, shape, f"runs.{name}", len(store.class_names))
    precision = resolve(run.training.precision, device, restorer.network, shape)
    start = load_start(params.folder("starts") / f"{name}-{replicate}", name, run, shape,
                       restorer.network) if run.pretrain else None
    mark = run_fingerprint(params, name, replicate, store, precision.mixed, device.type,
                           start and start["sha256"])
    checkpoint = Checkpoint(mark)
    train = store.split("train").first(run.training.images).images
    fit_process(restorer, train, lambda: blend_images(params, shape))
    trainer = Trainer(run, restorer, train, store.split("validation").first(HELD).images,
                      params.house.seed + replicate, params.sampler(run.sampling.epoch_sampler),
                      precision, checkpoint,
                      labels_of(restorer, store, len(train), params.house.seed + replicate, device))
    result = trainer.run(f"train {name}-{replicate}")
    if not trainer.accelerator.is_main_process:
        return
    out.mkdir(parents=True, exist_ok=True)
    assemble.save(out / "ema.safetensors", trainer.ema.network, restorer, run, shape)
    assemble.save(out / "raw.safetensors", trainer.bare, restorer, run, shape)
    for average in trainer.more:
        assemble.save(averaged(out, average.decay), average.network, restorer, run, shape)
    write_csv(out / "history.csv", result.history)
    write_arrays(out / "samples.npz", epochs=np.array(result.epochs),
                 samples=torch.stack(result.samples).numpy(),
                 reconstructions=torch.stack(result.reconstructions).numpy(),
                 reconstruct_times=trainer.shown["times"].numpy(),
                 reconstruct_truth=trainer.shown["truth"].numpy(),
                 reconstruct_degraded=as_uint8(restorer.image.decode(trainer.shown["states"])))
    write_json(out / "config.json", {"run": name, "replicate": replicate, "fingerprint": mark,
                                     "dataset": params.house.dataset, "scale": params.house.scale,
                                     "config": run.model_dump(), "data": data,
                                     "start": start})
    write_json(out / "process.json", about_process(restorer.degradation))
    write_json(out / "cost.json", {
        "updates": result.history[-1]["updates"], **stopped(trainer),
        "parameters": networks.parameter_count(trainer.bare),
        "flops_per_image": networks.flops_per_image(trainer.bare, shape),
        "peak_memory_bytes": training_memory(trainer.bare, shape, run.training.batch).total,
        "epoch_seconds": result.epoch_seconds,
        "train_seconds": result.seconds, "hardware": hardware(device),
        "precision": precision.name,
        "threads": params.house.threads, "processes": trainer.accelerator.num_processes})
    checkpoint.remove()


def split_of(run: RunConfig, replicate: int, store: PreparedStore) -> PreparedStore | FoldView:
    """What the run trains on and holds out; without `fold`, replicate r holds out fold r."""
    return split_for(store, run.split, replicate if run.fold is None else run.fold)


def stopped(trainer: Trainer) -> dict[str, int | None]:
    """Of early stopping: the epoch whose weights were kept and the one it stopped at, if it did."""
    verdict = trainer.verdict()
    return {"best_epoch": verdict.best, "stopped_epoch": verdict.stopped} if verdict else {}


def averaged(folder: Path, decay: float) -> Path:
    """Where the weights of a further average (training.ema_more) lie."""
    return folder / f"ema-{decay:g}.safetensors"


def labels_of(restorer: assemble.Restorer, store: PreparedStore, n: int, seed: int,
              device: torch.device) -> Labels | None:
    """Labels of the n training images and of the held-out ones; None for an unconditional network."""
    network = restorer.network
    if not isinstance(network, networks.Conditioned):
        return None
    train, held = store.split("train").labels[:n], store.split("validation").labels[:HELD]
    return Labels(train, {"train": train[:len(held)], "val": held}, network.classes, network.drop, seed,
                  device)


def fit_process(restorer: assemble.Restorer, images: np.ndarray, other: Callable) -> None:
    """Fit degradation and prior to training images (a part of them in a large set)."""
    chosen = torch.from_numpy(np.ascontiguousarray(images[:FITTED])).float() / 255
    x0 = restorer.image.encode(chosen)
    restorer.degradation.fit(x0, lambda: restorer.image.encode(other()))
    restorer.degradation.prior.fit(x0)


def blend_images(params: Params, shape: Shape) -> torch.Tensor:
    """Training images of the data set `blend`, at this data set's shape, (n, C, H, W) in [0, 1]."""
    from kelvin.datasets.convert import convert_images

    folder = Path("data/prepared") / params.house.blend
    images = PreparedStore(folder).split("train").first(FITTED).images
    return torch.from_numpy(convert_images(images, shape.height, shape.channels)).float() / 255


def about_process(process: Degradation) -> dict[str, Any]:
    """What the report says of a fitted process: the signal variance left at every t, and, where it is
    tied to a noise schedule, the value that was wanted and from which t on it is out of reach."""
    tied = isinstance(process, Graded) and process.tied
    return {"temperature": process.temperature,
            "signal_variance": process.signal_variance().double().tolist(),
            "wanted": process.alpha_bar.tolist() if tied else None,
            "clamped_from": process.clamped_from() if tied else None}


def score_folder(params: Params, name: str, store: PreparedStore, out: Path) -> None:
    """In place of training: read the images of `path`, refused unless they fit the data set."""
    from kelvin.datasets import load_folder_images

    shape, path = shape_of(store), Path(params.run(name).path or "")
    found = [root / path for root in (Path("."), project_root()) if (root / path).exists()]
    if not found:
        raise KelvinError(f"runs.{name}.path = {str(path)!r} is not there; it must be a folder of images "
                          "(or a tar of one), relative to the project's root")
    images, digest = load_folder_images(found[0], shape.height, shape.channels)
    log.info("%s: %d images from %s", name, len(images), path)
    out.mkdir(parents=True, exist_ok=True)
    write_arrays(out / "samples.npz", samples=images)
    write_json(out / "config.json", {"run": name, "replicate": 0, "fingerprint": digest[:16],
                                     "dataset": params.house.dataset, "scale": params.house.scale,
                                     "config": params.run(name).model_dump(), "data": digest})
