"""One paragraph per kind of study, computed from its runs' numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kelvin.report import (
    averaging,
    comparison,
    crossing,
    folds,
    guidance,
    iterations,
    likelihood,
    pretraining,
    steps,
    temperature,
    trust,
    widths,
)
from kelvin.report.collect import Results, Run, StudyResults
from kelvin.report.findings import (
    flags,
    listed,
    named,
    ranking,
    score,
    seeds,
    unanswered,
    verdicts,
)
from kelvin.report.table import number

Metrics = Mapping[str, Mapping[str, Any]]
REACHED = 0.01  # alpha-bar_T above which x_T still shows the image: a tenth of its amplitude
SEEN = 1.1  # a loss more than a tenth above the baseline's shows a mistake
GREY_LEVEL = 1 / 255


def study_findings(study: StudyResults, results: Results, metrics: Metrics) -> list[str]:
    """Paragraphs: what is missing and the ranking, then the kind's own facts, tests and flags."""
    missing = unanswered(study.missing, study.runs)
    if not study.runs:
        return missing
    scores = [score(run, metrics[run.name]) for run in study.runs]
    level = results.plan.metrics.confidence
    own = KINDS[study.study.kind](study, results, metrics)
    head = ranking(scores, level) if study.study.kind in RANKED or not own else [own.pop(0)]
    said = [" ".join([*head, *missing]), *own]
    # folds are judged by what is held out, and have said so
    if study.runs[0].name == study.study.runs[0] and study.study.kind != "folds":
        said += verdicts(scores[0], scores[1:], level)
    return said + flags(scores)


def schedules(study: StudyResults, results: Results, metrics: Metrics) -> list[str]:
    hot = [run for run in study.trained if run.schedule is not None]
    if not hot:
        return []
    ends = {run.title: float(run.schedule.alpha_bar[-1]) for run in hot}
    out = [terminal(ends)]
    if len(hot) > 1:
        out += loss_and_fmd({run.title: (run.mean("val_loss_ema"), run.mean("fmd")) for run in hot})
        out += equal_noise({run.title: {row["log_snr"]: row["x0_error"]
                                        for row in run.first.details["log_snr"]
                                        if row["x0_error"] is not None} for run in hot})
    out += likelihood.findings(hot, len(results.replicates))
    last = [run.first.details["epochs"][-1] for run in hot]
    small = [row["small_fmd"] for row in last]
    out.append(f"By the small protocol of {last[0]['small_n']} samples the runs end between "
               f"{number(min(small))} and {number(max(small))}, where {last[0]['small_n']} real images "
               f"score {number(last[0]['small_floor'])} ± {number(last[0]['small_floor_sd'])} (mean ± "
               "standard deviation over draws); a difference smaller than that deviation says nothing.")
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
    said = (f"The validation losses at the end run from {number(min(loss))} ({named(lowest)}) to "
            f"{number(max(loss))}, but each is a mean over its own schedule's noise levels")
    if len(pairs) < 4:
        return [said + "."]
    from scipy.stats import spearmanr

    rank = float(spearmanr(loss, fmd).statistic)
    return [f"{said}; their rank correlation with FMD is {number(rank, 2)}."]


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


def hyperparameters(study: StudyResults, results: Results, metrics: Metrics) -> list[str]:
    base, *others = study.runs
    if base.name != study.study.runs[0]:
        return [f"The run that the others are held against, {study.study.runs[0]}, is not active: what "
                "each mistake costs cannot be said."]
    return [mistake(base, run) for run in others if run.trained]


def mistake(base: Run, run: Run) -> str:
    """What a run pays for its difference from the baseline, why, and whether its loss shows it."""
    said = (f"{named(run.title)}: FMD {number(run.mean('fmd'))} against {number(base.mean('fmd'))}, "
            f"{compared(run.mean('fmd'), base.mean('fmd'))} {seeds(len(run.replicates))}.")
    reasons = [schedule_reason(base, run), rate_reason(base, run)]
    other = unlike(base, run)
    shown = error_shows(other, errors(run), errors(base)) if other else \
        loss_shows(run.mean("val_loss_ema"), base.mean("val_loss_ema"))
    return " ".join([said, *filter(None, reasons), shown])


def compared(value: float, base: float) -> str:
    if value == base:
        return "the same"
    return f"{number(value / base)} times as high" if value > base else "lower"


def schedule_reason(base: Run, run: Run) -> str:
    if run.schedule is None or base.schedule is None or run.config.schedule == base.config.schedule:
        return ""
    end, said = float(run.schedule.alpha_bar[-1]), []
    if end > REACHED:
        said.append(f"Its schedule ends at an alpha-bar of {number(end, 2)}: x_T still holds "
                    f"{100 * end ** 0.5:.0f} % of the image's amplitude, while sampling starts from pure "
                    "noise, a start that training never showed.")
    if run.steps != base.steps:
        said.append(f"With T = {run.steps} (not {base.steps}) each of its {run.record['nfe']} sampling "
                    f"steps crosses {stride(run):.2g} nats of log-SNR on average, those of "
                    f"{named(base.title)} {stride(base):.2g}.")
    return " ".join(said)


def stride(run: Run) -> float:
    """Mean log-SNR that one network evaluation of the first sampler has to bridge."""
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
    """Why two validation losses are not one measure: what a run's is instead; "" where they are."""
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
    """Can the mistake be seen in the loss? The final validation losses of the EMA weights say."""
    shown = "shows it" if loss > SEEN * base else "does not show it"
    return f"The final validation loss, {number(loss)} against {number(base)}, {shown}."


