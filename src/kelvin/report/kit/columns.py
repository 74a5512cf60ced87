"""Columns of measures, as kelvin.metrics.measures says that each is called, written and read."""

from __future__ import annotations

from collections.abc import Callable
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
    forms = {"fixed": fixed, "percent": percent, "thousandfold": thousandfold, "flag": number,
             "significant": lambda value: number(value, measure.digits)}
    return forms[measure.form]


def cell(measure: Measure, row: Row, spread: bool = False) -> str:
    """A measure of a row, with its interval or standard error where that is to stand beside it."""
    if spread and measure.spread == "error":
        return with_error(row, measure.key)
    show = written(measure)
    return span(row, measure.key, show) if spread else show(row.get(measure.key))


def column(key: str, title: str = "", spread: bool = False, bold: bool = False, absent: str = ""
           ) -> Column:
    """A measure's column in a table of a study. absent: in place of n/a where a row has no value."""
    return of(MEASURES[key], Shown("generation", title=title, spread=spread, bold=bold), absent)


def columns(table: Table) -> list[Column]:
    """The columns of every measure that is shown in a table."""
    return [of(measure, shown) for measure, shown in MEASURES.columns(table)]


def of(measure: Measure, shown: Shown, absent: str = "") -> Column:
    def show(row: Row) -> str:
        if absent and row.get(measure.key) is None:
            return absent
        own = cell(measure, row, shown.spread)
        return shown.cell.format(own, cell(MEASURES[shown.beside], row)) if shown.beside else own

    title = shown.title or ", ".join(filter(None, (measure.title, measure.unit)))
    return Column(title, show, measure.key if shown.bold else "", BEST[measure.better] if shown.bold
                  else "")
