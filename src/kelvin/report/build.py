"""Write the report: everything under reports/ but the runs' own records."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from kelvin.report.page import Captions, dataset_facts, page_figure, page_table, render
from kelvin.report.parts import curves, grids, histograms, likelihood, ranking, tables
from kelvin.report.parts import tables_restoration as restoration
from kelvin.report.recorded import FINDINGS, Recorded, records
from kelvin.report.results import TEMPERATURES, Results, Run, collect
from kelvin.report.studies.base import Study, answers
from kelvin.report.summary import summary

ALL = ("samplers", "restoration", "likelihood", "cost")  # tables of all runs that fold on the page
# the figures to open first, in their order: `dvc plots show` has them beside the curves of dvc.yaml
FIRST = ("forest", "overview", "ranking", "best-hot", "best-cold", "hot-and-cold-declared",
         "temperature-fmd", "steps-fmd-over-steps", "metrics-bias")


def build(plan: ReportPlan, out: Path = REPORTS, record: Mapping[str, Any] | None = None) -> Results:
    """Write metrics.json, cost.json, tables/, curves/, figures/ and index.html, each whole or absent.

    record: the record.json of the record that the page shows; None for the project's own page.
    """
    results = collect(plan)
    numbers, seconds = metrics(results), costs(results)
    write_json(out / SUMMARY, summary(results, numbers, seconds))
    write_json(out / METRICS, numbers)
    write_json(out / COST, seconds)
    style.use()
    others = [] if record else records(plan)
    studies = answers(results, numbers, seconds)
    largest = max(studies, key=lambda study: len(study.runs))
    most = len(largest.runs)
    sections = [Section.of(study) for study in studies if study.is_large(most)]
    common = common_tables(results, numbers, seconds, (record or {}).get("seconds", ""))
    write_tables(out / "tables", common, sections)
    with Folder(out / "curves") as folder:
        for name, rows in curves.files(results).items():
            write_csv(folder / name, rows)
    contrasts = next((table.rows for section in sections for table in section.tables
                      if table.name == front.CONTRASTS), [])
    forest = front.over_seeds(results, numbers, contrasts, others)
    best = [run for family in TEMPERATURES if (run := results.best(family))]
    figures = common_figures(results, numbers, best, forest)
    write_figures(out, [*figures, *(figure for section in sections for figure in section.figures)])
    captions = Captions()
    write_text(out / "index.html", render({
        **front.front(results, numbers, seconds, best, forest, record, largest.study.study.question),
        "dataset": plan.dataset,
        "record": record, "records": others, "smoke": plan.scale == "smoke",
        "facts": dataset_facts(results),
        "figures": {figure.name: page_figure(figure, captions) for figure in figures},
        "studies": [section.context(captions) | {"more": more_seeds(section.study, others)}
                    for section in sections],
        "elsewhere": [elsewhere(study, others) for study in studies
                      if not study.is_large(most) and (study.runs or not record)],
        "runs": [*ranking.hot_against_cold(results, numbers),
                 *restoration.against_least_squares(results.every.values())],
        "generation": page_table(common["generation"], captions),
        "tables": [page_table(common[name], captions) for name in ALL if name in common],
        "level": f"{100 * plan.metrics.confidence:.0f} %", "about": results.calibration,
        "fid": tables.fid_note(results), "several": len(results.replicates) > 1}))
    return results


@dataclass(frozen=True)
class Section:
    """The part of the page that a study has."""

    study: Study
    paragraphs: list[str]
    figures: list[Figure]
    tables: list[Table]

    @classmethod
    def of(cls, study: Study) -> Section:
        own = [*study.tables(), tables.parameter_table(study.study)]
        return cls(study, study.paragraphs(), study.page_figures(), [table for table in own if table])

    def context(self, captions: Captions) -> dict[str, Any]:
        """The values of the template: the answer and the first wide figure open, the rest folded."""
        lead = next((figure for figure in self.figures if figure.height < 0.75 * figure.width), None)
        answer, *findings = self.paragraphs
        return {"anchor": self.study.name, "title": self.study.study.study.title,
                "question": self.study.study.study.question, "answer": answer, "findings": findings,
                "lead": page_figure(lead, captions) if lead else None,
                "figures": [page_figure(f, captions) for f in self.figures if f is not lead],
                "tables": [page_table(table, captions) for table in self.tables]}


def write_tables(path: Path, common: Mapping[str, Table], sections: Sequence[Section]) -> None:
    """Every table in its three forms, and the sentences of the studies."""
    files = [table for section in sections for table in (*section.tables, *section.study.files())]
    with Folder(path) as folder:
        for table in (*common.values(), *files):
            for name, text in table.files().items():
                write_text(folder / name, text)
        write_json(folder / FINDINGS, {section.study.name: section.paragraphs for section in sections})


def write_figures(out: Path, figures: Sequence[Figure]) -> None:
    """Every figure in figures/, and those to open first in plots/, numbered in their order."""
    images = {figure.name: figure.png for figure in figures}
    with Folder(out / "figures") as folder:
        for name, png in images.items():
            (folder / f"{name}.png").write_bytes(png)
    with Folder(out / "plots") as folder:
        for number, name in enumerate((name for name in FIRST if name in images), 1):
            (folder / f"{number:02d}-{name}.png").write_bytes(images[name])


def common_tables(results: Results, numbers: Mapping[str, Row], seconds: Mapping[str, Row],
                  of: str = "") -> dict[str, Table]:
    """{name: table} of all runs. of: what a record says of its seconds."""
    over_t = restoration.restoration_rows(results)
    restored = (restoration.restoration_table, restoration.restoration_over_t_table)
    candidates = [tables.generation_table(results, numbers), tables.samplers_table(results),
                  histograms.table(results), *(make(over_t) for make in restored if over_t),
                  likelihood.table(results), tables.cost_table(results, seconds, of) if seconds else None]
    return {table.name: table for table in candidates if table}


def common_figures(results: Results, numbers: Mapping[str, Row], best: Sequence[Run],
                   forest: front.Forest | None) -> list[Figure]:
    """The figures of the first screen and of all runs."""
    split, floor = results.store.split, results.calibration["floor"]
    ends = [run for run in best if run.family != "warm"]
    candidates = [front.forest_figure(forest, floor) if forest else None,
                  grids.overview_figure(best, split("test").images) if best else None,
                  ranking.ranking_figure(results, numbers) if results.runs else None,
                  *(grids.best_figure(run) for run in ends), histograms.figure(results),
                  grids.nearest_figure(ends, split("train").images) if ends else None]
    return [figure for figure in candidates if figure]


def elsewhere(study: Study, records: Sequence[Recorded]) -> dict[str, Any]:
    """The line of a study with too few runs here to compare, and the record that has more of them."""
    names, here = set(study.study.study.runs), len(study.runs)
    most = max(records, key=lambda record: len(record.runs & names), default=None)
    linked = most if most and len(most.runs & names) > here else None
    return {"question": study.study.study.question, "here": here, "record": linked,
            "there": len(linked.runs & names) if linked else 0}


def more_seeds(study: Study, records: Sequence[Recorded]) -> dict[str, Any] | None:
    """The record that answers the study's question on the most training seeds, more than the page has."""
    able = [(record, answer) for record in records if record.seeds > study.count
            and record.is_of(study.results.plan.dataset) and (answer := record.answer(study.name))]
    record, answer = max(able, key=lambda pair: pair[0].seeds, default=(None, ""))
    return {"record": record, "answer": answer} if record else None


class Folder:
    """A folder that is replaced as a whole: no file of an earlier report stays in it."""

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