def error_shows(other: str, error: Mapping[float, float], base: Mapping[float, float]) -> str:
    """The same where the loss is another measure: only errors at equal log-SNR can be compared."""
    said = f"Its validation loss is {other} and cannot be compared"
    common = sorted(set(error) & set(base))
    if not common:
        return (f"{said}; nor do the two runs share a log-SNR at which their errors of x0_hat could be, "
                "so whether training shows the mistake is left open.")
    ratios = {at: error[at] / base[at] for at in common}
    high = [at for at in common if ratios[at] > SEEN]
    span = f"{common[0]:g} to {common[-1]:g}" if len(common) > 1 else \
        f"{common[0]:g}, the only shared one"
    if len(common) > 1 and set(error) != set(base):
        span += ", the part that both reach"
    low, most = number(min(ratios.values())), number(max(ratios.values()))
    times = f"{low} times" if low == most else f"between {low} and {most} times"
    shown = (f"it shows the mistake at {len(high)} of {len(common)} log-SNRs (more than {SEEN:g} times)"
             if high else f"it does not show the mistake (nowhere more than {SEEN:g} times)")
    return f"{said}; at equal log-SNR ({span}) its error of x0_hat is {times} the baseline's: {shown}."


def blur(study: StudyResults, results: Results, metrics: Metrics) -> list[str]:
    cold = [run for run in study.trained if run.family == "cold"]
    gaussian = results.calibration["rows"]["pixel-gaussian"]["fmd"]
    out = [kept_image(run.title, left_at_end(run), run.mean("fmd"), gaussian) for run in cold]
    out += [said for run in cold if (said := readings(run, cold))]
    out += [said for run in cold if (said := algorithms(run, results))]
    if cold:
        out.append("Evenness of the predicted classes (1 = all alike): "
                   + listed([f"{named(run.title)} {number(run.mean('class_evenness'))}" for run in cold])
                   + ".")
    return out


def left_at_end(run: Run) -> float:
    """Root mean squared difference of the untouched x_T from the image."""
    rows = [row for row in run.first.details["restoration"] if row["method"] == "untouched"]
    return max(rows, key=lambda row: row["t"])["rmse"]


def kept_image(title: str, rmse: float, fmd: float, gaussian: float) -> str:
    """Whether x_T still is the image, and so whether anything is left to generate."""
    against = "lower" if fmd < gaussian else "higher" if fmd > gaussian else "the same"
    compare = (f"FMD {number(fmd)}, {against + ' than' if against != 'the same' else against + ' as'} "
               f"the {number(gaussian)} of a Gaussian fitted to the pixels")
    if rmse < GREY_LEVEL / 2:
        return (f"{named(title)}: x_T keeps everything (RMSE {number(rmse)} from the image, less than "
                "half a grey level), so there is nothing to restore and a sample is no more than what "
                f"its prior draws: {compare}.")
    return (f"{named(title)}: x_T differs from the image by an RMSE of {number(rmse)}; its samples have "
            f"{compare}.")


def readings(run: Run, others: list[Run]) -> str:
    """Composed kernels against study B's reading of them, where two runs differ in that alone."""
    own = run.config.degradation.model_dump()
    if own.get("reading") != "single":
        return ""
    twin = next((r for r in others if r.config.degradation.model_dump() == own | {
        "reading": "composed"}), None)
    if twin is None:
        return ""
    removed = [100 * (1 - float(r.signal_variance[-1])) for r in (run, twin)]
    return (f"Read as study B did (only kernel t), the blur removes {removed[0]:.1f} % of the images' "
            f"variance at T, composed {removed[1]:.1f} %; FMD {number(run.mean('fmd'))} against "
            f"{number(twin.mean('fmd'))}.")


def algorithms(run: Run, results: Results) -> str:
    """Generation by Algorithm 2, 1 and one step, and what they do to a real image instead."""
    names = {"improved": "Algorithm 2", "naive": "Algorithm 1", "direct": "one direct step"}
    kinds = {results.plan.sampler(s)["kind"]: s for s in reversed(run.config.sampling.samplers)}
    present = [k for k in names if k in kinds]
    if len(present) < 2:
        return ""
    drawn = listed([f"{number(run.sampler_mean(kinds[k], 'fmd'))} by {names[k]}"
                    for k in present])
    shots = [f"{number(run.restoration_mean('one-shot', 'ssim'))} in one shot"]
    shots += [f"{number(run.restoration_mean(kinds[k], 'ssim'))} by {names[k]}" for k in present
              if kinds[k] in run.record["restoration"]]
    return f"{named(run.title)}: FMD {drawn}; SSIM of restored real images {listed(shots)}."


KINDS = {"schedules": schedules, "hyperparameters": hyperparameters, "blur": blur,
         "widths": widths.findings, "temperature": temperature.findings, "steps": steps.findings,
         "iterations": iterations.findings, "metrics": trust.findings,
         "pretraining": pretraining.findings, "guidance": guidance.findings,
         "comparison": comparison.findings, "folds": folds.findings, "averaging": averaging.findings,
         "grid": crossing.findings}
# the others open with their own answer
RANKED = ("schedules", "hyperparameters", "blur", "widths", "comparison", "grid")
