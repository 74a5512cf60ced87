"""Studies of runs that differ in cost: quality beside cost, at equal updates and at equal time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kelvin.report.kit.style import BAND, WIDTH, Figure, finish, legend_below, look, new, plain, ticks
from kelvin.report.kit.table import NOTHING, Column, Row, Table, number, span
from kelvin.report.kit.words import listed, named, seeds
from kelvin.report.parts import calibrating
from kelvin.report.results import Results, Run, StudyResults

COSTS = {"parameters": "parameters", "flops_per_image": "FLOPs per image",
         "peak_memory_bytes": "peak memory", "updates": "updates", "train_seconds": "training seconds"}
STEP = 3  # a training step costs three forward passes: one forward, two in the backward pass


@dataclass(frozen=True)
class EqualTime:
    """FMD of a run at a time between two kept epochs: log FMD is linear in seconds there. epoch: the
    same between the two. Means over training seeds; seconds of updates alone, without evaluation and
    sampling."""

    run: Run
    epoch: float
    seconds: float
    fmd: float


def cost(run: Run, key: str) -> float | None:
    """Mean over training seeds; None where a record made earlier lacks it."""
    found = [replicate.details["cost"].get(key) for replicate in run.replicates]
    return None if None in found else float(np.mean(found))


def training_flops(run: Run) -> float:
    """Floating point operations of all updates, by the rule of three forward passes a step."""
    return STEP * cost(run, "flops_per_image") * cost(run, "updates") * run.config.training.batch


def curve(run: Run) -> list[tuple[int, float, float]] | None:
    """(epoch, seconds of updates until its end, FMD) of kept epochs, means over training seeds; None
    where a record has no seconds per epoch."""
    spent = [replicate.details["cost"].get("epoch_seconds") for replicate in run.replicates]
    if not all(spent):
        return None
    seconds = np.mean([np.cumsum(part) for part in spent], axis=0)
    rows = zip(*(replicate.details["epochs"] for replicate in run.replicates), strict=True)
    return [(row[0]["epoch"], float(seconds[row[0]["epoch"] - 1]),
             float(np.mean([r["fmd"] for r in row]))) for row in rows]


def equal_time(runs: Sequence[Run]) -> tuple[float, list[EqualTime]]:
    """The largest time that all runs reached, and each run at that time. Runs that had kept no samples
    by then, or know no seconds, are left out."""
    curves = {run.name: (run, found) for run in runs if (found := curve(run))}
    if not curves:
        return 0.0, []
    limit = min(found[-1][1] for _, found in curves.values())
    out = []
    for run, found in curves.values():
        epochs, seconds, fmd = (np.array(column, float) for column in zip(*found, strict=True))
        if seconds[0] <= limit:
            out.append(EqualTime(run, float(np.interp(limit, seconds, epochs)), limit,
                                 float(np.exp(np.interp(limit, seconds, np.log(fmd))))))
    return limit, out


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points (cost, value) that no other beats in one and equals or beats in the other,
    by rising cost; both count as better when lower."""
    order = sorted(range(len(points)), key=lambda i: points[i])
    front: list[int] = []
    for i in order:
        if not front or points[i][1] < points[front[-1]][1]:
            front.append(i)
    return front


def hardware(runs: Sequence[Run]) -> str:
    """Where the seconds were spent: comparable only where this is one machine."""
    found = dict.fromkeys(f"{c['hardware']}, {c['precision']}, {c['threads']} thread"
                          f"{'s' * (c['threads'] > 1)}" for run in runs for r in run.replicates
                          for c in [r.details["cost"]])
    return listed(list(found))


