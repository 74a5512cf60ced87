"""From a data set's entry in params.yaml to its prepared store."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kelvin.common.errors import KelvinError
from kelvin.common.files import rounded
from kelvin.common.scratch import scratch_folder
from kelvin.config.schema import Images
from kelvin.datasets.settle import size_of_test
from kelvin.datasets.sources.find import data_roots, load_source
from kelvin.datasets.sources.folders import log_left_out
from kelvin.datasets.sources.raw import RawData
from kelvin.datasets.splitting import folds as folding
from kelvin.datasets.splitting import leakage
from kelvin.datasets.splitting.splits import VALIDATION, make_group_split, make_split
from kelvin.datasets.store import write_store


def prepare(name: str, spec: Images, environ: Mapping[str, str], folder: Path) -> dict:
    """Load, convert, split, fold, check for leaks and store the data set `name`; returns the manifest.

    environ is read for KELVIN_DATA and DVC_ROOT. An error names the data set it is about. Images of a
    folder or tar are decoded straight into the store's file: memory holds none of them.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Beside the store, since the file moves into it.
    with scratch_folder(f".{folder.name}-", folder.parent) as room:
        try:
            raw = load_source(spec, data_roots(environ), room / "images.npy",
                              lambda outline: divide(outline, spec))
            split, folds = divide(raw, spec)
        except KelvinError as error:
            raise KelvinError(f"datasets.{name}: {error}") from error
        report = leakage.check_leakage(raw.images, raw.groups, split, folds, spec.seed)
        beside = {leakage.FILE: _json(rounded(report))}
        if folds:
            beside[folding.FILE] = folding.folds_text(folds)
        if raw.files:
            beside["files.json"] = _json(raw.files)
        if raw.left_out:
            # Not in the manifest: a readme beside the classes makes no other data set.
            beside["left_out.json"] = _json(raw.left_out)
            log_left_out(name, raw.left_out)
        return write_store(folder, name, raw, split, spec, beside)


def divide(raw: RawData, spec: Images) -> tuple[np.ndarray, folding.Folds | None]:
    """uint8 (n,): 0 train, 1 validation, 2 test; and the folds, None where the entry asks for none.

    No pixel is read. KelvinError where the images cannot be divided as the entry asks.
    """
    test = size_of_test(spec.test, raw.given_test is not None)
    if spec.split_by == "groups":
        split = make_group_split(raw.labels, raw.class_names, raw.groups, spec.validation, test,
                                 spec.seed, raw.given_test)
    else:
        split = make_split(raw.labels, raw.class_names, spec.validation, test, spec.seed, raw.given_test)
    if np.count_nonzero(split == VALIDATION) == 1:
        raise KelvinError(f"validation: {spec.validation} comes to 1 image, but the distance by which "
                          "settings are chosen needs at least 2")
    if spec.folds is None:
        return split, None
    rows = folding.development_rows(split)
    folds = folding.make_folds(raw.labels[rows], raw.groups[rows], spec.folds.k, spec.folds.seed)
    for kind in folding.KINDS:
        if (least := np.bincount(folds.fold(kind), minlength=folds.k).min()) < 2:
            cure = "lower k, other groups" if len(rows) >= 2 * folds.k else "lower k"
            raise KelvinError(f"folds: k = {folds.k} comes to a {kind} fold of {least} of the "
                              f"{len(rows)} images outside the test part, but a distance needs at least 2"
                              f"; {cure}, or set folds to null")
    return split, folds


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
