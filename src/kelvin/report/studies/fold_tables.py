"""Single-shot restoration over t: by fold, and by the rule that makes an image of the prediction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kelvin.metrics.measures import MEASURES as ALL
from kelvin.report.kit.table import Column, Row, Table, number
from kelvin.report.results import Results, Run, StudyResults
from kelvin.report.studies import black_samples

PARTS = {"test": "held-out images", "seen": "the test split's images of objects trained on"}
MEASURES = {m.key: f"{m.title} ({m.unit})" if m.unit else m.title for m in ALL.within("restoration")}
EXACT = "exact"
# on the page; the others are files beside it
SHOWN = (*(f"{part}-ssim" for part in PARTS), "test-rules-ssim", "ancestral")


@dataclass(frozen=True)
class ByRow(Table):
    """Bold: the best of a row, not of a column."""

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


def error(found: np.ndarray, over_images: np.ndarray) -> np.ndarray:
    """Standard error over folds (rows); of one fold, that over its images."""
    return over_images[0] if len(found) == 1 else found.std(0, ddof=1) / len(found) ** 0.5


def error_over(run: Run) -> str:
    """What `error` is taken over, in words."""
    return (f"standard error over {len(run.replicates)} folds" if len(run.replicates) > 1
            else "standard error over images of one fold")


def tables(study: StudyResults, results: Results) -> list[Table | None]:
    window = results.plan.metrics.ssim_window
    found = [(run, part) for run in study.trained if measured(run) for part in PARTS
             if over_time(run, part)[0]]
    return [*(by_fold(study, run, part, measure, window) for run, part in found for measure in MEASURES),
            *(by_rule(study, run, part, measure, window) for run, part in found if len(rules(run)) > 1
              for measure in MEASURES),
            *(black_samples.table(study, run) for run in study.trained)]


def how(measure: str, window: int) -> str:
    """What one should know of a measure."""
    return {"ssim": f" SSIM: uniform window of {window} pixels, data range 1, mean over channels.",
            "psnr": " PSNR of an image is capped at 48.1 dB, one grey level in every pixel."
            }.get(measure, "")


def best(measure: str, found: list[float]) -> float:
    return min(found) if ALL[measure].better == "lower" else max(found)


def by_fold(study: StudyResults, run: Run, part: str, measure: str, window: int) -> Table:
    """A measure by t (rows) and fold (columns), by the exact rule."""
    folds = over_time(run, part)
    rows: list[Row] = []
    for k, row in enumerate(folds[0]):
        found = {"run": run.name, "t": row["t"], "n": row["n"]}
        for r, fold in zip(run.replicates, folds, strict=True):
            found |= {f"{key}_{r.index}": fold[k][key]
                      for key in (measure, f"{measure}_sd", f"{measure}_se")}
        found["best"] = best(measure, [fold[k][measure] for fold in folds])
        rows.append(found)

    def cell(row: Row, i: int) -> str:
        return (f"{number(row[f'{measure}_{i}'])} ± {number(row[f'{measure}_sd_{i}'], 2)} "
                f"({number(row[f'{measure}_se_{i}'], 2)})")

    columns = [Column("t", lambda r: number(r["t"])),
               *(Column(f"fold {r.index}", lambda row, i=r.index: cell(row, i), f"{measure}_{r.index}")
                 for r in run.replicates)]
    return ByRow(f"{study.name}-{run.name}-{part}-{measure}", f"{run.title}: {MEASURES[measure]} of "
                 f"single-shot x0_hat on {PARTS[part]}, n = {rows[0]['n']} in a seeded order. ±: "
                 f"standard deviation over images; in brackets: standard error of the mean."
                 f"{how(measure, window)} Bold: best fold of a row.", columns, rows)


def by_rule(study: StudyResults, run: Run, part: str, measure: str, window: int) -> Table:
    """A measure by t (rows) and rule (columns), means over folds: what each choice costs."""
    tried = {rule: values(run, part, rule, measure) for rule in rules(run)}
    errors = {rule: error(found, values(run, part, rule, f"{measure}_se"))
              for rule, found in tried.items()}
    rows: list[Row] = []
    for k, row in enumerate(over_time(run, part)[0]):
        found = {"run": run.name, "t": row["t"], "n": row["n"], "folds": len(run.replicates)}
        for rule in tried:
            found |= {rule: float(tried[rule][:, k].mean()), f"{rule}_se": float(errors[rule][k])}
        found["best"] = best(measure, [found[rule] for rule in tried])
        rows.append(found)
    columns = [Column("t", lambda r: number(r["t"])),
               *(Column(black_samples.title(rule), lambda row, rule=rule:
                        f"{number(row[rule])} ± {number(row[f'{rule}_se'], 2)}", rule) for rule in tried)]
    return ByRow(f"{study.name}-{run.name}-{part}-rules-{measure}", f"{run.title}: {MEASURES[measure]} "
                 f"of single-shot x0_hat on {PARTS[part]}, one prediction turned into an image by each "
                 f"rule. Mean over {len(run.replicates)} fold{'s' * (len(run.replicates) > 1)} of "
                 f"{rows[0]['n']} images ± {error_over(run)}.{how(measure, window)} Bold: best rule of a "
                 "row.", columns, rows)