def table(study: StudyResults, results: Results, metrics: Mapping[str, Row]) -> Table | None:
    """Cost beside quality, below the calibrating rows, which cost nothing; None without trained runs."""
    if not study.trained:
        return None
    limit, reached = equal_time(study.trained)
    at = {point.run.name: point for point in reached}
    front = on_front(study.trained)
    rows: list[Row] = []
    for run in study.trained:
        record, point = metrics[run.name], at.get(run.name)
        rows.append({"run": run.name, "title": run.title, "network": run.config.network.kind,
                     **{key: cost(run, key) for key in COSTS}, "training_flops": training_flops(run),
                     **{key: record.get(key) for key in ("fmd", "fmd_low", "fmd_high", "val_loss_ema")},
                     "equal_seconds": limit if point else None,
                     "equal_epoch": point.epoch if point else None,
                     "equal_fmd": point.fmd if point else None, "pareto": run.name in front})

    rows = calibrating.with_scale(rows, results)

    def counted(key: str, scale: float = 1.0) -> Any:
        return lambda r: NOTHING if r[key] is None else number(r[key] / scale)

    def whole(key: str) -> Any:
        return lambda r: NOTHING if r[key] is None else f"{r[key]:,.0f}"

    columns = [Column("run", lambda r: r["title"]), Column("network", lambda r: r["network"] or NOTHING),
               Column("parameters", whole("parameters")),
               Column("MFLOPs / image", counted("flops_per_image", 1e6)),
               Column("peak memory, MiB", counted("peak_memory_bytes", 2**20)),
               Column("updates", whole("updates")),
               Column("training, s", counted("train_seconds")),
               Column("training, GFLOPs", counted("training_flops", 1e9)),
               Column("FMD", lambda r: span(r, "fmd"), "fmd", "min"),
               Column("validation loss", counted("val_loss_ema")),
               Column("FMD at equal time", counted("equal_fmd"), "equal_fmd", "min"),
               Column("Pareto", lambda r: "yes" if r["pareto"] else NOTHING)]
    when = (f"FMD at equal time: after {number(limit)} s of updates, between kept epochs, which all "
            f"runs reached ({hardware(study.trained)}), on the fewer samples kept while training. "
            if reached else "")
    return Table(study.name, "Cost beside quality. FLOPs: one image's forward pass, a multiply-add "
                 "counted as two. Peak memory: counted, not measured: weights, gradients, Adam's two "
                 "moments, the EMA copy, and all that autograd keeps of one fp32 batch for its backward "
                 f"pass. Training FLOPs: three forward passes an update. {when}Pareto: no run has both a "
                 "lower FMD and fewer training FLOPs. Bold: lowest of the runs.", columns, rows,
                 lambda r: not calibrating.is_one(r))


def on_front(runs: Sequence[Run]) -> list[str]:
    """Names of the runs on the front of FMD against training FLOPs."""
    points = [(training_flops(run), run.mean("fmd")) for run in runs]
    return [runs[i].name for i in pareto(points)]


def figures(study: StudyResults, results: Results) -> list[Figure]:
    """The Pareto figure, and FMD per epoch against updates beside FMD against seconds."""
    out = [pareto_figure(study, results)]
    if any(curve(run) for run in study.trained):
        out.append(progress_figure(study, results))
    return out


def band(axes: Any, floor: float, sd: float) -> None:
    axes.axhspan(floor - sd, floor + sd, color=BAND, zorder=0, label="real images (mean ± sd)")


def logarithmic(axes: Any) -> None:
    axes.set(xscale="log", yscale="log")
    ticks(axes.xaxis)
    ticks(axes.yaxis)


