"""Which tables are written, and which of them stand with a study."""

from __future__ import annotations

from collections.abc import Mapping

from kelvin.report.kit.table import Row, Table
from kelvin.report.parts import histograms, likelihood
from kelvin.report.parts.tables import cost_table, generation_table, parameter_table, samplers_table
from kelvin.report.parts.tables_restoration import (
    restoration_over_t_table,
    restoration_rows,
    restoration_table,
)
from kelvin.report.results import Results, StudyResults
from kelvin.report.studies import (
    averaging,
    comparison,
    fold_tables,
    grid,
    guidance,
    iterations,
    pretraining,
    steps,
    temperature_tables,
)
from kelvin.report.studies import metrics as trust

WHOLE = ("distribution",)  # shown with every run, also where it stands with a study


def tables(results: Results, metrics: Mapping[str, Row], costs: Mapping[str, Row]) -> list[Table]:
    """Every table that is written, in the order of the report."""
    parameters = [t for t in (parameter_table(study) for study in results.studies) if t]
    own = [t for study in results.studies for t in study_tables(study, results, metrics, costs) if t]
    over_t = restoration_rows(results)
    restored = [restoration_table(over_t), restoration_over_t_table(over_t)] if over_t else []
    bound, classes = likelihood.table(results), histograms.table(results)
    return [generation_table(results, metrics), samplers_table(results),
            *([classes] if classes else []), *restored,
            *([bound] if bound else []),
            *([cost_table(results, costs)] if costs else []), *own, *parameters]


def study_tables(study: StudyResults, results: Results, metrics: Mapping[str, Row],
                 costs: Mapping[str, Row]) -> list[Table | None]:
    """The tables that a study of this kind has to itself."""
    kind = study.study.kind
    if kind == "temperature":
        return [temperature_tables.generation(study, results, metrics, costs),
                temperature_tables.restoration(study)]
    if kind == "comparison":
        return [comparison.table(study, results, metrics)]
    if kind == "metrics":
        return [trust.distribution_table(results, metrics), trust.slips_table(study)]
    if kind == "pretraining":
        return [pretraining.table(study, metrics)]
    if kind == "folds":
        return fold_tables.tables(study, results)
    if kind == "guidance":
        return [guidance.table(study, results)]
    if kind == "averaging":
        return [averaging.table(study, results)]
    if kind == "grid":
        return [grid.table(study, results, metrics)]
    return [steps.table(study, results)] if kind == "steps" else \
        [iterations.table(study, results)] if kind == "iterations" else []


def shown_with(study: StudyResults) -> list[str]:
    """Names of the tables that stand with a study on the page; those of all runs where it has none."""
    own = {"temperature": [f"{study.name}-generation", f"{study.name}-restoration"],
           "steps": [study.name], "iterations": [study.name], "pretraining": [study.name],
           "metrics": ["distribution", "slips"], "guidance": [study.name], "comparison": [study.name],
           "folds": [f"{study.name}-{run.name}-{name}" for run in study.trained
                     for name in fold_tables.SHOWN],
           "averaging": [study.name], "grid": [study.name],
           "schedules": ["generation", likelihood.NAME, "restoration"]}
    return [*own.get(study.study.kind, ["generation", "restoration"]), f"parameters-{study.name}"]
