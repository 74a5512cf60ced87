"""A run that is not trained: a folder of images, scored like the samples of a run."""

from __future__ import annotations

from pathlib import Path

from kelvin.artifacts.models import ModelFolder
from kelvin.common.errors import KelvinError
from kelvin.common.progress import log
from kelvin.config.plan import TrainPlan
from kelvin.datasets.sources.folders import load_folder_images
from kelvin.datasets.store import PreparedStore


def find_folder(path: str, roots: list[Path]) -> Path | None:
    """The folder of a run's images, under the first of `roots` that has it; None: none has it."""
    return next((root / path for root in roots if (root / path).exists()), None)


def score_folder(plan: TrainPlan, store: PreparedStore, out: Path, roots: list[Path]) -> None:
    """In place of training: read the images of `path`, refused unless they fit the data set."""
    channels, height, width = store.split("train").shape[1:]
    folder = find_folder(plan.path, roots)
    if folder is None:
        raise KelvinError(f"runs.{plan.run}.path = {plan.path!r} is not there; it must be a folder of "
                          "images (or a tar or zip of one), relative to the project's root")
    images, digest = load_folder_images(folder, (height, width), channels)
    log.info("%s: %d images from %s", plan.run, len(images), plan.path)
    model = ModelFolder(out)
    model.write_images(images)
    model.write_config({"run": plan.run, "replicate": 0, "fingerprint": digest[:16],
                        "dataset": plan.dataset, "scale": plan.scale, "source": "folder",
                        "config": {"path": plan.path}, "data": digest})
