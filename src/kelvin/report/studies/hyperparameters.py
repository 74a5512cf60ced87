"""Hyperparameters: what each mistake costs, and whether its loss shows it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kelvin.report.kit.style import Figure
from kelvin.report.kit.table import number
from kelvin.report.kit.words import named, seeds
from kelvin.report.parts import curves, grids
from kelvin.report.results import Run
from kelvin.report.studies.base import Study, studies

REACHED = 0.01  # alpha-bar_T above which x_T still shows the image: a tenth of its amplitude
SEEN = 1.1  # a loss more than a tenth above the baseline's shows a mistake


@studies.register("hyperparameters")
class Hyperparameters(Study):
    ranked = True

    def figures(self) -> list[Figure | None]:
        return [*curves.degradation_figures(self.name, self.trained),
                grids.mistakes_figure(self.name, self.trained),
                curves.x0_error_figure(self.name, self.trained)]

    def findings(self) -> list[str]:
        if self.base is None:
            return [f"The run that the others are held against, {self.study.study.runs[0]}, is not "
                    "active: what each mistake costs cannot be said."]
        return [mistake(self.base, run) for run in self.trained if run is not self.base]


def mistake(base: Run, run: Run) -> str:
    """The FMD of a run beside the baseline's, the reason, and whether the loss shows the difference."""
    cost = (f"{named(run.title)}: FMD {number(run.mean('fmd'))} against {number(base.mean('fmd'))}, "
            f"{compared(run.mean('fmd'), base.mean('fmd'))} {seeds(len(run.replicates))}.")
    reasons = [schedule_reason(base, run), rate_reason(base, run)]
    other = unlike(base, run)
    visibility = error_shows(other, errors(run), errors(base)) if other else \
        loss_shows(run.mean("val_loss_ema"), base.mean("val_loss_ema"))
    return " ".join([cost, *filter(None, reasons), visibility])


def compared(value: float, base: float) -> str:
    if value == base:
        return "the same"
    return f"{number(value / base)} times as high" if value > base else "lower"


def schedule_reason(base: Run, run: Run) -> str:
    if run.schedule is None or base.schedule is None or run.config.schedule == base.config.schedule:
        return ""
    end, parts = float(run.schedule.alpha_bar[-1]), []
    if end > REACHED:
        parts.append(f"Its schedule ends at an alpha-bar of {number(end, 2)}: x_T still holds "
                     f"{100 * end ** 0.5:.0f} % of the image's amplitude, while sampling starts from "
                     "pure noise, a start that training never showed.")
    if run.steps != base.steps:
        parts.append(f"With T = {run.steps} (not {base.steps}) each of its {run.record['nfe']} sampling "
                     f"steps crosses {stride(run):.2g} nats of log-SNR on average, those of "
                     f"{named(base.title)} {stride(base):.2g}.")
    return " ".join(parts)


def stride(run: Run) -> float:
    """Mean log-SNR between two network evaluations of the first sampler, in nats."""
    reach = float(run.schedule.log_snr[1] - run.schedule.log_snr[-1])
    return reach / run.record["nfe"]


def rate_reason(base: Run, run: Run) -> str:
    rate, usual = run.config.training.lr, base.config.training.lr
    if rate == usual:
        return ""
    first, last = run.first.history[0]["val_loss"], run.first.history[-1]["val_loss"]
    way = f"{rate / usual:.3g} times" if rate > usual else f"1/{usual / rate:.3g} of"
    change = 100 * (last / first - 1)
    return (f"Its learning rate, {rate:g}, is {way} the usual {usual:g}; its validation loss "
            f"{'fell' if change < 0 else 'rose'} by {number(abs(change), 2)} % from the first epoch to "
            "the last.")


def unlike(base: Run, run: Run) -> str:
    """Why a run's validation loss is not the baseline's measure; "" where it is."""
    own, usual = run.config, base.config
    if (own.schedule, own.degradation) != (usual.schedule, usual.degradation):
        return "a mean over other noise levels"
    if own.training.loss != usual.training.loss:  # weights and added terms stay out of what is evaluated
        return "a mean of another loss"
    target = {"parameterisation", "rule", "low", "high"}  # what the network is taught
    if own.restorer.model_dump(include=target) != usual.restorer.model_dump(include=target):
        return "that of another target"
    return ""


def errors(run: Run) -> dict[float, float]:
    """{log-SNR: error of x0_hat} on the common grid, means over training seeds; {} without noise."""
    groups = zip(*(replicate.details["log_snr"] for replicate in run.replicates), strict=True)
    return {group[0]["log_snr"]: float(np.mean([row["x0_error"] for row in group])) for group in groups
            if all(row["x0_error"] is not None for row in group)}


def loss_shows(loss: float, base: float) -> str:
    """Whether the final validation loss (EMA weights) shows the mistake."""
    verdict = "shows it" if loss > SEEN * base else "does not show it"
    return f"The final validation loss, {number(loss)} against {number(base)}, {verdict}."


def error_shows(other: str, error: Mapping[float, float], base: Mapping[float, float]) -> str:
    """Whether errors at equal log-SNR show the mistake, for runs whose losses are different measures."""
    start = f"Its validation loss is {other} and cannot be compared"
    common = sorted(set(error) & set(base))
    if not common:
        return (f"{start}; nor do the two runs share a log-SNR at which their errors of x0_hat could be, "
                "so whether training shows the mistake is left open.")
    ratios = {at: error[at] / base[at] for at in common}
    high = [at for at in common if ratios[at] > SEEN]
    span = f"{common[0]:g} to {common[-1]:g}" if len(common) > 1 else \
        f"{common[0]:g}, the only shared one"
    if len(common) > 1 and set(error) != set(base):
        span += ", the part that both reach"
    low, most = number(min(ratios.values())), number(max(ratios.values()))
    times = f"{low} times" if low == most else f"between {low} and {most} times"
    verdict = (f"it shows the mistake at {len(high)} of {len(common)} log-SNRs (more than {SEEN:g} times)"
               if high else f"it does not show the mistake (nowhere more than {SEEN:g} times)")
    return f"{start}; at equal log-SNR ({span}) its error of x0_hat is {times} the baseline's: {verdict}."
