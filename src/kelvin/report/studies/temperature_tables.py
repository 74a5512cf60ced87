"""D1's two tables: generation and restoration, two tasks that never share a column."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kelvin.report.kit.measured import column
from kelvin.report.kit.table import NOTHING, Column, Row, Table, number
from kelvin.report.parts import calibrating
from kelvin.report.parts.tables_restoration import CALIBRATING
from kelvin.report.results import Results, Run, StudyResults
from kelvin.report.studies.temperature import prior_mean, target


def iterated(run: Run) -> str | None:
    """The sampler that restores a run's degraded images: its first one, or the first that does."""
    methods = [m for m in run.record["restoration"] if m not in (*CALIBRATING, "one-shot")]
    return run.record["sampler"] if run.record["sampler"] in methods else next(iter(methods), None)


def generation(study: StudyResults, results: Results, metrics: Mapping[str, Row],
               costs: Mapping[str, Row]) -> Table | None:
    """Every trained run's first sampler beside what its prior alone is worth, below the calibrating
    rows; None without any."""
    rows: list[Row] = []
    for run in study.trained:
        record, cost, sampler = metrics[run.name], costs[run.name], run.record["sampler"]
        kept = {key: value for key, value in record.items() if key.startswith("fmd") or key in (
            "family", "sampler", "nfe", "precision", "recall", "class_evenness", "copy_fraction",
            "copier", "below_floor")}
        rows.append({"run": run.name, "title": run.title, "target": target(run), **kept,
                     "prior_fmd": prior_mean(run, "fmd"), "prior_recall": prior_mean(run, "recall"),
                     "train_seconds": cost["train_seconds"],
                     "sample_ms": 1000 * cost["sample_seconds"][sampler] / run.record["n"]})
    if not rows:
        return None
    rows = calibrating.with_scale(rows, results)

    def own(key: str) -> Callable[[Row], str]:  # nothing where images were not drawn by a run
        return lambda r: NOTHING if r[key] is None else number(r[key])

    columns = [
        Column("run", lambda r: r["title"]),
        Column("kind", lambda r: NOTHING if calibrating.is_one(r) else r["family"]),
        Column("sampler", lambda r: r["sampler"] or NOTHING), Column("NFE", own("nfe")),
        column("fmd", spread=True, bold=True), column("fmd_normalised", bold=True),
        column("recall", bold=True),
        Column("prior's FMD", own("prior_fmd")),
        Column("prior's recall", own("prior_recall")),
        column("class_evenness"),
        Column("copies", lambda r: f"{100 * r['copy_fraction']:.1f} %" + " (copier)" * bool(r["copier"])),
        Column("training, s", own("train_seconds")),
        Column("ms / sample", own("sample_ms"))]
    over = "over training seeds" if len(results.replicates) > 1 else "over images"
    level = f"{100 * results.plan.metrics.confidence:.0f} %"
    return Table(f"{study.name}-generation", f"Generation, n = {results.calibration['n']} samples of "
                 f"each run's first sampler. Brackets: {level} interval {over}"
                 f"{calibrating.note(results)}. Kind: hot = noise, "
                 "cold = no noise, warm = both. NFE: network evaluations per image. Recall: share of the "
                 "test images that lie among the samples. Prior's: the same scores of x_T itself, before "
                 "any step. Evenness: entropy of the predicted classes over its maximum. Bold: best of "
                 "the runs that are not flagged.", columns, rows,
                 lambda r: not (calibrating.is_one(r) or r["copier"] or r["below_floor"]))


def restoration(study: StudyResults) -> Table | None:
    """One shot, the linear restorer and the first sampler, means over t; None without trained runs."""
    rows: list[Row] = []
    for run in study.trained:
        for method in filter(None, ("one-shot", "linear", iterated(run))):
            if method in run.record["restoration"]:
                rows.append({"run": run.name, "title": run.title, "family": run.family, "method": method,
                             **{name: run.restoration_mean(method, key) for name, key in (
                                 ("ssim", "ssim"), ("rmse", "rmse"), ("fmd_restoration", "fmd"),
                                 ("fmd_normalised_restoration", "fmd_normalised"))}})
    if not rows:
        return None
    columns = [
        Column("run", lambda r: r["title"]), Column("method", lambda r: r["method"]),
        column("ssim", bold=True), column("rmse", bold=True),
        Column("FMD (restoration)", lambda r: number(r["fmd_restoration"]), "fmd_restoration", "min")]
    n = study.trained[0].first.details["restoration"][0]["n"]
    return Table(f"{study.name}-restoration", f"Restoration of {n} real test images, mean over evenly "
                 "spaced t: in one network evaluation, by the linear least-squares restorer, and by the "
                 "run's first sampler. SSIM and RMSE measure distortion (distance from the image "
                 f"itself); FMD (restoration) measures the distribution of the {n} restored images "
                 "and is no generation score. Bold: best of a run.", columns, rows, bold_within="run")
