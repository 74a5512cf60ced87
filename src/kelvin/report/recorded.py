"""Recorded studies beside this page: where each lies, which runs it has, and its numbers over seeds."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict

from kelvin.artifacts.folders import METRICS, REPORTS
from kelvin.artifacts.reading import read_json
from kelvin.config.plan import ABOUT, ReportPlan

FINDINGS = "findings.json"  # beside the tables: {study: its sentences}


class About(TypedDict):
    """record.json, as far as this page reads it."""

    runs: list[str]
    replicates: list[int]
    set: dict[str, Any]


@dataclass(frozen=True)
class Recorded:
    """One record that was made. name: its entry in params.yaml; link: to its page, from reports/."""

    name: str
    title: str
    folder: Path

    @cached_property
    def about(self) -> dict[str, Any]:
        return self.read(ABOUT, About)

    @property
    def link(self) -> str:
        return f"{self.folder.relative_to(REPORTS).as_posix()}/index.html"

    @property
    def seeds(self) -> int:
        return len(self.about["replicates"])

    def is_of(self, dataset: str) -> bool:
        return self.about["set"].get("dataset", dataset) == dataset

    @cached_property
    def runs(self) -> set[str]:
        """Runs of params.yaml that it has; a point of a grid counts as its run."""
        return {run.partition("_")[0] for run in self.about["runs"]}

    @cached_property
    def metrics(self) -> dict[str, dict[str, Any]]:
        return self.read(METRICS, dict[str, dict[str, Any]])

    def read(self, name: str, kind: Any) -> Any:
        """One of its JSON files; KelvinError where it is damaged."""
        path = self.folder / name
        return read_json(path, f"git checkout {path}", kind)

    def answer(self, study: str) -> str:
        """The first sentence that its page says of a study; "" where it has none."""
        name = f"tables/{FINDINGS}"
        if not (self.folder / name).exists():
            return ""
        return next(iter(self.read(name, dict[str, list[str]]).get(study, [])), "")

    def table(self, name: str) -> list[dict[str, Any]]:
        """Rows of one of its tables, empty cells None; [] where it has no such table."""
        path = self.folder / "tables" / f"{name}.csv"
        if not path.exists():
            return []
        with path.open(newline="", encoding="utf-8") as file:
            return [{key: value_of(text) for key, text in row.items()} for row in csv.DictReader(file)]


def value_of(text: str) -> Any:
    try:
        return float(text) if text else None
    except ValueError:
        return text


def records(plan: ReportPlan) -> list[Recorded]:
    """The records of params.yaml that were made, in its order."""
    return [Recorded(name, entry.title, entry.path) for name, entry in plan.records.items() if entry.made]
