"""Studies of runs that differ in cost: quality beside cost, at equal updates and at equal time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from kelvin.report.kit.style import GREY, WIDTH, Figure, band, chart, finish, logarithmic, looks, plain
from kelvin.report.kit.table import NOTHING, Column, Row, Table, number
from kelvin.report.kit.words import listed, machine, named, seeds
from kelvin.report.parts import columns
from kelvin.report.parts.columns import cell
from kelvin.report.results import Run
from kelvin.report.studies.base import Study, studies

COSTS = {"parameters": "parameters", "flops_per_image": "FLOPs per image",
         "peak_memory_bytes": "peak memory", "updates": "updates", "train_seconds": "training seconds"}
STEP = 3  # a training step costs three forward passes: one forward, two in the backward pass


def cost(run: Run, key: str) -> float | None:
    """Mean over training seeds; None where a record lacks it."""
    values = [replicate.details["cost"].get(key) for replicate in run.replicates]
    return None if None in values else float(np.mean(values))


def training_flops(run: Run) -> float:
    """Floating point operations of all updates."""
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


def equal_time(runs: Sequence[Run]) -> tuple[float, dict[str, tuple[float, float]]]:
    """The largest time that all runs reached, in seconds of updates alone, and {run: (epoch, FMD)} at
    that time, where log FMD is linear in seconds between two kept epochs and so is the epoch.

    Means over training seeds; runs that had kept no samples by then, or have no seconds, are absent.
    """
    curves = {run.name: points for run in runs if (points := curve(run))}
    limit = min((points[-1][1] for points in curves.values()), default=0.0)
    out = {}
    for name, points in curves.items():
        epochs, seconds, fmd = (np.array(column, float) for column in zip(*points, strict=True))
        if seconds[0] <= limit:
            out[name] = (float(np.interp(limit, seconds, epochs)),
                         float(np.exp(np.interp(limit, seconds, np.log(fmd)))))
    return limit, out


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices, by rising cost, of the points (cost, value) that no other point beats in one and equals or
    beats in the other. Lower is better in both."""
    order = sorted(range(len(points)), key=lambda i: points[i])
    front: list[int] = []
    for i in order:
        if not front or points[i][1] < points[front[-1]][1]:
            front.append(i)
    return front


def hardware(runs: Sequence[Run]) -> str:
    """The machines that the seconds are from: seconds compare on one machine only."""
    return listed(list(dict.fromkeys(machine(r.details["cost"], "hardware", "precision")
                                     for run in runs for r in run.replicates)))


def on_front(runs: Sequence[Run]) -> list[str]:
    """Names of the runs on the front of FMD against training FLOPs."""
    points = [(training_flops(run), run.mean("fmd")) for run in runs]
    return [runs[i].name for i in pareto(points)]


