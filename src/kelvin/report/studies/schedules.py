"""Noise schedules: where they end, and what their losses and their likelihood mean."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kelvin.report.kit.style import Figure
from kelvin.report.kit.table import number
from kelvin.report.kit.words import named
from kelvin.report.parts import curves, grids, likelihood
from kelvin.report.studies.base import Study, studies


@studies.register("schedules")
class Schedules(Study):
    ranked = True

    def figures(self) -> list[Figure | None]:
        name, runs = self.name, self.trained
        return [*curves.degradation_figures(name, runs), curves.loss_figure(name, runs),
                curves.x0_error_figure(name, runs), likelihood.figure(name, runs),
                curves.fmd_figure(name, runs), grids.epochs_figure(name, runs), self.samples()]

    def findings(self) -> list[str]:
        hot = [run for run in self.trained if run.schedule is not None]
        if not hot:
            return []
        out = [terminal({run.title: float(run.schedule.alpha_bar[-1]) for run in hot})]
        if len(hot) > 1:
            out += loss_and_fmd({run.title: (run.mean("val_loss_ema"), run.mean("fmd")) for run in hot})
            out += equal_noise({run.title: {row["log_snr"]: row["x0_error"]
                                            for row in run.first.details["log_snr"]
                                            if row["x0_error"] is not None} for run in hot})
        out += likelihood.findings(hot, self.count)
        rows = [run.first.details["epochs"][-1] for run in hot]
        small, row = [row["small_fmd"] for row in rows], rows[0]
        out.append(f"By the small protocol of {row['small_n']} samples the runs end between "
                   f"{number(min(small))} and {number(max(small))}, where {row['small_n']} real images "
                   f"score {number(row['small_floor'])} ± {number(row['small_floor_sd'])} (mean ± "
                   "standard deviation over draws); a difference smaller than that deviation says "
                   "nothing.")
        return out


def terminal(ends: Mapping[str, float]) -> str:
    """How alike the schedules end, from {title: alpha-bar_T}."""
    low, high = min(ends, key=ends.get), max(ends, key=ends.get)
    if len(ends) == 1:
        return f"Its schedule ends at an alpha-bar of {number(ends[low], 2)}."
    spread = np.log10(ends[high] / ends[low])
    alike = "of one order of magnitude" if spread < 1 else f"{spread:.1f} orders of magnitude apart"
    return (f"The schedules end at an alpha-bar between {number(ends[low], 2)} ({named(low)}) and "
            f"{number(ends[high], 2)} ({named(high)}), {alike}.")


def loss_and_fmd(pairs: Mapping[str, tuple[float, float]]) -> list[str]:
    """Whether the order by validation loss is the order by FMD, from {title: (loss, FMD)}."""
    loss, fmd = zip(*pairs.values(), strict=True)
    lowest = list(pairs)[int(np.argmin(loss))]
    losses = (f"The validation losses at the end run from {number(min(loss))} ({named(lowest)}) to "
              f"{number(max(loss))}, but each is a mean over its own schedule's noise levels")
    if len(pairs) < 4:
        return [losses + "."]
    from scipy.stats import spearmanr

    rank = float(spearmanr(loss, fmd).statistic)
    return [f"{losses}; their rank correlation with FMD is {number(rank, 2)}."]


def equal_noise(errors: Mapping[str, Mapping[float, float]]) -> list[str]:
    """The spread of the x0 error where all runs can be compared, from {title: {log-SNR: error}}."""
    common = sorted(set.intersection(*(set(values) for values in errors.values())))
    if not common:
        return ["The schedules share no log-SNR of the grid, so their errors cannot be compared."]
    ratios = {at: max(v[at] for v in errors.values()) / min(v[at] for v in errors.values())
              for at in common}
    worst = max(common, key=ratios.get)
    return [f"At equal log-SNR ({common[0]:g} to {common[-1]:g}) the largest error of x0_hat is at most "
            f"{number(ratios[worst])} times the smallest (at log-SNR {worst:g})."]
