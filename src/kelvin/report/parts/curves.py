"""Line figures, and the same numbers as .csv for `dvc plots`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kelvin.report.kit import style
from kelvin.report.kit.style import GREY, WIDTH, Figure, chart, finish, looks, plain, ticks, whole
from kelvin.report.kit.words import listed
from kelvin.report.results import Replicate, Results, Run

Series = tuple[np.ndarray, np.ndarray]  # x (k,), y (replicates, k)


# {file of reports/curves: (a replicate's rows, their columns)}: the first column is x, the last is y
FILES: dict[str, tuple[Callable[[Replicate], list[dict[str, Any]]], tuple[str, ...]]] = {
    "loss.csv": (lambda replicate: replicate.history, (
        "epoch", "updates", "lr", "running_loss", "train_loss", "val_loss_ema", "val_loss")),
    "fmd.csv": (lambda replicate: replicate.details["epochs"], (
        "epoch", "fid", "small_fmd", "small_fmd_normalised", "fmd", "fmd_normalised")),
    "x0_error.csv": (lambda replicate: replicate.details["log_snr"], (
        "log_snr", "x0_error_se", "x0_error"))}


def files(results: Results) -> dict[str, list[dict[str, Any]]]:
    """{file: rows in long form, one a point of a run and replicate}; a file without rows is absent."""
    tables = {file: [{x: int(row[x]) if x == "epoch" else row[x], "run": run.name, "replicate": r.index,
                      **{column: row.get(column) for column in columns}}
                     for run in results.runs.values() if run.trained for r in run.replicates
                     for row in rows_of(r)]
              for file, (rows_of, (x, *columns)) in FILES.items()}
    return {file: rows for file, rows in tables.items() if rows}


def history(run: Run, key: str) -> Series:
    """A column of history.csv over epochs, by replicate (as many epochs as all of them have)."""
    return series([r.history for r in run.replicates], "epoch", key)


def series(rows: list[list[dict[str, Any]]], x: str, y: str) -> Series:
    length = min(map(len, rows))
    return (np.array([row[x] for row in rows[0][:length]], float),
            np.array([[row[y] for row in part[:length]] for part in rows], float))


def line(axes: Any, values: Series, style: dict[str, Any], label: str = "") -> None:
    """The mean over training seeds, and their range shaded where there are several."""
    x, y = values
    every = max(1, len(x) // 8)
    axes.plot(x, y.mean(0), label=plain(label), markevery=every, **style)
    if len(y) > 1:
        axes.fill_between(x, y.min(0), y.max(0), color=style["color"], alpha=0.15, linewidth=0)


def lines(axes: Any, runs: Sequence[Run], get: Callable[[Run], Series]) -> None:
    for run, look in zip(runs, looks(runs), strict=True):
        line(axes, get(run), look, run.title)


def note(runs: Sequence[Run]) -> str:
    """What lines and shades mean where a run has several trainings."""
    return " Lines: mean over training seeds; shade: their range." if len(runs[0].replicates) > 1 else ""


def degradation_figures(name: str, runs: Sequence[Run]) -> list[Figure]:
    """The schedules of hot runs, and the severity of the others."""
    hot = [run for run in runs if run.schedule is not None]
    cold = [run for run in runs if run.schedule is None]
    return [draw(name, some) for draw, some in ((schedules_figure, hot), (variance_figure, cold)) if some]


def schedules_figure(name: str, runs: Sequence[Run]) -> Figure:
    """beta_t, alpha-bar_t and log-SNR_t over t/T; runs of one schedule share a curve."""
    figure, panels = chart(WIDTH, 3.2, across=3)
    groups: dict[bytes, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.schedule.betas.tobytes(), []).append(run)
    for group, look in zip(groups.values(), looks([g[0] for g in groups.values()]), strict=True):
        schedule = group[0].schedule
        x = np.arange(1, schedule.steps + 1) / schedule.steps
        label = plain(", ".join(run.title for run in group))
        style = look | {"markevery": max(1, len(x) // 6)}
        for axes, y in zip(panels, (schedule.beta, schedule.alpha_bar, schedule.log_snr), strict=True):
            axes.plot(x, y[1:], label=label, **style)
    for axes, title in zip(panels, (r"$\beta_t$", r"$\bar\alpha_t$", r"log-SNR$_t$ (nats)"),
                           strict=True):
        axes.set(xlabel="t / T", ylabel=title)
    panels[0].set_yscale("log")
    panels[1].set_yscale("log")
    return finish(figure, f"{name}-schedules", "The schedules over t/T: noise added at each step, signal "
                  "variance that is left, and log signal-to-noise ratio. The first two on logarithmic "
                  "axes. Schedules with fewer steps need larger ones.")


def variance_lines(axes: Any, runs: Sequence[Run], labels: Sequence[str]) -> bool:
    """Signal variance left over t/T, with a cross from where a degradation can remove no more; whether
    there is any. Lines may lie on one another, so their markers are apart."""
    for i, (run, look, label) in enumerate(zip(runs, looks(runs), labels, strict=True)):
        left, every = run.signal_variance, max(1, run.steps // 8)
        axes.plot(np.arange(run.steps + 1) / run.steps, left, label=plain(label),
                  **look | {"markevery": (i * every // len(runs), every)})
        if (t := run.first.process["clamped_from"]) is not None:
            axes.plot(t / run.steps, left[t], "X", color=look["color"], markersize=10,
                      markeredgecolor="white", zorder=5)
    return any(run.first.process["clamped_from"] is not None for run in runs)


def variance_figure(name: str, runs: Sequence[Run]) -> Figure:
    """Signal variance left over t/T, as training measured it on its images."""
    figure, axes = chart(WIDTH * 0.75, 3.2)
    lines(axes, runs, lambda run: (np.arange(run.steps + 1) / run.steps, run.signal_variance[None]))
    axes.set(xlabel="t / T", ylabel="share of the images'\nvariance left", ylim=(-0.03, 1.03))
    return finish(figure, f"{name}-severity", "How much the degradation has left at t: the share of the "
                  "training images' variance. At 1 x_t is the image, at 0 nothing tells one image from "
                  "another.", columns=2)


def loss_figure(name: str, runs: Sequence[Run]) -> Figure:
    """Training and validation loss, both after the epoch at fixed t and z."""
    figure, panels = chart(WIDTH, 3.4, across=2, sharey=True)
    for axes, key, title in zip(panels, ("train_loss", "val_loss"), ("training", "validation"),
                                strict=True):
        lines(axes, runs, lambda run, key=key: history(run, key))
        axes.set(xlabel="epoch", title=f"{title} images", yscale="log")
        ticks(axes.yaxis)
        whole(axes.xaxis)
    panels[0].set_ylabel("loss after the epoch")
    return finish(figure, f"{name}-loss", "Loss per epoch of all runs together, evaluated after the "
                  "epoch at fixed t and z on training and on validation images. "
                  f"{loss_meaning(runs)}{note(runs)}")


def loss_meaning(runs: Sequence[Run]) -> str:
    """A sentence where the losses of one figure are not one measure, or are."""
    def over(key: Callable[[Any], Any]) -> bool:
        return len({str(key(run.config)) for run in runs}) > 1

    if len(runs) == 1:
        return ""
    schedules = "schedules" if all(run.family == "cold" for run in runs) else "noise schedules"
    differing = [word for word, key in (
        ("losses", lambda c: c.training.loss), ("targets", lambda c: c.restorer.parameterisation),
        ("degradations", lambda c: c.degradation), (schedules, lambda c: c.schedule)) if over(key)]
    if not differing:
        return "All are one measure and comparable."
    return (f"The runs have different {listed(differing)}, so that a lower curve need not be a more "
            "exact restorer.")


def overlay_figure(name: str, runs: Sequence[Run]) -> Figure:
    """Training (solid) over validation loss (dashed), a panel per run."""
    figure, panels = style.arrange([run.title for run in runs])
    for axes, run in zip(panels, runs, strict=True):
        overlay(axes, run)
    return finish(figure, f"{name}-overlay", "Training against validation loss of each run. Both are "
                  "taken after the epoch, each at its own images and z, the same after every epoch: "
                  f"a small gap between the two may be those.{note(runs)}", columns=4)


def overlay(axes: Any, run: Run) -> None:
    line(axes, history(run, "train_loss"), {"color": "#777777", "linestyle": "-"}, "training")
    line(axes, history(run, "val_loss"), {"color": "#000000", "linestyle": (0, (5, 2))}, "validation")
    axes.set(xlabel="epoch", ylabel="loss", yscale="log")
    ticks(axes.yaxis)
    whole(axes.xaxis)


def x0_error_figure(name: str, runs: Sequence[Run]) -> Figure | None:
    """Error of x0_hat over log-SNR; None without a hot run."""
    runs = [run for run in runs if run.first.details["log_snr"]]
    if not runs:
        return None
    figure, axes = chart(WIDTH * 0.75, 3.6)
    lines(axes, runs, lambda run: series([r.details["log_snr"] for r in run.replicates], "log_snr",
                                         "x0_error"))
    axes.set(xlabel="log-SNR (nats): noisy left, clean right", ylabel="mean squared error of $\\hat x_0$",
             yscale="log")
    ticks(axes.yaxis)
    return finish(figure, f"{name}-x0-error", "Mean squared error of the restored x0_hat (pixel units, "
                  "unclipped) at equal log-SNR on test images: what the losses would say if all "
                  f"schedules were averaged alike.{note(runs)}")


def fmd_figure(name: str, runs: Sequence[Run]) -> Figure:
    """FMD per epoch by the small and the honest protocol, and normalised; FID per epoch where all runs
    have it."""
    has_fid = all("fid" in row for run in runs for r in run.replicates for row in r.details["epochs"])
    figure, lattice = chart(WIDTH, 6.0, 2, 2) if has_fid else chart(WIDTH, 3.5, across=3)
    panels = list(lattice.flat)
    row = runs[0].first.details["epochs"][0]
    if has_fid:
        lines(panels[3], runs, lambda run: epochs(run, "fid"))
        band(panels[3], row["fid_floor"], row["fid_floor_sd"])
        panels[3].set(xlabel="epoch", ylabel="FID", yscale="log", title=f"Inception, n = {row['n']}")
        ticks(panels[3].yaxis)
    for axes, key, n in ((panels[0], "small_", row["small_n"]), (panels[1], "", row["n"])):
        lines(axes, runs, lambda run, key=key: epochs(run, f"{key}fmd"))
        band(axes, row[f"{key}floor"], row[f"{key}floor_sd"])
        axes.set(xlabel="epoch", ylabel="FMD", yscale="log", title=f"{'small' if key else 'honest'} "
                 f"protocol, n = {n}")
        ticks(axes.yaxis)
    lines(panels[2], runs, lambda run: epochs(run, "fmd_normalised"))
    panels[2].axhline(0, color=GREY, linewidth=0.8, zorder=0.5)
    panels[2].set(xlabel="epoch", ylabel="normalised FMD", title=f"normalised, n = {row['n']}")
    panels[2].set_yscale("symlog", linthresh=0.05, linscale=0.6)
    panels[2].yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    for axes in panels:
        whole(axes.xaxis)
    return finish(figure, f"{name}-fmd", "FMD of the samples that training kept: by study A's small "
                  "protocol, by the honest one, and normalised (0 = held-out real images, 1 = black "
                  "images; linear below 0.05). Grey: mean ± standard deviation of draws of real images "
                  f"of the same number.{note(runs)}")


def band(axes: Any, floor: float, sd: float) -> None:
    style.band(axes, floor, sd)
    axes.axhline(floor, color=GREY, linewidth=0.8, zorder=0.5)


def epochs(run: Run, key: str) -> Series:
    return series([r.details["epochs"] for r in run.replicates], "epoch", key)


def by_method(run: Run, method: str, key: str) -> Series:
    """A measure of restored test images over t/T, by one method."""
    t, y = series([[row for row in r.details["restoration"] if row["method"] == method]
                   for r in run.replicates], "t", key)
    return t / run.steps, y
