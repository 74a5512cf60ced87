"""The rows that give every table of generation its scale: real images, copies, a Gaussian, black."""

from __future__ import annotations

from collections.abc import Sequence

from kelvin.report.kit.table import Row
from kelvin.report.results import Results

FAMILY = "calibrating"
DETAILS = ("histogram", "title", "fid_why")  # of a record, but no measure


def rows(results: Results) -> list[Row]:
    """One row for each calibrating set of images, with all of its measures."""
    return [{"run": name, "title": record["title"], "family": FAMILY, "sampler": None, "nfe": None,
             "replicates": 1, "interval": "over images",
             **{key: value for key, value in record.items() if key not in DETAILS}}
            for name, record in results.calibration["rows"].items()]


def is_one(row: Row) -> bool:
    return row.get("family") == FAMILY


def with_scale(own: Sequence[Row], results: Results) -> list[Row]:
    """A table's own rows below the calibrating ones, all with the same keys (None: has no such value).

    Unchanged where a row is of a run on some classes only: other real images are its scale.
    """
    if not own or any(row["run"] in results.apart for row in own):
        return list(own)
    told = [{"run": row["run"], "title": row["title"], "family": results.every[row["run"]].family} | row
            for row in own]
    keys = list(dict.fromkeys(key for row in told for key in row))
    return [{key: row.get(key) for key in keys} for row in [*rows(results), *told]]


def note(results: Results) -> str:
    """What follows "over training seeds" in a caption: calibrating rows have none."""
    return " (calibrating rows: over images)" if len(results.replicates) > 1 else ""
