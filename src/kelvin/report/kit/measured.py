"""Columns of tables by measure, with the title, form and direction that kelvin.metrics.measures gives
it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from kelvin.metrics.measures import MEASURES, Measure, Place, Table
from kelvin.report.kit.table import Column, Row, fixed, number, span, with_error

BEST = {"lower": "min", "higher": "max", "": ""}  # what is bold, where anything is


def percent(value: float | None) -> str:
    return number(value) if value is None else f"{100 * value:.1f} %"


def thousandfold(value: float | None) -> str:
    return number(None if value is None else 1000 * value)


def written(measure: Measure) -> Callable[[Any], str]:
    """The function that writes a value of this measure."""
    forms = {"fixed": fixed, "percent": percent, "thousandfold": thousandfold,
             "significant": lambda value: number(value, measure.digits)}
    return forms[measure.form]


def cell(measure: Measure, row: Row, spread: bool = False) -> str:
    """A measure of a row. spread: with its interval or standard error."""
    if spread and measure.spread == "error":
        return with_error(row, measure.key)
    show = written(measure)
    return span(row, measure.key, show) if spread else show(row.get(measure.key))


def column(key: str, spread: bool = False, bold: bool = False) -> Column:
    """The column of one measure, for a table that chooses its own measures."""
    measure = MEASURES[key]
    title = f"{measure.title}, {measure.unit}" if measure.unit else measure.title
    best = (key, BEST[measure.better]) if bold else ()
    return Column(title, lambda row: cell(measure, row, spread), *best)


def columns(table: Table) -> list[Column]:
    """The columns of all measures of a table."""
    return [shown_as(measure, place) for measure, place in MEASURES.columns(table)]


def shown_as(measure: Measure, place: Place) -> Column:
    own = column(measure.key, place.spread, place.bold)
    if place.beside:
        one, other = own.show, column(place.beside).show
        own = replace(own, show=lambda row: place.cell.format(one(row), other(row)))
    return replace(own, title=place.title or own.title)
