"""Rows of images that give FMD its scale: real images, copies, a Gaussian, black."""

from __future__ import annotations

from kelvin.report.kit.table import Row
from kelvin.report.results import Results

FAMILY = "calibrating"
DETAILS = ("histogram", "title", "fid_why")  # keys of a record that are not measures


def rows(results: Results) -> list[Row]:
    """One row for each calibrating set of images, with all of its measures."""
    return [{"run": name, "title": record["title"], "family": FAMILY, "sampler": None, "nfe": None,
             "replicates": 1, "interval": "over images",
             **{key: value for key, value in record.items() if key not in DETAILS}}
            for name, record in results.calibration["rows"].items()]


def is_one(row: Row) -> bool:
    return row.get("family") == FAMILY


def note(results: Results) -> str:
    """What a caption adds to "over training seeds": calibrating rows have no seeds."""
    return " (calibrating rows: over images)" if len(results.replicates) > 1 else ""
