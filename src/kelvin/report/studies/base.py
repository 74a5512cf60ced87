"""Figures that studies of several kinds show, and their captions."""

from __future__ import annotations

from collections.abc import Sequence

from kelvin.report.kit.style import Figure
from kelvin.report.kit.words import listed
from kelvin.report.parts import curves, grids, strips
from kelvin.report.results import Results, Run, StudyResults

NOTE = "Lines: mean over training seeds; shade: their range."


def degradation_figures(study: StudyResults) -> list[Figure]:
    runs, name = study.trained, study.name
    hot = [run for run in runs if run.schedule is not None]
    cold = [run for run in runs if run.schedule is None]
    out = []
    if hot:
        out.append(curves.schedules_figure(f"{name}-schedules", hot, "The schedules over t/T: noise "
                   "added at each step, signal variance that is left, and log signal-to-noise ratio. "
                   "The first two on logarithmic axes. Schedules with fewer steps need larger ones."))
    if cold:
        out.append(curves.variance_figure(f"{name}-severity", cold, "How much the degradation has left "
                   "at t: the share of the training images' variance. At 1 x_t is the image, at 0 "
                   "nothing tells one image from another."))
    return out + strip_figures(study)


def strip_figures(study: StudyResults) -> list[Figure]:
    runs, name = study.trained, study.name
    return [
        strips.encoding_figure(f"{name}-encoding", runs, "Encoding: one test image degraded step by "
                               f"step. {spacing(runs)}"),
        strips.decoding_figure(f"{name}-decoding", runs, "Decoding: two new images of each run, from "
                               "what the prior drew (left) to the sample (right), by the run's first "
                               f"sampler. {spacing(runs)}")]


def spacing(runs: Sequence[Run]) -> str:
    count = max(run.config.sampling.strip for run in runs)
    steps = dict.fromkeys(f"{max(1, round(run.steps / count)):,}" for run in runs)
    return (f"Equal steps in t/T: a picture every {' / '.join(steps)} steps of the process. A place is "
            "empty where a process or its sampler has no such time.")


def training_figures(study: StudyResults, results: Results) -> list[Figure]:
    runs, name = study.trained, study.name
    note = f" {NOTE}" if len(results.replicates) > 1 else ""
    out = [curves.loss_figure(f"{name}-loss", runs, "Loss per epoch of all runs together, evaluated "
           "after the epoch at fixed t and z on training and on validation images. " + loss_meaning(
               runs) + note)]
    if study.study.kind == "blur":
        out.append(curves.overlay_figure(f"{name}-overlay", runs, "Training against validation loss of "
                   "each run. Both are taken after the epoch, at the same fixed t and z: the order of "
                   "the two means something." + note))
    if any(run.first.details["log_snr"] for run in runs):
        hot = [run for run in runs if run.first.details["log_snr"]]
        out.append(curves.x0_error_figure(f"{name}-x0-error", hot, "Mean squared error of the restored "
                   "x0_hat (pixel units, unclipped) at equal log-SNR on test images: what the losses "
                   "would say if all schedules were averaged alike." + note))
    out.append(curves.epochs_figure(f"{name}-fmd", runs, "FMD of the samples that training kept: by "
               "study A's small protocol, by the honest one, and normalised (0 = held-out real images, "
               "1 = black images; linear below 0.05). Grey: mean ± standard deviation of draws of real "
               "images of the same number." + note))
    if study.study.kind == "blur":
        out.append(reconstructions(study))
    return out


def reconstructions(study: StudyResults) -> Figure:
    return strips.reconstruction_figure(f"{study.name}-reconstructions", study.trained, "What training "
            "learns: held-out images, their degraded x_t, and the network's restoration in one shot "
            "after the first and after the last kept epoch, at a middle and at the largest time.")


def loss_meaning(runs: Sequence[Run]) -> str:
    """Whether the losses in one figure are one measure."""
    def over(key):
        return len({str(key(run.config)) for run in runs}) > 1

    if len(runs) == 1:
        return ""
    schedules = "schedules" if all(run.family == "cold" for run in runs) else "noise schedules"
    differing = [word for word, key in (
        ("losses", lambda c: c.training.loss), ("targets", lambda c: c.restorer.parameterisation),
        ("degradations", lambda c: c.degradation), (schedules, lambda c: c.schedule)) if over(key)]
    if not differing:
        return "All are one measure and comparable."
    return (f"The runs have different {listed(differing)}, so that a lower curve need not be a "
            "more exact restorer.")


def sample_figures(study: StudyResults, results: Results) -> list[Figure]:
    name, out = study.name, []
    if study.trained:
        out.append(grids.epochs_figure(f"{name}-epochs", study.trained, "Samples after the first, the "
                   "middle and the last epoch whose samples training kept."))
    if study.study.kind == "blur" and study.trained:
        out.append(grids.samplers_figure(f"{name}-samplers", study.trained, "The same starting states "
                   "by each sampler: Algorithm 2 (improved), Algorithm 1 (naive) and one direct step."))
    if study.study.kind != "hyperparameters" or not study.trained:
        out.append(grids.final_figure(f"{name}-samples", study.runs, "The first samples of each run, "
                   "not chosen by hand."))
    return out


def restoration_figures(study: StudyResults) -> list[Figure]:
    runs, name = study.trained, study.name
    return [strips.restoration_figure(f"{name}-restoration", runs, "One test image degraded to t and "
            "restored, with the last weights: in one shot, by the linear least-squares restorer, and "
            "by each sampler."),
            curves.ssim_figure(f"{name}-ssim", runs, "SSIM of restored test images over t (1 = equal). "
                               "A method earns its place above the untouched x_t and above the linear "
                               "restorer.")]


def sample_grid(study: StudyResults) -> list[Figure]:
    return [grids.final_figure(f"{study.name}-samples", study.runs, "The first samples of each run, not "
                               "chosen by hand.")]
