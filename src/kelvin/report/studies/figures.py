"""Which figures a study shows, and their captions."""

from __future__ import annotations

from kelvin.report import aggregate
from kelvin.report.kit.style import Figure
from kelvin.report.parts import grids, likelihood
from kelvin.report.results import Results, StudyResults
from kelvin.report.studies import (
    averaging,
    comparison,
    folds,
    grid,
    guidance,
    iterations,
    pretraining,
    steps,
    temperature_figures,
    widths,
)
from kelvin.report.studies import metrics as trust
from kelvin.report.studies.base import (
    NOTE,
    degradation_figures,
    reconstructions,
    restoration_figures,
    sample_figures,
    sample_grid,
    strip_figures,
    training_figures,
)


def study_figures(study: StudyResults, results: Results) -> list[Figure]:
    """The figures of a study, in the order they are read; none without a run."""
    runs = study.trained
    if runs and study.study.kind in OWN:
        return [figure for figure in OWN[study.study.kind](study, results) if figure]
    figures: list[Figure] = []
    if runs:
        figures += degradation_figures(study)
        if study.study.kind == "hyperparameters":
            figures.append(grids.mistakes_figure(f"{study.name}-mistakes", runs,
                           "What each run's loss looked like, and what it draws: training and "
                           "validation loss, both after the epoch at fixed t and z, beside the first "
                           "samples."))
        figures += training_figures(study, results)
        if study.study.kind == "schedules" and (bound := likelihood.figure(study.name, runs)):
            figures.append(bound)
    if study.runs:
        figures += sample_figures(study, results)
    if runs:
        figures += restoration_figures(study)
    return figures


def width_figures(study: StudyResults, results: Results) -> list[Figure]:
    runs, name = study.trained, study.name
    note = f" {NOTE}" if len(results.replicates) > 1 else ""
    return [
        widths.loss_figure(f"{name}-loss", runs, "Training and validation loss of all networks in one "
                           "panel, both after the epoch at the same fixed t and z. Colour: network; "
                           "solid: training, dashed: validation." + note),
        grids.epochs_figure(f"{name}-epochs", runs, "The same 16 samples after five kept epochs of "
                            "training, from the first to the last.", moments=5, columns=4),
        reconstructions(study), *sample_grid(study), *restoration_figures(study)]


def temperature_figures_of(study: StudyResults, results: Results) -> list[Figure]:
    runs, name = study.trained, study.name
    return [
        temperature_figures.variance_figure(f"{name}-variance", runs, "The setting: the share of the "
                "images' variance left at t, as measured in training. Where lines lie on the dashed one, "
                "the degradation removes what the noise schedule asks for; from a cross on it cannot."),
        *strip_figures(study),
        temperature_figures.plane_figure(f"{name}-plane", runs, "Distortion against distribution of "
                "restored test images, means over t. Circle: one network evaluation; filled square: the "
                "first sampler, joined to it; triangle: the linear restorer. Down is nearer to the "
                "distribution of real images, right is nearer to the very image; numbers and colours "
                "name the degradation."),
        *training_figures(study, results), *sample_grid(study), *restoration_figures(study)]


def step_figures(study: StudyResults, results: Results) -> list[Figure]:
    return [steps.figure(study, results, "FMD over steps, both axes logarithmic. Left: processes of "
                         "different length T, sampled by visiting every time. Right: one process, "
                         "sampled by a deterministic sampler that visits fewer or more of its times."),
            *sample_grid(study)]


def iteration_figures(study: StudyResults, results: Results) -> list[Figure | None]:
    return [iterations.figure(study, "Restored test images over t, in one network evaluation and by the "
                              "run's first sampler. Above: SSIM to the image itself (higher is nearer). "
                              "Below: FMD of the restored images as a set (lower is nearer to real "
                              "images)."),
            iterations.samples_figure(study, results, "Samples from the same starting states: one step "
                                      "from x_T (left) and the run's first sampler (right).")]


def trust_figures(study: StudyResults, results: Results) -> list[Figure | None]:
    return [trust.bias_figure(study, results), trust.agreement_figure(study, results)]


def pretraining_figures(study: StudyResults, results: Results) -> list[Figure]:
    return [pretraining.figure(study, "Validation loss (EMA weights, fixed t and z) after each epoch, "
                               "and FMD after each kept one. Above: over the run's own epochs. Below: "
                               "over all updates, those of pre-training included. Grey: real images of "
                               "the same classes (mean ± standard deviation of draws)."),
            *sample_grid(study)]


def comparison_figures(study: StudyResults, results: Results) -> list[Figure]:
    return [*comparison.figures(study, results), *sample_grid(study)]


def grid_figures(study: StudyResults, results: Results) -> list[Figure | None]:
    return [grid.figure(study, results, aggregate.metrics(results)), *sample_grid(study)]


OWN = {"widths": width_figures, "temperature": temperature_figures_of, "steps": step_figures,
       "iterations": iteration_figures, "metrics": trust_figures, "pretraining": pretraining_figures,
       "guidance": guidance.figures, "comparison": comparison_figures, "folds": folds.figures,
       "averaging": averaging.figures, "grid": grid_figures}
