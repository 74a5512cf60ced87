"""Columns and tables of generation that several studies share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kelvin.report.kit.measured import column
from kelvin.report.kit.table import NOTHING, Column, Row, Table, number
from kelvin.report.parts import calibrating
from kelvin.report.results import Results


def cell(key: str, show: Callable[[Any], str] = number) -> Callable[[Row], str]:
    """A value in a column, and nothing where a row has none: a calibrating one was drawn by no run."""
    return lambda row: NOTHING if row[key] is None else show(row[key])


def text(key: str, title: str = "") -> Column:
    return Column(title or key, lambda row: row[key] or NOTHING)


RUN = Column("run", lambda row: row["title"])
KIND = Column("kind", lambda row: NOTHING if calibrating.is_one(row) else row["family"])
NFE = Column("NFE", cell("nfe"))
FMD = column("fmd", spread=True, bold=True)
NORMALISED = column("fmd_normalised", bold=True)
PRECISION, RECALL = column("precision", bold=True), column("recall", bold=True)
NEAREST, EVENNESS = column("nearest_ratio"), column("class_evenness")


def scaled(name: str, caption: str, columns: Sequence[Column], rows: list[Row], results: Results,
           bold_within: str = "") -> Table | None:
    """Rows below the calibrating ones, which compete for no bold; None without a row."""
    return Table(name, caption, list(columns), calibrating.with_scale(rows, results),
                 lambda row: not calibrating.is_one(row), bold_within) if rows else None