def pareto_figure(study: StudyResults, results: Results) -> Figure:
    canvas = new(WIDTH, 3.5)
    panels = canvas.subplots(1, 2, sharey=True)
    runs = study.trained
    calibration = results.calibration
    for axes, spent, label in (
            (panels[0], [training_flops(r) / 1e9 for r in runs], "training FLOPs (10⁹)"),
            (panels[1], [cost(r, "train_seconds") for r in runs], "seconds of training")):
        points = [(x, run.mean("fmd")) for x, run in zip(spent, runs, strict=True)]
        for i, (point, run) in enumerate(zip(points, runs, strict=True)):
            axes.plot(*point, **look(i) | {"linestyle": "none", "markersize": 7}, label=plain(run.title))
        front = np.array([points[i] for i in pareto(points)])
        axes.plot(front[:, 0], front[:, 1], color="#555555", linewidth=1, drawstyle="steps-post",
                  zorder=0.5, label="Pareto front")
        band(axes, calibration["floor"], calibration["floor_sd"])
        axes.set(xlabel=label)
        logarithmic(axes)
    panels[0].set_ylabel("FMD of the samples")
    legend_below(canvas, panels[0], 3)
    return finish(canvas, f"{study.name}-pareto", "Quality against cost, both axes logarithmic: lower is "
                  "nearer to real images, left is cheaper. Line: the Pareto front, below and left of "
                  "which there is no run. Left: counted, the same on every machine. Right: on "
                  f"{hardware(runs)}, evaluation and kept samples included.")


def progress_figure(study: StudyResults, results: Results) -> Figure:
    canvas = new(WIDTH, 3.5)
    panels = canvas.subplots(1, 2, sharey=True)
    for i, run in enumerate(study.trained):
        found = curve(run)
        if not found:
            continue
        epochs, seconds, fmd = zip(*found, strict=True)
        each = cost(run, "updates") / run.config.training.epochs
        panels[0].plot([each * e for e in epochs], fmd, label=plain(run.title), **look(i))
        panels[1].plot(seconds, fmd, label=plain(run.title), **look(i))
    row = study.trained[0].first.details["epochs"][0]
    limit, reached = equal_time(study.trained)
    for axes, label in zip(panels, ("updates", "seconds of updates"), strict=True):
        band(axes, row["floor"], row["floor_sd"])
        axes.set(xlabel=label)
        logarithmic(axes)
    if reached:
        panels[1].axvline(limit, color="#555555", linewidth=0.8, linestyle=(0, (2, 2)), zorder=0.5)
    panels[0].set_ylabel(f"FMD while training, n = {row['n']}")
    legend_below(canvas, panels[0], 3)
    return finish(canvas, f"{study.name}-progress", "FMD of the samples that training kept, against "
                  "updates (left) and against the seconds that the updates took (right), all axes "
                  f"logarithmic. Dotted: the largest time that all runs reached, {number(limit)} s on "
                  f"{hardware(study.trained)}.")


def findings(study: StudyResults, results: Results, metrics: Mapping[str, Row]) -> list[str]:
    """The order at equal updates, then at equal time, and the Pareto front."""
    runs, count = study.trained, len(results.replicates)
    if len(runs) < 2:
        return []
    updates = {run.title: cost(run, "updates") for run in runs}
    alike = len(set(updates.values())) == 1
    head = (f"After {number(int(runs[0].first.details['cost']['updates']))} updates each" if alike else
            f"After {number(int(min(updates.values())))} to {number(int(max(updates.values())))} updates")
    out = [f"{head}, {order([(run.title, run.mean('fmd')) for run in runs], count)}"]
    limit, reached = equal_time(runs)
    if len(reached) > 1:
        left = [named(run.title) for run in runs if run.name not in {p.run.name for p in reached}]
        out.append(f"At equal time, {number(limit)} s of updates on {hardware(runs)}, "
                   + order([(p.run.title, p.fmd) for p in reached], count, "FMD while training")
                   + (f" {listed(left)} had kept no samples by then." if left else ""))
    front = on_front(runs)
    inside = [named(run.title) for run in runs if run.name not in front]
    out.append("On the Pareto front of FMD against training FLOPs: "
               + listed([named(run.title) for run in runs if run.name in front])
               + (f"; a run that costs no more has a lower FMD {seeds(count)} than {listed(inside)}."
                  if inside else "."))
    return out


def order(values: Sequence[tuple[str, float]], count: int, measure: str = "FMD") -> str:
    """Lowest to highest, as a description."""
    ordered = sorted(values, key=lambda pair: pair[1])
    return (f"{measure} {seeds(count)} is, from low to high: "
            + listed([f"{named(title)} {number(value)}" for title, value in ordered]) + ".")
