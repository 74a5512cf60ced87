"""Where each active run starts from: nothing, or weights pre-trained on other images.

Runs that differ in the number of epochs of their pre-training only (or in title, sampling and the
classes they go on to learn) share one training, which is kept after each of those numbers.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from kelvin.config.digest import code_digest, fingerprint
from kelvin.config.resolve import Params
from kelvin.config.schema import Pretrain, RunConfig
from kelvin.errors import KelvinError
from kelvin.files import read_json, write_json
from kelvin.stage import log

if TYPE_CHECKING:
    import numpy as np

    from kelvin.datasets import PreparedStore
    from kelvin.networks import Shape

SCRATCH = {"pretrain": None}
OWN = {"title", "sampling", "classes", "pretrain", "prior"}  # in which sharing runs may differ


def make_starts(params: Params, store: PreparedStore, out: Path) -> list[str]:
    """Write `out`/<run>-<replicate>/ for every active run: start.json, and weights.safetensors where
    it starts from some. What already is there and up to date stays; returns what was trained."""
    active = params.active()
    known = {f"{name}-{replicate}" for name, replicate in active}
    for folder in out.iterdir() if out.exists() else ():
        if folder.name not in known:
            shutil.rmtree(folder)
    groups: dict[str, list[tuple[str, int]]] = {}
    for name, replicate in active:
        run, folder = params.run(name), out / f"{name}-{replicate}"
        if run.pretrain is None:
            shutil.rmtree(folder, ignore_errors=True)
            write_json(folder / "start.json", SCRATCH)
        else:
            groups.setdefault(shared(params, run, replicate, store), []).append((name, replicate))
    trained = []
    for common, members in groups.items():
        mark = mark_of(params, common, members[0][0])
        if not all(up_to_date(out / f"{n}-{r}", mark, params.run(n).pretrain) for n, r in members):
            pretrain(params, store, mark, members, out)
            trained.append(members[0][0])
    return trained


def shared(params: Params, run: RunConfig, replicate: int, store: PreparedStore) -> str:
    """Names a pre-training but for its number of epochs; equal for runs that can share it."""
    where = run.pretrain.dataset
    data = store.digest if where in (None, params.house.dataset) else \
        params.house.datasets[where].images.model_dump()
    return fingerprint(run.model_dump(exclude=OWN), run.pretrain.classes, where, data, store.digest,
                       params.house.blend if run.degradation.kind == "morph" else None,
                       params.house.seed, replicate, params.house.threads)


def mark_of(params: Params, common: str, name: str) -> str:
    """The same with the code, the machine's precision and torch."""
    import torch

    from kelvin.runs import CODE
    from kelvin.training.device import pick_device

    return fingerprint(common, code_digest(*CODE, "starts"), pick_device().type, torch.__version__)


def up_to_date(folder: Path, mark: str, wanted: Pretrain) -> bool:
    try:
        note = read_json(folder / "start.json")
    except (FileNotFoundError, ValueError):
        return False
    return (note.get("fingerprint") == mark and note["pretrain"] == wanted.model_dump()
            and (folder / "weights.safetensors").exists())


def pretrain(params: Params, store: PreparedStore, mark: str, members: list[tuple[str, int]],
             out: Path) -> None:
    """Train once to the largest number of epochs, and write every member's folder."""
    import torch

    from kelvin.random import derive_seed
    from kelvin.restoration import assemble
    from kelvin.runs import blend_images, fit_process, shape_of
    from kelvin.training.checkpoint import Checkpoint
    from kelvin.training.device import pick_device
    from kelvin.training.precision import resolve
    from kelvin.training.pretraining import NOTE, Pretrainer, made_for, save_start

    name, replicate = members[0]
    run, shape, seed = params.run(name), shape_of(store), params.house.seed + replicate
    train, held = source_images(params, store, run.pretrain, shape, run.training.images)
    torch.manual_seed(seed)  # the initial weights of the run from scratch
    restorer = assemble.build(run, shape, f"runs.{name}")
    fit_process(restorer, train, lambda: blend_images(params, shape))
    epochs = [params.run(n).pretrain.epochs for n, _ in members]
    checkpoint = Checkpoint(fingerprint(mark, sorted(epochs)))
    trainer = Pretrainer(run, restorer, train, held, derive_seed(seed, "pretrain"),
                         resolve(run.training.precision, pick_device(), restorer.network, shape),
                         checkpoint, epochs)
    for n, r in members:  # a training that fails leaves no weights, not even older ones
        shutil.rmtree(out / f"{n}-{r}", ignore_errors=True)
    trainer.run(f"pretrain {name}-{replicate}")
    if not trainer.accelerator.is_main_process:
        return
    for n, r in members:
        wanted, folder = params.run(n).pretrain, out / f"{n}-{r}"
        found = save_start(folder, trainer.kept[wanted.epochs])
        write_json(folder / NOTE, {
            "pretrain": wanted.model_dump(), "fingerprint": mark, "sha256": found,
            "updates": wanted.epochs * trainer.batches, "images": len(train),
            "made_for": made_for(run, shape)})
    checkpoint.remove()
    log.info("pre-trained for %s on %d images", ", ".join(n for n, _ in members), len(train))


def source_images(params: Params, store: PreparedStore, wanted: Pretrain, shape: Shape,
                  limit: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Training images (`limit` at most) and validation images to pre-train on, uint8 at the run's own
    shape.

    Another data set is prepared for the occasion in a temporary folder.
    """
    from kelvin.datasets import PreparedStore, prepare
    from kelvin.datasets.convert import convert_images
    from kelvin.datasets.subset import restricted
    from kelvin.training.loop import HELD

    def parts(found: PreparedStore) -> list[np.ndarray]:
        chosen = restricted(found, wanted.classes)
        return [chosen.split("train").first(limit).images, chosen.split("validation").first(HELD).images]

    if wanted.dataset in (None, params.house.dataset):
        train, held = parts(store)
        return train, held
    if shape.height != shape.width:
        raise KelvinError(f"pretrain.dataset = {wanted.dataset!r} can be brought to square images only, "
                          f"and those of {params.house.dataset} are {shape.height}x{shape.width}")
    with tempfile.TemporaryDirectory(prefix="kelvin-") as scratch:
        folder = Path(scratch) / wanted.dataset
        prepare(wanted.dataset, params.house.datasets[wanted.dataset].images, os.environ, folder)
        train, held = (convert_images(images, shape.height, shape.channels)
                       for images in parts(PreparedStore(folder)))
        return train, held
