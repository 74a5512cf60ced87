"""Parameterisation by noise schedule: one run a cell, FMD as a heat map."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np

from kelvin.report.kit.style import WIDTH, Figure, finish, new, ticks
from kelvin.report.kit.table import NOTHING, Column, Row, Table, fixed, number, span
from kelvin.report.kit.words import listed, named, seeds
from kelvin.report.parts import calibrating
from kelvin.report.parts.histograms import COLOURS
from kelvin.report.results import Results, Run, StudyResults

Cell = tuple[str, str]  # parameterisation, schedule
WIDE = 10.0  # a range of FMD beyond this takes a logarithmic colour scale


def place(run: Run) -> Cell:
    """A run's row and column; two schedules that differ in any option are two columns."""
    return run.config.restorer.parameterisation, json.dumps(run.config.schedule.model_dump())


def columns_of(cells: Mapping[Cell, Run]) -> dict[str, str]:
    """{schedule: label}: its kind, with its options where two schedules share the kind."""
    schedules = {schedule: json.loads(schedule) for _, schedule in cells}
    kinds = [options["kind"] for options in schedules.values()]
    return {key: options["kind"] if kinds.count(options["kind"]) == 1 else
            f"{options['kind']} ({', '.join(f'{k} {v:g}' for k, v in options.items() if k != 'kind')})"
            for key, options in schedules.items()}


def grid_of(study: StudyResults) -> dict[Cell, Run]:
    """{(parameterisation, schedule): run}, in the study's order; params.yaml has one run a cell."""
    return {place(run): run for run in study.trained}


def figure(study: StudyResults, results: Results, metrics: Mapping[str, Row]) -> Figure | None:
    """The heat map; None without a run."""
    from matplotlib.colors import LogNorm, Normalize

    cells = grid_of(study)
    if not cells:
        return None
    rows, columns = list(dict.fromkeys(row for row, _ in cells)), columns_of(cells)
    values = np.array([[cells[row, column].mean("fmd") if (row, column) in cells else np.nan
                        for column in columns] for row in rows])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    kind = LogNorm if low > 0 and high > WIDE * low else Normalize
    scale = kind(low, high if high > low else low + 1)
    canvas = new(min(WIDTH, 2.2 + 1.7 * len(columns)), 1.0 + 0.75 * len(rows))
    axes = canvas.subplots()
    shown = axes.imshow(np.ma.masked_invalid(values), cmap=COLOURS, norm=scale, aspect="auto")
    for y, row in enumerate(rows):
        for x, column in enumerate(columns):
            run = cells.get((row, column))
            text = "no active run" if run is None else written(run, metrics[run.name])
            dark = run is not None and scale(values[y, x]) < 0.5
            axes.text(x, y, text, ha="center", va="center", color="white" if dark else "black",
                      fontsize=8)
    axes.set_xticks(range(len(columns)), list(columns.values()))
    axes.set_yticks(range(len(rows)), rows)
    axes.set(xlabel="noise schedule", ylabel="the network predicts")
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = canvas.colorbar(shown, ax=axes, label="FMD")
    ticks(bar.ax.yaxis)
    bar.outline.set_visible(False)
    scale_note = ", colours on a logarithmic scale" if kind is LogNorm else ""
    return finish(canvas, f"{study.name}-grid", "FMD of each run's first sampler (dark: lower) by what "
                  f"the network predicts and by its noise schedule{scale_note}; brackets: "
                  f"{interval(results)}. {said_missing(cells)}")


def written(run: Run, record: Row) -> str:
    return f"{number(run.mean('fmd'))}\n[{number(record['fmd_low'])}, {number(record['fmd_high'])}]"


def interval(results: Results) -> str:
    over = "over images" if len(results.replicates) == 1 else "over training seeds"
    return f"{100 * results.plan.metrics.confidence:.0f} % interval {over}"


