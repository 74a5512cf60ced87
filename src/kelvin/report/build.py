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
from kelvin.report.parts import calibrating, curves, grids, histograms, ranking
from kelvin.report.results import Results, StudyResults, collect
from kelvin.report.studies.figures import study_figures
from kelvin.report.studies.findings import study_findings
from kelvin.report.studies.tables import WHOLE, shown_with, tables
from kelvin.report.summary import summary

CURVES = {"loss.csv": curves.loss_rows, "fmd.csv": curves.fmd_rows,
          "x0_error.csv": curves.log_snr_rows}

# the figures to open first, in their order: DVC shows them (`dvc plots show`)
FIRST = ("ranking", "overview", "best-hot", "best-cold", "temperature-fmd", "temperature-plane",
         "hyperparameters-mistakes", "steps-fmd-over-steps", "iterations-over-t", "metrics-bias")


def build(plan: ReportPlan, out: Path = REPORTS) -> Results:
    """metrics.json, cost.json, tables/, curves/, figures/ and index.html, each whole or absent."""
    results = collect(plan)
    records, spent = metrics(results), costs(results)
    written = tables(results, records, spent)
    write_json(out / SUMMARY, summary(results, records, spent))
    write_json(out / METRICS, records)
    write_json(out / COST, spent)
    with Folder(out / "tables") as folder:
        for table in written:
            for name, text in table.files().items():
                write_text(folder / name, text)
    with Folder(out / "curves") as folder:
        for name, rows in CURVES.items():
            if found := rows(results):
                write_csv(folder / name, found)
    style.use()
    common = common_figures(results, records)
    studies = {study.name: study_figures(study, results) for study in results.studies}
    with Folder(out / "figures") as folder:
        for figure in [*common, *(f for figures in studies.values() for f in figures)]:
            (folder / f"{figure.name}.png").write_bytes(figure.png)
    every = {figure.name: figure for figure in common} | {
        figure.name: figure for figures in studies.values() for figure in figures}
    with Folder(out / "plots") as folder:
        for number, name in enumerate((name for name in FIRST if name in every), 1):
            (folder / f"{number:02d}-{name}.png").write_bytes(every[name].png)
    write_text(out / "index.html", page(results, records, written, common, studies))
    return results


def common_figures(results: Results, records: dict[str, Row]) -> list[Figure]:
    best = [run for family in ("hot", "cold") if (run := results.best(family))]
    seen = {run.name for s in results.studies if s.study.kind == "blur" for run in s.runs}
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


def page(results: Results, records: dict[str, Row], written: list[Table], common: list[Figure],
         studies: dict[str, list[Figure]]) -> str:
    by_name = {table.name: table for table in written}
    sections = []
    for study in results.studies:
        names = {run.name for run in study.runs}
        sections.append({
            "anchor": study.name, "active": bool(names),
            "title": study.study.title, "question": study.study.question,
            "findings": study_findings(study, results, records),
            "figures": [embedded(figure) for figure in studies[study.name]],
            "tables": [shown(own_part(table, study, results)) for key in shown_with(study)
                       if (table := by_name.get(key)) and names]})
    context: dict[str, Any] = {
        "dataset": results.plan.dataset, "facts": dataset_facts(results),
        "smoke": results.plan.scale == "smoke",
        "summary": hot_against_cold(results, records),
        "figures": {figure.name: embedded(figure) for figure in common}, "studies": sections,
        "idle": [section for section in sections if not section["active"]],
        "tables": {name: shown(table) for name, table in by_name.items()},
        "level": f"{100 * results.plan.metrics.confidence:.0f} %",
        "fid_why": results.calibration["fid_why"], "about": results.calibration,
        "several": len(results.replicates) > 1}
    return render(context)


def own_part(table: Table, study: StudyResults, results: Results) -> Table:
    """A study's copy of a table: its own runs, and the calibrating rows where they are their scale."""
    if table.name in WHOLE:
        return table
    names = {run.name for run in study.runs}
    scaled = names.isdisjoint(results.apart)
    return table.only(lambda row: scaled if calibrating.is_one(row) else row["run"] in names)


class Folder:
    """A folder that is replaced as a whole: what an earlier report left in it is gone."""

    def __init__(self, path: Path):
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
