"""Files that are whole or absent, and the same bytes for the same content."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kelvin.common.errors import KelvinError

if TYPE_CHECKING:
    import numpy as np
    import torch


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A path beside this one to write to, which then takes its place: whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    yield part
    os.replace(part, path)


def write_text(path: Path, text: str) -> None:
    with replaced(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Indented JSON, keys in the order given, floats to 6 significant digits, NaN refused."""
    write_text(path, json.dumps(rounded(value), indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def rounded(value: Any) -> Any:
    """Floats to 6 significant digits: enough for a metric, and the same from run to run."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(item) for item in value]
    if type(value).__module__ == "numpy":  # a scalar
        value = value.item()
    return float(f"{value:.6g}") if isinstance(value, float) else value


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    """Rows under a header of the first row's keys, floats to 6 significant digits."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rounded(rows))
    write_text(path, text.getvalue())


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def write_arrays(path: Path, **arrays: np.ndarray) -> None:
    """A compressed .npz; numpy stamps its members with a fixed date, so bytes repeat."""
    import numpy as np

    with replaced(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays)


def as_uint8(images: torch.Tensor) -> np.ndarray:
    """Images in [0, 1] as uint8, rounded to the nearest; KelvinError where a pixel is not finite."""
    return (finite(images) * 255).round().byte().cpu().numpy()


def finite(images: torch.Tensor) -> torch.Tensor:
    """The images themselves; KelvinError where a pixel is not finite: it would become black or white."""
    lost = int((~images.isfinite()).sum())
    if lost:
        raise KelvinError(f"{lost} of {images.numel()} pixels that the model made are not finite: "
                          "its network or its division by the signal overflows; lower training.lr, or "
                          "choose another restorer.parameterisation or restorer.rule")
    return images


def project_root() -> Path:
    """The repository that owns scratch and tracking: DVC_ROOT under DVC (the parent repository of a
    queued experiment), else the working directory."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve()
