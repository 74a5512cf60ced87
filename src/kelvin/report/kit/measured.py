"""Columns of measures, as kelvin.metrics.measures says that each is called, written and read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from kelvin.metrics.measures import MEASURES, Measure, Shown, Table
from kelvin.report.kit.table import Column, Row, fixed, number, span, with_error

BEST = {"lower": "min", "higher": "max", "": ""}  # what is bold, where anything is


def percent(value: float | None) -> str:
    return number(value) if value is None else f"{100 * value:.1f} %"


def thousandfold(value: float | None) -> str:
    return number(None if value is None else 1000 * value)


def written(measure: Measure) -> Callable[[Any], str]:
    """How one value of a measure is written."""
    forms = {"fixed": fixed, "percent": percent, "thousandfold": thousandfold,
             "significant": lambda value: number(value, measure.digits)}
    return forms[measure.form]


def cell(measure: Measure, row: Row, spread: bool = False) -> str:
    """A measure of a row, with its interval or standard error where that is to stand beside it."""
    if spread and measure.spread == "error":
        return with_error(row, measure.key)
    show = written(measure)
    return span(row, measure.key, show) if spread else show(row.get(measure.key))


def column(key: str, spread: bool = False, bold: bool = False) -> Column:
    """A measure's column in a table that chooses its own measures, as that of a study."""
    measure = MEASURES[key]
    title = f"{measure.title}, {measure.unit}" if measure.unit else measure.title
    best = (key, BEST[measure.better]) if bold else ()
    return Column(title, lambda row: cell(measure, row, spread), *best)


def columns(table: Table) -> list[Column]:
    """The columns of every measure that is shown in a table."""
    return [shown_as(measure, shown) for measure, shown in MEASURES.columns(table)]


def shown_as(measure: Measure, shown: Shown) -> Column:
    own = column(measure.key, shown.spread, shown.bold)
    if shown.beside:
        one, other = own.show, column(shown.beside).show
        own = replace(own, show=lambda row: shown.cell.format(one(row), other(row)))
    return replace(own, title=shown.title or own.title)
