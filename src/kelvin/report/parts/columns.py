"""Columns of generation that several tables share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kelvin.report.kit.measured import column
from kelvin.report.kit.table import NOTHING, Column, Row, number
from kelvin.report.kit.titles import sampler_words


def cell(key: str, show: Callable[[Any], str] = number) -> Callable[[Row], str]:
    """A function that shows a row's value; a dash for None."""
    return lambda row: NOTHING if row[key] is None else show(row[key])


def text(key: str, title: str = "") -> Column:
    return Column(title or key, lambda row: row[key] or NOTHING)


def value(key: str, title: str = "", best: str = "") -> Column:
    """A number; n/a for None. best: min or max, which is bold."""
    return Column(title or key, lambda row: number(row[key]), *([key, best] if best else []))


RUN = Column("run", lambda row: row["title"])
KIND = Column("kind", lambda row: row["family"])
SAMPLER = Column("sampler", cell("sampler", sampler_words))
NFE = Column("NFE", cell("nfe"))
FMD = column("fmd", spread=True, bold=True)
NORMALISED = column("fmd_normalised", bold=True)
PRECISION, RECALL = column("precision", bold=True), column("recall", bold=True)
NEAREST, EVENNESS = column("nearest_ratio"), column("class_evenness")
