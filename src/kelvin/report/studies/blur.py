"""Blur: what x_T keeps of an image, and what each algorithm makes of it."""

from __future__ import annotations

from kelvin.report.kit.style import Figure
from kelvin.report.kit.table import number
from kelvin.report.kit.words import listed, named
from kelvin.report.parts import curves, grids, strips
from kelvin.report.results import Results, Run
from kelvin.report.studies.base import Study, studies

GREY_LEVEL = 1 / 255


@studies.register("blur")
class Blur(Study):
    ranked = True

    def figures(self) -> list[Figure | None]:
        name, runs = self.name, self.trained
        return [grids.samplers_figure(f"{name}-samplers", runs, "The same starting states by each "
                                      "sampler."),
                *curves.degradation_figures(name, runs), *strips.figures(name, runs),
                curves.overlay_figure(name, runs), strips.reconstruction_figure(name, runs),
                grids.epochs_figure(name, runs)]

    def findings(self) -> list[str]:
        cold = [run for run in self.trained if run.family == "cold"]
        gaussian = self.results.calibration["rows"]["pixel-gaussian"]["fmd"]
        out = [kept_image(run.title, left_at_end(run), run.mean("fmd"), gaussian) for run in cold]
        out += filter(None, (readings(run, cold) for run in cold))
        out += filter(None, (algorithms(run, self.results) for run in cold))
        if cold:
            out.append("Evenness of the predicted classes (1 = all alike): " + listed(
                [f"{named(run.title)} {number(run.mean('class_evenness'))}" for run in cold]) + ".")
        return out


def left_at_end(run: Run) -> float:
    """Root mean squared difference of the untouched x_T from the image."""
    rows = [row for row in run.first.details["restoration"] if row["method"] == "untouched"]
    return max(rows, key=lambda row: row["t"])["rmse"]


def kept_image(title: str, rmse: float, fmd: float, gaussian: float) -> str:
    """Whether x_T still is the image, so that nothing is left to generate."""
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
    """A run with study B's reading (only kernel t) against one with composed kernels, where the two
    differ in nothing else."""
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
    """FMD by Algorithm 2, Algorithm 1 and one step, and SSIM of real images restored by them."""
    names = {"improved": "Algorithm 2", "naive": "Algorithm 1", "direct": "one direct step"}
    kinds = {results.plan.sampler(s)["kind"]: s for s in reversed(run.config.sampling.samplers)}
    present = [k for k in names if k in kinds]
    if len(present) < 2:
        return ""
    scores = listed([f"{number(run.sampler_mean(kinds[k], 'fmd'))} by {names[k]}"
                     for k in present])
    shots = [f"{number(run.restoration_mean('one-shot', 'ssim'))} in one shot"]
    shots += [f"{number(run.restoration_mean(kinds[k], 'ssim'))} by {names[k]}" for k in present
              if kinds[k] in run.record["restoration"]]
    return f"{named(run.title)}: FMD {scores}; SSIM of restored real images {listed(shots)}."
