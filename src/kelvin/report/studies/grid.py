"""Parameterisation by noise schedule: one run a cell, FMD as a heat map."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np

from kelvin.config.schema import RunConfig
from kelvin.report.kit.style import WIDTH, Figure, chart, finish, heat_map, ticks
from kelvin.report.kit.table import Table, number
from kelvin.report.kit.words import listed, named, seeds
from kelvin.report.parts import columns
from kelvin.report.parts.histograms import COLOURS
from kelvin.report.results import Run
from kelvin.report.studies.base import Study, studies

Cell = tuple[str, str]  # parameterisation, schedule
WIDE = 10.0  # a range of FMD beyond this takes a logarithmic colour scale


def place(run: RunConfig) -> Cell:
    """A run's row and column; two schedules that differ in any option are two columns."""
    return run.restorer.parameterisation, json.dumps(run.schedule.model_dump())


def columns_of(cells: Mapping[Cell, Run]) -> dict[str, str]:
    """{schedule: label}: its kind, with its options where two schedules share the kind."""
    schedules = {schedule: json.loads(schedule) for _, schedule in cells}
    kinds = [options["kind"] for options in schedules.values()]
    return {key: options["kind"] if kinds.count(options["kind"]) == 1 else
            f"{options['kind']} ({', '.join(f'{k} {v:g}' for k, v in options.items() if k != 'kind')})"
            for key, options in schedules.items()}


@studies.register("grid")
class Grid(Study):
    ranked = True

    @staticmethod
    def faults(name: str, runs: Mapping[str, RunConfig]) -> list[str]:
        """Runs that share a cell."""
        cells: dict[Cell, str] = {}
        lines = []
        for run, config in runs.items():
            cell = place(config)
            if cell in cells:
                lines.append(f"studies.{name}.runs puts {cells[cell]} and {run} into one cell: both "
                             f"predict {cell[0]} under the same {config.schedule.kind} schedule; name "
                             "one of them")
            cells.setdefault(cell, run)
        return lines

    def cells(self) -> dict[Cell, Run]:
        """{(parameterisation, schedule): run}, in the study's order."""
        return {place(run.config): run for run in self.trained}

    def figures(self) -> list[Figure]:
        return [self.map(), self.samples()]

    def map(self) -> Figure:
        from matplotlib.colors import LogNorm, Normalize

        cells = self.cells()
        rows, schedules = list(dict.fromkeys(row for row, _ in cells)), columns_of(cells)
        values = np.array([[cells[row, column].mean("fmd") if (row, column) in cells else np.nan
                            for column in schedules] for row in rows])
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        kind = LogNorm if low > 0 and high > WIDE * low else Normalize
        scale = kind(low, high if high > low else low + 1)
        canvas, axes = chart(min(WIDTH, 2.2 + 1.7 * len(schedules)), 1.0 + 0.75 * len(rows))
        texts = np.array([[self.cell_text(cells.get((row, column))) for column in schedules]
                          for row in rows])
        ticks(heat_map(canvas, axes, values, texts, scale, COLOURS, "FMD", 8).ax.yaxis)
        axes.set_xticks(range(len(schedules)), list(schedules.values()))
        axes.set_yticks(range(len(rows)), rows)
        axes.set(xlabel="noise schedule", ylabel="the network predicts")
        scale_note = ", colours on a logarithmic scale" if kind is LogNorm else ""
        return finish(canvas, f"{self.name}-grid", "FMD of each run's first sampler (dark: lower) by "
                      f"what the network predicts and by its noise schedule{scale_note}; brackets: "
                      f"{self.interval}. {gaps(cells)}")

    def cell_text(self, run: Run | None) -> str:
        if run is None:
            return "no active run"
        record = self.records[run.name]
        return f"{number(run.mean('fmd'))}\n[{number(record['fmd_low'])}, {number(record['fmd_high'])}]"

    def tables(self) -> list[Table | None]:
        """One row a cell."""
        cells = self.cells()
        labels = columns_of(cells)
        rows = [{"run": run.name, "title": run.title, "parameterisation": row, "schedule": labels[column],
                 "sampler": run.record["sampler"], "nfe": run.record["nfe"], "n": run.record["n"],
                 "fmd": run.mean("fmd"), **{key: self.records[run.name][key] for key in (
                     "fmd_low", "fmd_high", "fmd_normalised", "precision", "recall", "nearest_ratio")}}
                for (row, column), run in cells.items()]
        heads = [columns.text("parameterisation", "predicts"),
                 columns.text("schedule"), columns.NFE, columns.FMD, columns.NORMALISED,
                 columns.PRECISION, columns.RECALL, columns.NEAREST]
        return [Table(
            self.name, "Generation by what the network predicts and by its noise schedule, each run's "
            f"first sampler. Brackets: {self.interval}. Bold: best of all runs. {gaps(cells)}", heads,
            rows)] if rows else []

    def findings(self) -> list[str]:
        """How far apart the cells are, and which of the two axes changes FMD more."""
        cells = self.cells()
        if len(cells) < 2:
            return []
        fmd, labels = {cell: run.mean("fmd") for cell, run in cells.items()}, columns_of(cells)
        out = [f"The highest FMD of the grid is {number(max(fmd.values()) / min(fmd.values()))} times "
               f"the lowest {seeds(self.count)}."]
        for axis, other, words in ((0, 1, "What the network predicts"), (1, 0, "The schedule")):
            spreads = {line: max(along.values()) / min(along.values())
                       for line in dict.fromkeys(cell[other] for cell in fmd)
                       if len(along := {c[axis]: v for c, v in fmd.items() if c[other] == line}) > 1}
            if spreads:
                most = max(spreads, key=spreads.get)
                line = labels[most] if other else f"{most} predicted"
                out.append(f"{words} changes FMD by a factor of at most {number(spreads[most])} "
                           f"({line}).")
        return [" ".join([*out, *winners(fmd, labels)])]


def gaps(cells: Mapping[Cell, Run]) -> str:
    """A sentence that names the cells without a run."""
    without = [f"{row}, {label}" for row in dict.fromkeys(row for row, _ in cells)
               for column, label in columns_of(cells).items() if (row, column) not in cells]
    return f"Without an active run: {'; '.join(without)}." if without else "Every cell has its run."


def winners(fmd: Mapping[Cell, float], labels: Mapping[str, str]) -> list[str]:
    """A sentence on the target of lowest FMD under each schedule that has a run of every target."""
    rows = set(row for row, _ in fmd)
    best = {}
    for schedule, label in labels.items():
        column = {row: value for (row, other), value in fmd.items() if other == schedule}
        if set(column) == rows and len(rows) > 1:
            best[label] = min(column, key=column.get)
    if len(best) < 2:
        return []
    if len(set(best.values())) == 1:
        return [f"Under every schedule that has all targets, {named(next(iter(best.values())))} has the "
                "lowest FMD."]
    return ["The target of lowest FMD depends on the schedule: "
            + listed([f"{row} under {label}" for label, row in best.items()]) + "."]