def missing(cells: Mapping[Cell, Run]) -> list[str]:
    """Cells of the grid without a run, as "v, cosine"."""
    columns = columns_of(cells)
    rows = dict.fromkeys(row for row, _ in cells)
    return [f"{row}, {label}" for row in rows for column, label in columns.items()
            if (row, column) not in cells]


def said_missing(cells: Mapping[Cell, Run]) -> str:
    gaps = missing(cells)
    return f"Without an active run: {'; '.join(gaps)}." if gaps else "Every cell has its run."


def table(study: StudyResults, results: Results, metrics: Mapping[str, Row]) -> Table | None:
    """One row a cell, below the calibrating rows; None without a run."""
    cells = grid_of(study)
    if not cells:
        return None
    labels = columns_of(cells)
    rows = [{"run": run.name, "title": run.title, "parameterisation": row, "schedule": labels[column],
             "sampler": run.record["sampler"], "nfe": run.record["nfe"], "n": run.record["n"],
             "fmd": run.mean("fmd"), **{key: metrics[run.name][key] for key in (
                 "fmd_low", "fmd_high", "fmd_normalised", "precision", "recall", "nearest_ratio")}}
            for (row, column), run in cells.items()]
    shown = [Column("predicts", lambda r: r["parameterisation"] or r["title"]),
             Column("schedule", lambda r: r["schedule"] or NOTHING),
             Column("NFE", lambda r: NOTHING if r["nfe"] is None else number(r["nfe"])),
             Column("FMD", lambda r: span(r, "fmd"), "fmd", "min"),
             Column("normalised", lambda r: fixed(r["fmd_normalised"]), "fmd_normalised", "min"),
             Column("precision", lambda r: number(r["precision"]), "precision", "max"),
             Column("recall", lambda r: number(r["recall"]), "recall", "max"),
             Column("nearest", lambda r: number(r["nearest_ratio"]))]
    return Table(study.name, "Generation by what the network predicts and by its noise schedule, each "
                 f"run's first sampler. Brackets: {interval(results)}{calibrating.note(results)}. "
                 "First: calibrating rows, which no network predicts. Bold: best of all runs. "
                 f"{said_missing(cells)}", shown, calibrating.with_scale(rows, results),
                 lambda r: not calibrating.is_one(r))


def findings(study: StudyResults, results: Results, metrics: Mapping[str, Row]) -> list[str]:
    """How far the cells spread, and which of the two axes moves FMD more."""
    cells = grid_of(study)
    if len(cells) < 2:
        return []
    fmd = {cell: run.mean("fmd") for cell, run in cells.items()}
    labels, count = columns_of(cells), len(results.replicates)
    whole = max(fmd.values()) / min(fmd.values())
    out = [f"The highest FMD of the grid is {number(whole)} times the lowest {seeds(count)}."]
    for axis, other, words in ((0, 1, "What the network predicts"), (1, 0, "The schedule")):
        spreads = {line: max(found.values()) / min(found.values())
                   for line in dict.fromkeys(cell[other] for cell in fmd)
                   if len(found := {c[axis]: v for c, v in fmd.items() if c[other] == line}) > 1}
        if spreads:
            most = max(spreads, key=spreads.get)
            line = labels[most] if other else f"{most} predicted"
            out.append(f"{words} changes FMD by a factor of at most {number(spreads[most])} ({line}).")
    return [" ".join([*out, *winners(fmd, labels)])]


def winners(fmd: Mapping[Cell, float], labels: Mapping[str, str]) -> list[str]:
    """The target of lowest FMD under each schedule, where every target was run."""
    rows = set(row for row, _ in fmd)
    best = {}
    for schedule, label in labels.items():
        found = {row: value for (row, column), value in fmd.items() if column == schedule}
        if set(found) == rows and len(rows) > 1:
            best[label] = min(found, key=found.get)
    if len(best) < 2:
        return []
    if len(set(best.values())) == 1:
        return [f"Under every schedule that has all targets, {named(next(iter(best.values())))} has the "
                "lowest FMD."]
    return ["The target of lowest FMD depends on the schedule: "
            + listed([f"{row} under {label}" for label, row in best.items()]) + "."]
