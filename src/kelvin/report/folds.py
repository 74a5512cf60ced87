"""Study E: what folds that leak hide, restoration over t by fold, and what the study's rule cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kelvin.metrics.comparisons import LEAST, compare
from kelvin.report import darkness, pictures, strips
from kelvin.report.collect import Results, Run, StudyResults
from kelvin.report.findings import named
from kelvin.report.style import WIDTH, Figure, finish, legend_below, look, new, ticks, whole
from kelvin.report.table import Column, Row, Table, number


@dataclass(frozen=True)
class ByFold(Table):
    """Bold: the best of a row, not of a column."""

    def _is_best(self, column: Column, row: Row) -> bool:
        return len(self.columns) > 2 and bool(column.key) and row[column.key] == row["best"]


PARTS = {"test": "held-out images", "seen": "the test split's images of objects trained on"}
MEASURES = {"ssim": "SSIM", "psnr": "PSNR (dB)", "rmse": "RMSE"}


def over_time(run: Run, part: str, rule: str = "exact") -> list[list[Row]]:
    """Rows of single-shot restoration over t, one list a fold."""
    return [[row for row in r.details.get("over_time", []) if row["part"] == part
             and row["rule"] == rule] for r in run.replicates]


def measured(run: Run) -> bool:
    return bool(run.first.details.get("over_time"))


def figures(study: StudyResults, results: Results) -> list[Figure | None]:
    shown = [rows_figure(study, run) for run in study.trained if measured(run)]
    decoded = strips.decoding_figure(f"{study.name}-decoding", study.trained, "Generation: two new "
                                     "images of each run from x_T (left) to the sample, every T/10.")
    return [loss_figure(study), ssim_figure(study), *shown, decoded, *darkness.figures(study)]


def loss_figure(study: StudyResults) -> Figure:
    """Train and validation loss of every fold; a cross where training stopped, a disc at the best."""
    runs = study.trained
    drawing = new(WIDTH, 3.2)
    panels = drawing.subplots(1, len(runs), sharey=True, squeeze=False)[0]
    for axes, run in zip(panels, runs, strict=True):
        for i, r in enumerate(run.replicates):
            x, colour = [row["epoch"] for row in r.history], look(i)["color"]
            y = [row["val_loss_ema"] for row in r.history]
            axes.plot(x, [row["train_loss"] for row in r.history], ":", color=colour)
            axes.plot(x, y, "-", color=colour, label=f"fold {r.index}")
            if best := r.record.get("best_epoch"):
                axes.plot(best, y[best - 1], "o", color=colour)
            if stopped := r.record.get("stopped_epoch"):
                axes.plot(stopped, y[stopped - 1], "x", color=colour)
        axes.set(title=run.title, xlabel="epoch", yscale="log")
        whole(axes.xaxis)
    panels[0].set(ylabel="loss after the epoch")
    ticks(panels[0].yaxis)
    legend_below(drawing, panels[0], 5)
    return finish(drawing, f"{study.name}-loss", "Loss of every fold at fixed t and z. Dotted: training "
                  "images (raw weights); line: held-out images (EMA weights). Disc: the epoch whose "
                  "weights are kept; cross: where training stopped early.")


def ssim_figure(study: StudyResults) -> Figure | None:
    """SSIM over t by run, and by rule where there is more than one; means over folds."""
    runs = [run for run in study.trained if measured(run)]
    if not runs:
        return None
    drawing = new(WIDTH, 3.4)
    axes, i = drawing.subplots(), 0
    for run in runs:
        for rule in dict.fromkeys(row["rule"] for row in run.first.details["over_time"]):
            rows = over_time(run, "test", rule)
            y = np.mean([[row["ssim"] for row in fold] for fold in rows], axis=0)
            axes.plot([row["t"] for row in rows[0]], y, label=f"{run.title}: {darkness.title(rule)}",
                      **look(i))
            i += 1
    axes.set(xlabel="t", ylabel="SSIM of one-shot restoration")
    legend_below(drawing, axes, 2)
    return finish(drawing, f"{study.name}-ssim", "SSIM of single-shot x0_hat on held-out images over t, "
                  "mean over folds, by the rule that turns the prediction into an image.")


def rows_figure(study: StudyResults, run: Run, most: int = 6) -> Figure:
    """Truth, degraded and restored over t of one image of each kind: at most ten times, `most` kinds."""
    truth, times = run.first.array("at/test/truth"), run.first.array("at/times")
    kinds, first = np.unique(run.first.array("at/test/kinds"), return_index=True)
    chosen = range(0, len(times), max(1, len(times) // 10))
    rules = [key for key in run.first.keys if key.startswith("at/test/rule/")]
    arrays = {"degraded": run.first.array("at/test/degraded"),
              **{darkness.title(key.rsplit("/", 1)[1]): run.first.array(key) for key in rules}}
    panels = [pictures.table(str(kind), [[truth[i], *(x[k, i] for k in chosen)]
                                          for x in arrays.values()],
                             list(arrays), ["truth", *(str(times[k]) for k in chosen)])
              for kind, i in list(zip(kinds, first, strict=True))[:most]]
    caption = (f"{run.title}: the first held-out image of each kind (in a seeded order), degraded to t "
               "and restored in one shot.")
    return pictures.show(f"{study.name}-{run.name}-rows", caption, panels, 1)


def tables(study: StudyResults, results: Results) -> list[Table | None]:
    return [*(table(study, run, part, measure, results.params.metrics.ssim_window)
              for run in study.trained if measured(run) for part in PARTS if over_time(run, part)[0]
              for measure in MEASURES), *(darkness.table(study, run) for run in study.trained)]


def table(study: StudyResults, run: Run, part: str, measure: str, window: int) -> Table:
    """A measure by t (rows) and fold (columns). Best fold of a row in bold."""
    folds = over_time(run, part)
    rows: list[Row] = []
    for k, row in enumerate(folds[0]):
        found = {"run": run.name, "t": row["t"], "n": row["n"]}
        for r, fold in zip(run.replicates, folds, strict=True):
            found |= {f"{key}_{r.index}": fold[k][key]
                      for key in (measure, f"{measure}_sd", f"{measure}_se")}
        found["best"] = (min if measure == "rmse" else max)(fold[k][measure] for fold in folds)
        rows.append(found)

    def cell(row: Row, i: int) -> str:
        return (f"{number(row[f'{measure}_{i}'])} ± {number(row[f'{measure}_sd_{i}'], 2)} "
                f"({number(row[f'{measure}_se_{i}'], 2)})")

    columns = [Column("t", lambda r: number(r["t"])),
               *(Column(f"fold {r.index}", lambda row, i=r.index: cell(row, i), f"{measure}_{r.index}")
                 for r in run.replicates)]
    how = (f" SSIM: uniform window of {window} pixels, data range 1, mean over channels."
           if measure == "ssim" else "")
    return ByFold(f"{study.name}-{run.name}-{part}-{measure}", f"{run.title}: {MEASURES[measure]} "
                 f"of single-shot x0_hat on {PARTS[part]}, n = {rows[0]['n']}. ±: standard deviation "
                 f"over images; in brackets: standard error of the mean.{how} Bold: best fold of a row.",
                 columns, rows)


def findings(study: StudyResults, results: Results, metrics: Mapping[str, Row]) -> list[str]:
    runs = {run.config.split: run for run in reversed(study.trained)
            if run.config.restorer.parameterisation == "eps"}
    out = []
    if {"grouped", "leaky"} <= runs.keys():
        out.append(harm(runs["grouped"], runs["leaky"], results.params.metrics.confidence))
    for run in study.trained:
        out += rule_cost(run) + darkness.findings(run)
    return out


def harm(grouped: Run, leaky: Run, level: float) -> str:
    """Validation loss of leaky against grouped folds, in words; a verdict only with enough folds."""
    ours, theirs = grouped.values("val_loss_ema"), leaky.values("val_loss_ema")
    share = float(np.mean(theirs)) / float(np.mean(ours)) - 1
    text = (f"With leaky folds the validation loss is {number(float(np.mean(theirs)))}, with grouped "
            f"folds {number(float(np.mean(ours)))} ({100 * abs(share):.1f} % "
            f"{'lower' if share < 0 else 'higher'} where it leaks)")
    if measured(grouped) and measured(leaky):
        ssim = [np.mean([row["ssim"] for fold in over_time(r, "test") for row in fold])
                for r in (grouped, leaky)]
        text += (f"; SSIM on held-out images, mean over t, is {number(float(ssim[1]))} where it leaks "
                 f"and {number(float(ssim[0]))} on unseen objects")
    if len(ours) < LEAST:
        return text + (f". Folds count as replicates: with {len(ours)} of them no verdict is given "
                       f"(at least {LEAST}).")
    found = compare(ours, {"leaky": theirs}, level)["leaky"]
    return text + (f". Validation loss over {len(ours)} folds, paired and counted as replicates (their "
                   f"training sets overlap): {found.verdict} (p = {number(found.p)}).")


def rule_cost(run: Run) -> list[str]:
    """How much SSIM a rule other than the exact one loses, at its worst t."""
    exact = over_time(run, "test")[0]
    out = []
    for rule in dict.fromkeys(row["rule"] for row in run.first.details.get("over_time", [])):
        if rule == "exact":
            continue
        lost = {a["t"]: a["ssim"] - b["ssim"]
                for a, b in zip(exact, over_time(run, "test", rule)[0], strict=True)}
        t = max(lost, key=lost.get)
        out.append(f"{named(run.title)}: against the exact rule, {darkness.title(rule)} loses "
                   f"on average {number(float(np.mean(list(lost.values()))))} SSIM, at most "
                   f"{number(lost[t])} at t = {t}.")
    return out
