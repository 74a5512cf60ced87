"""The start of each training: nothing, weights pre-trained on other images, images to blend towards.

Runs that differ in the number of epochs of their pre-training only (or in the classes they go on to
learn) share one training, whose weights are saved after each of those numbers.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from kelvin.artifacts.starts import Note, StartFolder
from kelvin.common.errors import KelvinError
from kelvin.common.progress import log
from kelvin.common.scratch import scratch_folder
from kelvin.config.digest import fingerprint
from kelvin.config.plan import PretrainPlan, RawImages, Start
from kelvin.config.schema import TrainedRun
from kelvin.datasets.settle import settled_pretraining
from kelvin.datasets.store import PreparedStore

if TYPE_CHECKING:
    import numpy as np

    from kelvin.networks import Shape

SCRATCH: Note = {"pretrain": None}
OWN = {"sampling", "classes", "pretrain", "prior"}  # in which sharing runs may differ


def make_starts(plan: PretrainPlan, store: PreparedStore, out: Path) -> list[str]:
    """Write `out`/<run>-<replicate>/ for every training: start.json, and weights.safetensors or
    blend.npz where it starts from some. What is up to date stays; returns the runs made anew."""
    names = {*plan.scratch, *(start.name for start in plan.starts)}
    for entry in out.iterdir() if out.exists() else ():
        if entry.is_symlink() or entry.is_file():  # nobody's start: its target is left alone
            entry.unlink()
        elif entry.name not in names:
            shutil.rmtree(entry)
    for name in plan.scratch:
        shutil.rmtree(out / name, ignore_errors=True)
        StartFolder(out / name).write_note(SCRATCH)
    groups: dict[str, list[Start]] = {}
    for start in plan.starts:
        groups.setdefault(shared(plan, start, store), []).append(start)
    runs = []
    for mark, members in groups.items():
        if not all(up_to_date(out / member.name, mark, member) for member in members):
            make(plan, store, mark, members, out)
            runs.append(members[0].run)
    return runs


def shared(plan: PretrainPlan, start: Start, store: PreparedStore) -> str:
    """Fingerprint of a start without its number of epochs; equal for runs that can share it."""
    import torch

    from kelvin.common.hardware import pick_device

    pretrain = start.config.pretrain
    return fingerprint(start.config.model_dump(exclude=OWN), pretrain and pretrain.classes,
                       start.source, start.blend, store.digest, plan.seed, start.replicate,
                       plan.checked.metrics.bounded, plan.threads, plan.code, pick_device().type,
                       torch.__version__)


def up_to_date(folder: Path, mark: str, member: Start) -> bool:
    """Whether the folder holds this start and is whole: a damaged one is made again."""
    from kelvin.training.pretraining import digest

    start, wanted = StartFolder(folder), member.config.pretrain
    try:
        note = start.note()
        if note.get("fingerprint") != mark or note["pretrain"] != (wanted and wanted.model_dump()):
            return False
        if member.blend:
            start.blend()
        return wanted is None or digest(start.weights()) == note.get("sha256")
    except KelvinError:
        return False


def make(plan: PretrainPlan, store: PreparedStore, mark: str, members: list[Start], out: Path) -> None:
    """Every member's folder: the images to blend towards, and one training to the largest number of
    epochs."""
    from kelvin.restoration import assemble
    from kelvin.training.fitting import save_blend

    shape = assemble.shape_of(store)
    for member in members:
        shutil.rmtree(out / member.name, ignore_errors=True)
        if member.blend:
            with prepared(member.blend) as other:
                save_blend(out / member.name, other, shape)
    if members[0].config.pretrain:
        pretrain(plan, store, mark, members, out)
    else:
        for member in members:
            StartFolder(out / member.name).write_note({**SCRATCH, "fingerprint": mark})


def pretrain(plan: PretrainPlan, store: PreparedStore, mark: str, members: list[Start], out: Path
             ) -> None:
    """Train once to the largest number of epochs, and write every member's weights."""
    import torch

    from kelvin.common.hardware import pick_device, resolve
    from kelvin.common.streams import derive_seed
    from kelvin.restoration import assemble
    from kelvin.training.checkpoint import Checkpoint
    from kelvin.training.fitting import fit_process, load_blend
    from kelvin.training.pretraining import Pretrainer, made_for, save_start

    first, shape = members[0], assemble.shape_of(store)
    seed = plan.seed + first.replicate
    run, train, held = source_images(plan, store, first, shape)
    torch.manual_seed(seed)  # the initial weights of the run from scratch
    restorer = assemble.build(run, shape, f"runs.{first.run}")
    fit_process(restorer, train, lambda: load_blend(out / first.name))
    epochs = [member.config.pretrain.epochs for member in members]
    checkpoint = Checkpoint(fingerprint(mark, sorted(epochs)))
    trainer = Pretrainer(run, restorer, train, held, derive_seed(seed, "pretrain"),
                         resolve(run.training.precision, pick_device(), restorer.network, shape),
                         checkpoint, epochs)
    trainer.run(f"pretrain {first.name}")
    if not trainer.accelerator.is_main_process:
        return
    for member in members:
        wanted, folder = member.config.pretrain, out / member.name
        checksum = save_start(folder, trainer.snapshots[wanted.epochs])
        StartFolder(folder).write_note({
            "pretrain": wanted.model_dump(), "fingerprint": mark, "sha256": checksum,
            "updates": wanted.epochs * trainer.batches, "images": len(train),
            "made_for": made_for(run, shape)})
    checkpoint.remove()
    log.info("pre-trained for %s on %d images", ", ".join(m.run for m in members), len(train))


def source_images(plan: PretrainPlan, store: PreparedStore, start: Start, shape: Shape
                  ) -> tuple[TrainedRun, np.ndarray, np.ndarray]:
    """The run as those images can carry it; training and validation images to pre-train on, uint8 at the
    run's own shape."""
    from kelvin.datasets.sources.convert import convert_images
    from kelvin.datasets.splitting.classes import restricted
    from kelvin.training.loop import HELD

    protocol = plan.checked.metrics
    with nullcontext(store) if start.source is None else prepared(start.source) as source:
        chosen = restricted(source, start.config.pretrain.classes)
        run = settled_pretraining(start.config, protocol.limit, source.manifest) if protocol.bounded \
            else start.config
        train, held = (convert_images(part.images, (shape.height, shape.width), shape.channels)
                       for part in (chosen.split("train").first(run.training.images),
                                    chosen.split("validation").first(HELD)))
        return run, train, held


@contextmanager
def prepared(source: RawImages) -> Iterator[PreparedStore]:
    """Another data set, prepared in a temporary folder."""
    from kelvin.datasets.preparation import prepare

    with scratch_folder("kelvin-") as scratch:
        folder = scratch / source.dataset
        prepare(source.dataset, source.images, os.environ, folder)
        yield PreparedStore(folder)
