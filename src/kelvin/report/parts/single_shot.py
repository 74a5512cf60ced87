"""Study E's rules for x0_hat: single-shot restoration over t, by fold and by rule."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from kelvin.artifacts.names import CLIPPED, FED_BACK, NOTHING_CLIPPED, rule_and_how
from kelvin.metrics.measures import MEASURES as ALL
from kelvin.report.kit.style import WIDTH, Figure, chart, finish, look
from kelvin.report.kit.table import Column, Row, Table, number, with_error
from kelvin.report.kit.words import named
from kelvin.report.results import Run

PARTS = {"test": "held-out images", "seen": "the test split's images of objects trained on"}
MEASURES = {m.key: f"{m.title} ({m.unit})" if m.unit else m.title for m in ALL.within("restoration")}
MEANING = {"exact": "exact rule", "study-e": "study E's scaler", "unscaled": "factor left out",
           "as-eps": "scaled noise taken for eps"}
HOW = {NOTHING_CLIPPED: "nothing clipped", CLIPPED: "x0_hat clipped",
       FED_BACK: "x0_hat taken for the next state"}
EXACT = "exact"
STUDY_E = (50, 0.704)  # t and SSIM: the best of study E's table, one evaluation on Fruits-360 at 100x100
KNOW = {"ssim": " SSIM: uniform window of {} pixels, data range 1, mean over channels.",
        "psnr": " PSNR of an image is capped at 48.1 dB, one grey level in every pixel."}


def title(way: str) -> str:
    """A rule, and what was done with x0_hat, in words."""
    rule, how = rule_and_how(way)
    return MEANING.get(rule, rule) + (f", {HOW[how]}" if how else "")


def study_e(run: Run, shape: tuple[int, ...]) -> str:
    """SSIM at study E's best t beside what it gave there; "" where the run has no row of that t."""
    t, theirs = STUDY_E
    rows = [row for fold in over_time(run, "test") for row in fold if row["t"] == t]
    if not rows:
        return ""
    ours = float(np.mean([row["ssim"] for row in rows]))
    return (f"One evaluation at t = {t} restores held-out images of {named(run.title)} at "
            f"{shape[1]}×{shape[2]} pixels to an SSIM of {number(ours)} ({rows[0]['n']} images of "
            f"{len(rows)} fold{'s' * (len(rows) > 1)}); study E gave {theirs} at 100×100, by its own "
            "rule.")


@dataclass(frozen=True)
class ByRow(Table):
    """A table whose bold value is the best of a row instead of a column."""

    def _is_best(self, column: Column, row: Row) -> bool:
        return len(self.columns) > 2 and bool(column.key) and row[column.key] == row["best"]


def over_time(run: Run, part: str, rule: str = EXACT) -> list[list[Row]]:
    """Rows of single-shot restoration over t, one list a fold."""
    return [[row for row in r.details.get("over_time", []) if row["part"] == part
             and row["rule"] == rule] for r in run.replicates]


def measured(run: Run) -> bool:
    return bool(run.first.details.get("over_time"))


def rules(run: Run) -> list[str]:
    """The rules tried on its predictions, the exact one first."""
    return list(dict.fromkeys(row["rule"] for row in run.first.details.get("over_time", [])))


def values(run: Run, part: str, rule: str, key: str) -> np.ndarray:
    """A measure of every fold (rows) at every t (columns)."""
    return np.array([[row[key] for row in fold] for fold in over_time(run, part, rule)])


def mean_and_error(run: Run, part: str, rule: str, key: str) -> tuple[np.ndarray, np.ndarray]:
    """The mean of a measure over folds at every t, and its standard error over folds; with one fold, over
    its images."""
    folds = values(run, part, rule, key)
    return folds.mean(0), (values(run, part, rule, f"{key}_se")[0] if len(folds) == 1
                           else folds.std(0, ddof=1) / len(folds) ** 0.5)


def error_over(run: Run) -> str:
    """What the error of `mean_and_error` is taken over."""
    return (f"standard error over {len(run.replicates)} folds" if len(run.replicates) > 1
            else "standard error over images of one fold")


def best_of(measure: str, values: Iterable[float]) -> float:
    return min(values) if ALL[measure].better == "lower" else max(values)


