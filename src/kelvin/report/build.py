"""Write the report: everything under reports/ but the runs' own records."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kelvin.artifacts.folders import COST, METRICS, REPORTS, SUMMARY
from kelvin.common.files import write_csv, write_json, write_text
from kelvin.config.plan import ReportPlan
from kelvin.report import front
from kelvin.report.aggregate import costs, metrics
from kelvin.report.kit import style
from kelvin.report.kit.style import Figure
from kelvin.report.kit.table import Row, Table
from kelvin.report.page import Said, dataset_facts, embedded, render, shown
from kelvin.report.parts import (
    curves,
    grids,
    histograms,
    likelihood,
    ranking,
    tables,
    tables_restoration,
)
from kelvin.report.recorded import Recorded, records
from kelvin.report.results import Results, Run, collect
from kelvin.report.studies.base import Study, answers
from kelvin.report.summary import summary

CURVES = {"loss.csv": curves.loss_rows, "fmd.csv": curves.fmd_rows,
          "x0_error.csv": curves.log_snr_rows}
FINDINGS = "findings.json"  # beside the tables: {study: its sentences}
FAMILIES = ("hot", "warm", "cold")
ALL = ("samplers", "restoration", "likelihood", "cost")  # tables of all runs that fold on the page
# the figures to open first, in their order: `dvc plots show` has them beside the curves of dvc.yaml
FIRST = ("forest", "overview", "ranking", "best-hot", "best-cold", "hot-and-cold-best",
         "temperature-fmd", "steps-fmd-over-steps", "metrics-bias")


def build(plan: ReportPlan, out: Path = REPORTS, record: Mapping[str, Any] | None = None) -> Results:
    """metrics.json, cost.json, tables/, curves/, figures/ and index.html, each whole or absent. record:
    what is known of the record that the page is of (its record.json); None: it is the project's own."""
    results = collect(plan)
    numbers, spent, beside = metrics(results), costs(results), [] if record else records(plan)
    every = answers(results, numbers, spent)
    large = [study for study in every if study.is_large(max(len(s.runs) for s in every))]
    common = common_tables(results, numbers, spent)
    own = {study.name: [*(table for table in study.tables() if table),
                        *filter(None, [tables.parameter_table(study.study)])] for study in large}
    write_json(out / SUMMARY, summary(results, numbers, spent))
    write_json(out / METRICS, numbers)
    write_json(out / COST, spent)
    files = [table for study in large for table in (*own[study.name], *study.files())]
    with Folder(out / "tables") as folder:
        for table in (*common.values(), *files):
            for name, text in table.files().items():
                write_text(folder / name, text)
        write_json(folder / FINDINGS, {study.name: study.paragraphs() for study in large})
    with Folder(out / "curves") as folder:
        for name, rows in CURVES.items():
            if found := rows(results):
                write_csv(folder / name, found)
    style.use()
    contrasts = next((t.rows for found in own.values() for t in found if t.name == front.CONTRASTS), [])
    forest = front.over_seeds(results, numbers, contrasts, beside)
    best = [run for family in FAMILIES if (run := results.best(family))]
    figures = common_figures(results, numbers, best, forest)
    drawn = {study.name: study.drawn() for study in large}
    named = {figure.name: figure for found in (figures, *drawn.values()) for figure in found}
    with Folder(out / "figures") as folder:
        for name, figure in named.items():
            (folder / f"{name}.png").write_bytes(figure.png)
    with Folder(out / "plots") as folder:
        for number, name in enumerate((name for name in FIRST if name in named), 1):
            (folder / f"{number:02d}-{name}.png").write_bytes(named[name].png)
    said = Said()
    context = {
        **front.front(results, numbers, spent, best, forest, record), "dataset": plan.dataset,
        "record": record, "records": beside, "smoke": plan.scale == "smoke",
        "facts": dataset_facts(results),
        "figures": {figure.name: embedded(figure, said) for figure in figures},
        "studies": [section(study, drawn[study.name], own[study.name], said) for study in large],
        "elsewhere": [elsewhere(study, beside) for study in every
                      if study not in large and (study.runs or not record)],
        "runs": [*ranking.hot_against_cold(results, numbers),
                 *tables_restoration.against_least_squares(results.every.values())],
        "generation": shown(common["generation"], said),
        "tables": [shown(common[name], said) for name in ALL if name in common],
        "level": f"{100 * plan.metrics.confidence:.0f} %", "about": results.calibration,
        "fid": tables.fid_note(results), "several": len(results.replicates) > 1}
    write_text(out / "index.html", render(context))
    return results


def common_tables(results: Results, numbers: Mapping[str, Row], spent: Mapping[str, Row]
                  ) -> dict[str, Table]:
    """{name: table} of all runs."""
    over_t = tables_restoration.restoration_rows(results)
    restored = (tables_restoration.restoration_table, tables_restoration.restoration_over_t_table)
    made = [tables.generation_table(results, numbers), tables.samplers_table(results),
            histograms.table(results), *(make(over_t) for make in restored if over_t),
            likelihood.table(results), tables.cost_table(results, spent) if spent else None]
    return {table.name: table for table in made if table}


def common_figures(results: Results, numbers: Mapping[str, Row], best: Sequence[Run],
                   forest: front.Forest | None) -> list[Figure]:
    """Those of the first screen and of all runs."""
    split, floor = results.store.split, results.calibration["floor"]
    ends = [run for run in best if run.family != "warm"]
    found = [front.forest_figure(forest, floor) if forest else None,
             grids.overview_figure(best, split("test").images) if best else None,
             ranking.ranking_figure(results, numbers) if results.runs else None,
             *(grids.best_figure(run) for run in ends), histograms.figure(results),
             grids.nearest_figure(ends, split("train").images) if ends else None]
    return [figure for figure in found if figure]


def section(study: Study, figures: list[Figure], own: list[Table], said: Said) -> dict[str, Any]:
    """What the page shows of a study: its answer and first wide figure, and the rest folded."""
    lead = next((figure for figure in figures if figure.height < 0.75 * figure.width), None)
    answer, *findings = study.paragraphs()
    return {"anchor": study.name, "title": study.study.study.title,
            "question": study.study.study.question, "answer": answer, "findings": findings,
            "lead": embedded(lead, said) if lead else None,
            "figures": [embedded(figure, said) for figure in figures if figure is not lead],
            "tables": [shown(table, said) for table in own]}


def elsewhere(study: Study, beside: Sequence[Recorded]) -> dict[str, Any]:
    """A study that has too few runs here to compare them: one line, and the record that has more."""
    asked, here = set(study.study.study.runs), len(study.runs)
    most = max(beside, key=lambda record: len(record.runs & asked), default=None)
    linked = most if most and len(most.runs & asked) > here else None
    return {"question": study.study.study.question, "here": here, "record": linked,
            "there": len(linked.runs & asked) if linked else 0}


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
