"""The archive of a record: the results that its page is drawn from, in one small file.

Weights and the arrays of samples.npz that no page shows are left out. Samples that no page shows turn
black, so that the index of every other image stays.
"""

from __future__ import annotations

import io
import lzma
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np

from kelvin.artifacts.evaluations import EvaluationFolder
from kelvin.artifacts.folders import RunFolders
from kelvin.artifacts.models import ModelFolder
from kelvin.artifacts.samples import SampleFolder
from kelvin.common.errors import KelvinError
from kelvin.common.files import read_json
from kelvin.config.plan import ReportPlan, plan_path
from kelvin.report.studies.base import Study, studies
from kelvin.report.studies.folds import shown_times

ARCHIVE = "results.tar.xz"
MOST = 8 * 2**20  # bytes of an archive: what git may hold of one record
# samples that a page shows of a run's first sampler, of each other one, of an epoch; one image restored
FIRST, OTHERS, EPOCH = 96, 20, 16
UNSEEN = ("many", "log_snr", "gate_", "consistency", "bound")


def pack(project: Path, archive: Path) -> bool:
    """Write the archive of a project whose report was made; False, and nothing written, where it would
    be larger than `MOST`. The same results give the same bytes."""
    plan = ReportPlan.model_validate_json((project / plan_path("report")).read_text(encoding="utf-8"))
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for path, data in sorted(contents(project, plan)):
            entry = tarfile.TarInfo(path.as_posix())
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    packed = lzma.compress(raw.getvalue())
    if len(packed) > MOST:
        return False
    archive.write_bytes(packed)
    return True


def unpack(archive: Path, folder: Path) -> None:
    """The files of an archive, in their places under a folder; KelvinError where it is damaged."""
    try:
        with tarfile.open(archive, "r:xz") as tar:
            tar.extractall(folder, filter="data")
    except (OSError, EOFError, tarfile.TarError, lzma.LZMAError) as error:
        raise KelvinError(f"{archive} is damaged ({error}); take it from git again") from error


def contents(project: Path, plan: ReportPlan) -> Iterator[tuple[Path, bytes]]:
    """(path in the project, bytes) of every file that the report reads."""
    folders = plan.folders
    whole = [plan_path("report"), folders.calibration, folders.classifier / "record.json",
             folders.manifest,
             *(folders.prepared / f"{name}.npy" for name in ("labels", "groups", "split"))]
    near: set[int] = set()
    varied = {run for study in plan.studies.values() for run in study.runs
              if cast(type[Study], studies.find(study.kind)).variety} & set(plan.active)
    for run in plan.active:
        for i, index in enumerate(plan.replicates):
            files = folders.run(run, index)
            details = EvaluationFolder(files.evaluation)
            # what the model is and costs, without its weights
            small = [path.relative_to(project) for path in (project / files.model).iterdir()
                     if path.suffix in (".csv", ".json")]
            whole += [files.record, details.details_file, *small]
            if i == 0:  # pictures are of the first training alone
                nearest = read_json(project / details.details_file).get("nearest", {})
                near.update(nearest.get("nearest_training", []))
                yield from pictures(project, files, nearest.get("nearest_sample", []), run in varied)
    for path in whole:
        yield path, (project / path).read_bytes()
    images = np.load(project / folders.prepared / "images.npy")
    parts = np.load(project / folders.prepared / "split.npy")
    train, test = np.flatnonzero(parts == 0), np.flatnonzero(parts == 2)
    shown = [*train[sorted(near)], *(test if varied else test[:FIRST])]
    yield folders.prepared / "images.npy", bytes_of(only(images, shown))


def pictures(project: Path, files: RunFolders, nearest: Iterable[int], varied: bool
             ) -> Iterator[tuple[Path, bytes]]:
    """The samples of one training, and those drawn during it. varied: a study reads all of its x_T."""
    path = SampleFolder(files.samples).samples_file
    with np.load(project / path) as file:
        arrays = {name: file[name] for name in file.files if not name.startswith(UNSEEN)}
    if not varied and "prior" in arrays:
        arrays["prior"] = only(arrays["prior"], range(OTHERS))
    labels = arrays.get("labels")
    first_of_class = [] if labels is None else [int(np.argmax(labels == k)) for k in np.unique(labels)]
    samples = [name for name in arrays if name.startswith("samples/")]
    for name in samples:
        places = range(FIRST) if name == samples[0] else range(OTHERS)
        arrays[name] = only(arrays[name], [*places, *first_of_class,
                                           *(nearest if name == samples[0] else ())])
    for name in (name for name in arrays if name.startswith(("restore/", "restore_degraded"))):
        arrays[name] = arrays[name] * (np.arange(arrays[name].shape[1]) < 1)[:, None, None, None]
    arrays["restore_truth"] = only(arrays["restore_truth"], [0])
    for kinds in [name for name in arrays if name.startswith("at/") and name.endswith("/kinds")]:
        part = kinds.removesuffix("kinds")
        shown = np.unique(arrays[kinds], return_index=True)[1] if part == "at/test/" else ()
        arrays[f"{part}truth"] = only(arrays[f"{part}truth"], shown)
        for name in [name for name in arrays if name.startswith((f"{part}degraded", f"{part}rule/"))]:
            times = shown_times(len(arrays[name]))
            arrays[name] = np.stack([only(images, shown if k in times else ())
                                     for k, images in enumerate(arrays[name])])
    yield path, bytes_of(**arrays)
    path = ModelFolder(files.model).epoch_samples().file.path
    if (project / path).exists():
        with np.load(project / path) as file:
            arrays = {name: file[name] for name in file.files}
        arrays["samples"] = np.stack([only(images, range(EPOCH)) for images in arrays["samples"]])
        yield path, bytes_of(**arrays)


def only(images: np.ndarray, indices: Iterable[int]) -> np.ndarray:
    """The images at these places, the others black."""
    out = np.zeros_like(images)
    places = [k for k in set(map(int, indices)) if k < len(images)]
    out[places] = images[places]
    return out


def bytes_of(array: np.ndarray | None = None, **arrays: np.ndarray) -> bytes:
    """A .npy file of one array, or an .npz file of several."""
    out = io.BytesIO()
    if array is not None:
        np.save(out, array)
    else:
        np.savez(out, **cast(Any, arrays))  # numpy's types take each for allow_pickle
    return out.getvalue()