def by_fold(name: str, run: Run, part: str, measure: str, window: int) -> Table:
    """A measure by t (rows) and fold (columns), by the exact rule."""
    folds, places = over_time(run, part), [r.index for r in run.replicates]
    rows: list[Row] = [
        {"run": run.name, "t": at_t[0]["t"], "n": at_t[0]["n"],
         **{f"{key}_{i}": row[key] for i, row in zip(places, at_t, strict=True)
            for key in (measure, f"{measure}_sd", f"{measure}_se")},
         "best": best_of(measure, (row[measure] for row in at_t))}
        for at_t in zip(*folds, strict=True)]

    def cell(row: Row, i: int) -> str:
        return (f"{number(row[f'{measure}_{i}'])} ± {number(row[f'{measure}_sd_{i}'], 2)} "
                f"({number(row[f'{measure}_se_{i}'], 2)})")

    columns = [Column("t", lambda r: number(r["t"])),
               *(Column(f"fold {i}", lambda row, i=i: cell(row, i), f"{measure}_{i}") for i in places)]
    return ByRow(f"{name}-{run.name}-{part}-{measure}", f"{run.title}: {MEASURES[measure]} of "
                 f"single-shot x0_hat on {PARTS[part]}, n = {rows[0]['n']} in a seeded order. ±: "
                 f"standard deviation over images; in brackets: standard error of the mean."
                 f"{KNOW.get(measure, '').format(window)} Bold: best fold of a row.", columns, rows)


def by_rule(name: str, run: Run, part: str, measure: str, window: int) -> Table:
    """A measure by t (rows) and rule (columns), means over folds."""
    tried = {rule: mean_and_error(run, part, rule, measure) for rule in rules(run)}
    rows: list[Row] = [
        {"run": run.name, "t": row["t"], "n": row["n"], "folds": len(run.replicates),
         **{key: float(value[k]) for rule, (mean, error) in tried.items()
            for key, value in ((rule, mean), (f"{rule}_se", error))},
         "best": best_of(measure, (float(mean[k]) for mean, _ in tried.values()))}
        for k, row in enumerate(over_time(run, part)[0])]
    columns = [Column("t", lambda r: number(r["t"])),
               *(Column(title(rule), lambda row, rule=rule: with_error(row, rule), rule)
                 for rule in tried)]
    return ByRow(f"{name}-{run.name}-{part}-rules-{measure}", f"{run.title}: {MEASURES[measure]} of "
                 f"single-shot x0_hat on {PARTS[part]}, one prediction turned into an image by each "
                 f"rule. Mean over {len(run.replicates)} fold{'s' * (len(run.replicates) > 1)} of "
                 f"{rows[0]['n']} images ± {error_over(run)}.{KNOW.get(measure, '').format(window)} "
                 "Bold: best rule of a row.", columns, rows)


def fold_figure(name: str, runs: list[Run]) -> Figure:
    """SSIM, PSNR and RMSE over t of every fold, by run."""
    drawing, panels = chart(WIDTH, 6.4, len(MEASURES), len(runs), sharex=True, sharey="row",
                            squeeze=False)
    for axes, label in zip(panels[:, 0], MEASURES.values(), strict=True):
        axes.set_ylabel(label)
    for column, run in zip(panels.T, runs, strict=True):
        t = [row["t"] for row in over_time(run, "test")[0]]
        for axes, measure in zip(column, MEASURES, strict=True):
            means = values(run, "test", EXACT, measure)
            sd, se = (values(run, "test", EXACT, f"{measure}_{kind}") for kind in ("sd", "se"))
            axes.fill_between(t, (means - sd).mean(0), (means + sd).mean(0), color="#E3E3E3", lw=0)
            for i, r in enumerate(run.replicates):
                axes.errorbar(t, means[i], se[i], label=f"fold {r.index}", capsize=1.5, lw=1,
                              **(look(i) | {"marker": ""}))
        column[0].set_title(run.title)
        column[-1].set_xlabel("t")
    return finish(drawing, f"{name}-by-fold", "Single-shot x0_hat on held-out images over t by the "
                  "exact rule. Line: mean of a fold's images; bar: its standard error; grey: standard "
                  "deviation over images, mean over folds.", columns=5)


def rule_figure(name: str, runs: list[Run]) -> Figure:
    """SSIM, PSNR and RMSE over t by run and rule; means over folds."""
    drawing, panels = chart(WIDTH, 3.4, across=len(MEASURES))
    for i, (run, rule) in enumerate([(r, rule) for r in runs for rule in rules(r)]):
        t = [row["t"] for row in over_time(run, "test")[0]]
        for axes, measure in zip(panels, MEASURES, strict=True):
            axes.errorbar(t, *mean_and_error(run, "test", rule, measure),
                          label=f"{run.title}: {title(rule)}", **look(i))
    for axes, label in zip(panels, MEASURES.values(), strict=True):
        axes.set(xlabel="t", ylabel=label)
    return finish(drawing, f"{name}-rules", "Single-shot x0_hat on held-out images over t, by the "
                  f"rule that turns the prediction into an image. Mean over folds; bar: "
                  f"{error_over(runs[0])}.", columns=2)
