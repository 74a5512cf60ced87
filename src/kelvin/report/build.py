"""Write the report: everything under reports/ but the runs' own records."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from kelvin.artifacts.folders import COST, METRICS, REPORTS, SUMMARY
from kelvin.common.files import write_csv, write_json, write_text
from kelvin.config.plan import ReportPlan
from kelvin.report.aggregate import costs, metrics
from kelvin.report.kit import style
from kelvin.report.kit.style import Figure
from kelvin.report.kit.table import Row, Table
from kelvin.report.kit.words import hot_against_cold
from kelvin.report.page import dataset_facts, embedded, render, shown
from kelvin.report.parts import (
    calibrating,
    curves,
    grids,
    histograms,
    likelihood,
    ranking,
    tables,
    tables_restoration,
)
from kelvin.report.results import Results, StudyResults, collect
from kelvin.report.studies.base import Study, answers
from kelvin.report.summary import summary

CURVES = {"loss.csv": curves.loss_rows, "fmd.csv": curves.fmd_rows,
          "x0_error.csv": curves.log_snr_rows}

WHOLE = ("generation", "samplers", "cost")  # tables that the page shows with every run
# the figures to open first, in their order: `dvc plots show` has them beside the curves of dvc.yaml
FIRST = ("ranking", "overview", "best-hot", "best-cold", "hot-and-cold-best", "temperature-fmd",
         "steps-fmd-over-steps", "metrics-bias")


def build(plan: ReportPlan, out: Path = REPORTS) -> Results:
    """metrics.json, cost.json, tables/, curves/, figures/ and index.html, each whole or absent."""
    results = collect(plan)
    records, spent = metrics(results), costs(results)
    every = answers(results, records, spent)
    common = common_tables(results, records, spent)
    own = {study.name: [table for table in study.tables() if table] for study in every}
    beside = [table for study in every for table in study.files()]
    write_json(out / SUMMARY, summary(results, records, spent))
    write_json(out / METRICS, records)
    write_json(out / COST, spent)
    with Folder(out / "tables") as folder:
        for table in (*common.values(), *beside, *(t for found in own.values() for t in found)):
            for name, text in table.files().items():
                write_text(folder / name, text)
    with Folder(out / "curves") as folder:
        for name, rows in CURVES.items():
            if found := rows(results):
                write_csv(folder / name, found)
    style.use()
    figures = common_figures(results, records, every)
    drawn = {study.name: study.drawn() for study in every}
    named = {figure.name: figure for found in (figures, *drawn.values()) for figure in found}
    with Folder(out / "figures") as folder:
        for name, figure in named.items():
            (folder / f"{name}.png").write_bytes(figure.png)
    with Folder(out / "plots") as folder:
        for number, name in enumerate((name for name in FIRST if name in named), 1):
            (folder / f"{number:02d}-{name}.png").write_bytes(named[name].png)
    sections = [section(study, drawn[study.name], own[study.name], common) for study in every]
    write_text(out / "index.html", page(results, records, common, figures, sections))
    return results


def common_tables(results: Results, records: dict[str, Row], spent: dict[str, Row]) -> dict[str, Table]:
    """{name: table} of all runs, and the parameters of every study."""
    over_t = tables_restoration.restoration_rows(results)
    restored = (tables_restoration.restoration_table, tables_restoration.restoration_over_t_table)
    made = [tables.generation_table(results, records), tables.samplers_table(results),
            histograms.table(results), *(make(over_t) for make in restored if over_t),
            likelihood.table(results), tables.cost_table(results, spent) if spent else None,
            *map(tables.parameter_table, results.studies)]
    return {table.name: table for table in made if table}


def common_figures(results: Results, records: dict[str, Row], every: list[Study]) -> list[Figure]:
    best = [run for family in ("hot", "cold") if (run := results.best(family))]
    seen = {run.name for study in every if study.samplers for run in study.runs}
    train = results.store.split("train").images
    found = [ranking.ranking_figure(results, records) if results.runs else None,
             histograms.figure(results),
             ranking.ema_figure(results),
             grids.overview_figure(best, results.store.split("test").images) if best else None,
             *(grids.best_figure(run) for run in best),
             *(grids.nearest_figure(run, train) for run in best),
             *(grids.samplers_figure(f"samplers-{run.family}", [run], f"The same starting states by "
               f"every sampler of {run.title}.") for run in best
               if len(run.config.sampling.samplers) > 1 and run.name not in seen)]
    return [figure for figure in found if figure]


def section(study: Study, figures: list[Figure], own: list[Table], common: dict[str, Table]
            ) -> dict[str, Any]:
    """What the page shows of a study."""
    beside = [own_part(common[name], study.study, study.results)
              for name in (*study.shared, f"parameters-{study.name}") if name in common]
    return {"anchor": study.name, "active": bool(study.runs), "title": study.study.study.title,
            "question": study.study.study.question, "findings": study.paragraphs(),
            "figures": [embedded(figure) for figure in figures],
            "tables": [shown(table) for table in (*own, *beside)] if study.runs else []}


def page(results: Results, records: dict[str, Row], tables: dict[str, Table], figures: list[Figure],
         sections: list[dict[str, Any]]) -> str:
    context: dict[str, Any] = {
        "dataset": results.plan.dataset, "facts": dataset_facts(results),
        "smoke": results.plan.scale == "smoke",
        "summary": [*hot_against_cold(results, records),
                    *tables_restoration.against_least_squares(results.every.values())],
        "figures": {figure.name: embedded(figure) for figure in figures}, "studies": sections,
        "idle": [section for section in sections if not section["active"]],
        "tables": {name: shown(tables[name]) for name in WHOLE if name in tables},
        "level": f"{100 * results.plan.metrics.confidence:.0f} %",
        "fid_why": results.calibration["fid_why"], "about": results.calibration,
        "several": len(results.replicates) > 1}
    return render(context)


def own_part(table: Table, study: StudyResults, results: Results) -> Table:
    """A study's copy of a table: its own runs, and the calibrating rows where they are their scale."""
    names = {run.name for run in study.runs}
    scaled = names.isdisjoint(results.apart)
    return table.only(lambda row: scaled if calibrating.is_one(row) else row["run"] in names)


class Folder:
    """A folder that is replaced as a whole: what an earlier report left in it is gone."""

    def __init__(self, path: Path) -> None:
        self.path, self.part = path, path.with_name(f"{path.name}.part")

    def __enter__(self) -> Path:
        shutil.rmtree(self.part, ignore_errors=True)
        self.part.mkdir(parents=True)
        return self.part

    def __exit__(self, kind: Any, *_: Any) -> None:
        if kind is None:
            shutil.rmtree(self.path, ignore_errors=True)
            os.replace(self.part, self.path)
        else:
            shutil.rmtree(self.part)
