"""One paragraph per kind of study, computed from its runs' numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kelvin.report.kit.words import flags, ranking, score, unanswered, verdicts
from kelvin.report.results import Results, StudyResults
from kelvin.report.studies import (
    averaging,
    blur,
    comparison,
    folds,
    grid,
    guidance,
    hyperparameters,
    iterations,
    pretraining,
    schedules,
    steps,
    temperature,
    widths,
)
from kelvin.report.studies import metrics as trust

Metrics = Mapping[str, Mapping[str, Any]]


def study_findings(study: StudyResults, results: Results, metrics: Metrics) -> list[str]:
    """Paragraphs: what is missing and the ranking, then the kind's own facts, tests and flags."""
    missing = unanswered(study.missing, study.runs)
    if not study.runs:
        return missing
    scores = [score(run, metrics[run.name]) for run in study.runs]
    level = results.plan.metrics.confidence
    own = KINDS[study.study.kind](study, results, metrics)
    head = ranking(scores, level) if study.study.kind in RANKED or not own else [own.pop(0)]
    said = [" ".join([*head, *missing]), *own]
    # folds are judged by what is held out, and have said so
    if study.runs[0].name == study.study.runs[0] and study.study.kind != "folds":
        said += verdicts(scores[0], scores[1:], level)
    return said + flags(scores)


KINDS = {"schedules": schedules.schedules, "hyperparameters": hyperparameters.hyperparameters,
         "blur": blur.blur,
         "widths": widths.findings, "temperature": temperature.findings, "steps": steps.findings,
         "iterations": iterations.findings, "metrics": trust.findings,
         "pretraining": pretraining.findings, "guidance": guidance.findings,
         "comparison": comparison.findings, "folds": folds.findings, "averaging": averaging.findings,
         "grid": grid.findings}
# the others open with their own answer
RANKED = ("schedules", "hyperparameters", "blur", "widths", "comparison", "grid")