@studies.register("comparison")
class Comparison(Study):
    ranked = True

    def tables(self) -> list[Table | None]:
        """Cost beside quality."""
        limit, points = equal_time(self.trained)
        front = on_front(self.trained)
        rows: list[Row] = []
        for run in self.trained:
            record, (epoch, fmd) = self.records[run.name], points.get(run.name, (None, None))
            rows.append({"run": run.name, "title": run.title, "network": run.config.network.kind,
                         **{key: cost(run, key) for key in COSTS}, "training_flops": training_flops(run),
                         **{key: record.get(key) for key in ("fmd", "fmd_low", "fmd_high",
                                                             "val_loss_ema")},
                         "equal_seconds": None if fmd is None else limit, "equal_epoch": epoch,
                         "equal_fmd": fmd, "pareto": run.name in front})

        def counted(unit: float) -> Callable[[float], str]:
            return lambda value: number(value / unit)

        heads = [columns.RUN, columns.text("network"),
                 Column("parameters", cell("parameters", "{:,.0f}".format)),
                 Column("MFLOPs / image", cell("flops_per_image", counted(1e6))),
                 Column("peak memory, MiB", cell("peak_memory_bytes", counted(2**20))),
                 Column("updates", cell("updates", "{:,.0f}".format)),
                 Column("training, s", cell("train_seconds")),
                 Column("training, GFLOPs", cell("training_flops", counted(1e9))), columns.FMD,
                 Column("validation loss", cell("val_loss_ema")),
                 Column("FMD at equal time", cell("equal_fmd"), "equal_fmd", "min"),
                 Column("Pareto", lambda r: "yes" if r["pareto"] else NOTHING)]
        when = (f"FMD at equal time: after {number(limit)} s of updates, between kept epochs, which all "
                f"runs reached ({hardware(self.trained)}), on the fewer samples kept while training. "
                if points else "")
        return [Table(
            self.name, "Cost beside quality. FLOPs: one image's forward pass, a multiply-add counted as "
            "two. Peak memory: counted, not measured: weights, gradients, Adam's two moments, the EMA "
            "copy, and all that autograd keeps of one fp32 batch for its backward pass. Training FLOPs: "
            f"three forward passes an update. {when}Pareto: no run has both a lower FMD and fewer "
            "training FLOPs. Bold: lowest of the runs.", heads, rows,
            page=("network", "parameters", "training, GFLOPs", "training, s", "FMD at equal time",
                  "Pareto"))] if rows else []

    def figures(self) -> list[Figure]:
        """The Pareto figure, and FMD per epoch against updates beside FMD against seconds."""
        timed = any(curve(run) for run in self.trained)
        return [self.pareto_figure(), *([self.progress_figure()] if timed else []), self.samples()]

    def pareto_figure(self) -> Figure:
        canvas, panels = chart(WIDTH, 3.5, across=2, sharey=True)
        runs, about = self.trained, self.results.calibration
        for axes, spent, label in (
                (panels[0], [training_flops(r) / 1e9 for r in runs], "training FLOPs (10⁹)"),
                (panels[1], [cost(r, "train_seconds") for r in runs], "seconds of training")):
            points = [(x, run.mean("fmd")) for x, run in zip(spent, runs, strict=True)]
            for point, run, look in zip(points, runs, looks(runs), strict=True):
                axes.plot(*point, **look | {"linestyle": "none", "markersize": 7},
                          label=plain(run.title))
            front = np.array([points[i] for i in pareto(points)])
            axes.plot(front[:, 0], front[:, 1], color=GREY, linewidth=1, drawstyle="steps-post",
                      zorder=0.5, label="Pareto front")
            band(axes, about["floor"], about["floor_sd"])
            axes.set(xlabel=label)
            logarithmic(axes)
        panels[0].set_ylabel("FMD of the samples")
        return finish(canvas, f"{self.name}-pareto", "Quality against cost, both axes logarithmic: lower "
                      "is nearer to real images, left is cheaper. Line: the Pareto front, below and left "
                      "of which there is no run. Left: counted, the same on every machine. Right: on "
                      f"{hardware(runs)}, evaluation and kept samples included.")

    def progress_figure(self) -> Figure:
        canvas, panels = chart(WIDTH, 3.5, across=2, sharey=True)
        for run, look in zip(self.trained, looks(self.trained), strict=True):
            if points := curve(run):
                epochs, seconds, fmd = zip(*points, strict=True)
                each = cost(run, "updates") / run.config.training.epochs
                for axes, x in zip(panels, ([each * e for e in epochs], seconds), strict=True):
                    axes.plot(x, fmd, label=plain(run.title), **look)
        row = self.trained[0].first.details["epochs"][0]
        limit, points_at_limit = equal_time(self.trained)
        for axes, label in zip(panels, ("updates", "seconds of updates"), strict=True):
            band(axes, row["floor"], row["floor_sd"])
            axes.set(xlabel=label)
            logarithmic(axes)
        if points_at_limit:
            panels[1].axvline(limit, color=GREY, linewidth=0.8, linestyle=(0, (2, 2)), zorder=0.5)
        panels[0].set_ylabel(f"FMD while training, n = {row['n']}")
        return finish(canvas, f"{self.name}-progress", "FMD of the samples that training kept, against "
                      "updates (left) and against the seconds that the updates took (right), all axes "
                      f"logarithmic. Dotted: the largest time that all runs reached, {number(limit)} s "
                      f"on {hardware(self.trained)}.")

    def findings(self) -> list[str]:
        """The order at equal updates, then at equal time, and the Pareto front."""
        runs, count = self.trained, self.count
        if len(runs) < 2:
            return []
        updates = [cost(run, "updates") for run in runs]
        head = (f"After {number(int(updates[0]))} updates each" if len(set(updates)) == 1 else
                f"After {number(int(min(updates)))} to {number(int(max(updates)))} updates")
        out = [f"{head}, {order([(run.title, run.mean('fmd')) for run in runs], count)}"]
        limit, points = equal_time(runs)
        if len(points) > 1:
            left = [named(run.title) for run in runs if run.name not in points]
            out.append(f"At equal time, {number(limit)} s of updates on {hardware(runs)}, "
                       + order([(run.title, points[run.name][1]) for run in runs if run.name in points],
                               count, "FMD while training")
                       + (f" {listed(left)} had kept no samples by then." if left else ""))
        front = on_front(runs)
        inside = [named(run.title) for run in runs if run.name not in front]
        out.append("On the Pareto front of FMD against training FLOPs: "
                   + listed([named(run.title) for run in runs if run.name in front])
                   + (f"; a run that costs no more has a lower FMD {seeds(count)} than {listed(inside)}."
                      if inside else "."))
        return out


def order(values: Sequence[tuple[str, float]], count: int, measure: str = "FMD") -> str:
    """The titles from the lowest value to the highest."""
    ordered = sorted(values, key=lambda pair: pair[1])
    return (f"{measure} {seeds(count)} is, from low to high: "
            + listed([f"{named(title)} {number(value)}" for title, value in ordered]) + ".")
