"""D3: restoration in one step against iterated restoration. What do the steps after the first change?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap

import numpy as np

from kelvin.report.kit.pictures import montage, show
from kelvin.report.kit.style import WIDTH, Figure, chart, finish, plain, ticks
from kelvin.report.kit.table import NOTHING, Column, Row, Table, number
from kelvin.report.kit.titles import sampler_words
from kelvin.report.kit.words import listed, named, seeds
from kelvin.report.parts import columns
from kelvin.report.parts.curves import by_method, line
from kelvin.report.parts.grids import samples
from kelvin.report.parts.tables_restoration import iterated
from kelvin.report.results import Results, Run
from kelvin.report.studies.base import Study, studies

ONE = "one-shot"
DASHED = {"color": "#777777", "linestyle": (0, (5, 2))}
SOLID = {"color": "#000000", "linestyle": "-", "marker": "o"}
ACROSS = 4  # runs beside each other
# {(most runs have a lower FMD, most runs have a higher RMSE): what the steps after the first do}
EFFECTS = {
    (True, True): "buy distribution and pay with distortion",
    (True, False): "move restored images towards the distribution of real ones, and mostly not away from "
                   "their own truth",
    (False, True): "mostly neither lower the FMD of restored images nor keep their distortion",
    (False, False): "mostly do not bring restored images nearer to the distribution of real ones; what "
                    "they lower is, if anything, distortion"}


@dataclass(frozen=True)
class Pair:
    """A run's restorations in one shot and iterated (SSIM, RMSE, FMD: means over t), and its samples
    drawn in one step and by its first sampler (FMD, evenness); None where a run has no such sampler."""

    title: str
    ssim: tuple[float, float]
    rmse: tuple[float, float]
    fmd: tuple[float, float]
    sample_fmd: tuple[float, float] | None = None
    evenness: tuple[float, float] | None = None
    steps: int | None = None  # network evaluations of the sampler that iterates


def direct(run: Run, results: Results) -> str | None:
    """The sampler that takes one step from x_T."""
    return next((s for s in run.config.sampling.samplers
                 if results.plan.sampler(s)["kind"] == "direct"), None)


def pair(run: Run, results: Results) -> Pair:
    other, step, first = iterated(run), direct(run, results), run.record["sampler"]
    both = {key: (run.restoration_mean(ONE, key), run.restoration_mean(other, key))
            for key in ("ssim", "rmse", "fmd")}
    samples = {key: (run.sampler_mean(step, name), run.sampler_mean(first, name))
               for key, name in (("sample_fmd", "fmd"), ("evenness", "class_evenness"))} if step else {}
    return Pair(run.title, **both, **samples, steps=run.record["samplers"][other]["nfe"])


@studies.register("iterations")
class Iterations(Study):
    tested = False  # D1 compares these runs

    def compared(self) -> list[Run]:
        """Runs that restore in one shot and by a sampler."""
        return [run for run in self.trained if iterated(run) and ONE in run.record["restoration"]]

    def tables(self) -> list[Table | None]:
        """One row per run: restoration first, then generation, each measure named by its task."""
        rows: list[Row] = []
        for run in self.compared():
            p = pair(run, self.results)
            row: Row = {"run": run.name, "title": p.title, "method": iterated(run),
                        "sampler": run.record["sampler"]}
            for key, values in (("restoration_ssim", p.ssim), ("restoration_rmse", p.rmse),
                                ("restoration_fmd", p.fmd), ("generation_fmd", p.sample_fmd),
                                ("generation_evenness", p.evenness)):
                one, many = values or (None, None)
                row |= {f"{key}_one": one, f"{key}_iterated": many,
                        f"{key}_difference": None if one is None else many - one}
            rows.append(row)

        def column(title: str, key: str) -> Column:
            return Column(f"{title} [change]", lambda r: NOTHING if r[f"{key}_one"] is None else
                          f"{number(r[f'{key}_one'])} → {number(r[f'{key}_iterated'])} "
                          f"[{signed(r[f'{key}_difference'])}]")

        heads = [columns.RUN, Column("iterated by", columns.cell("method", sampler_words)),
                 column("SSIM", "restoration_ssim"),
                 column("RMSE", "restoration_rmse"), column("FMD (restoration)", "restoration_fmd"),
                 column("FMD (generation)", "generation_fmd"),
                 column("evenness (generation)", "generation_evenness")]
        return [Table(self.name, "One shot → iterated, and the change in brackets. Restoration (SSIM, "
                      "RMSE, FMD): real test images degraded to evenly spaced t, brought back in one "
                      "network evaluation or by the sampler; means over t. Generation: one step from x_T "
                      "against the run's first sampler. The two FMDs are of different numbers of images "
                      "and tasks.", heads, rows)] if rows else []

    def figures(self) -> list[Figure | None]:
        return [self.over_t(), self.direct()]

    def over_t(self) -> Figure | None:
        """SSIM over t above FMD (restoration) over t, a column of two panels per run."""
        runs = self.compared()
        if not runs:
            return None
        across = min(ACROSS, len(runs))
        down = -(-len(runs) // across)
        canvas, panels = chart(min(WIDTH, 2.1 * across + 0.8), 3.3 * down + 0.6, 2 * down, across,
                               squeeze=False)
        for k, run in enumerate(runs):
            i, j = divmod(k, across)
            top, below = panels[2 * i:2 * i + 2, j]
            for axes, key in ((top, "ssim"), (below, "fmd")):
                line(axes, by_method(run, ONE, key), DASHED, "one evaluation")
                line(axes, by_method(run, iterated(run), key), SOLID, "iterated")
                axes.set_xlim(0, 1.03)
            top.set_title("\n".join(wrap(plain(run.title), 24)), fontsize=8)
            top.set(ylim=(None, 1.02), xticklabels=[])
            below.set(xlabel="t / T", yscale="log")
            ticks(below.yaxis)
            if j == 0:
                top.set_ylabel("SSIM")
                below.set_ylabel("FMD (restoration)")
        for axes in panels[2 * down - 2:, len(runs) - across * (down - 1):].flat:
            axes.set_visible(False)
        return finish(canvas, f"{self.name}-over-t", "Restored test images over t, in one network "
                      "evaluation and by the sampler that the table names. Above: SSIM to the image "
                      "itself (higher is nearer). Below: FMD of the restored images as a set (lower is "
                      "nearer to real images).", columns=4)

    def direct(self) -> Figure | None:
        """The same starting states in one step (left) and by the first sampler (right), a row per run."""
        panels = []
        for run in self.trained:
            step, first = direct(run, self.results), run.record["sampler"]
            for sampler in (step, first) if step and step != first else ():
                fmd = run.record["samplers"][sampler]["fmd"]
                title = f"{run.title}, {sampler_words(sampler)}: FMD {number(fmd)}"
                panels.append(montage(title, samples(run, 20, sampler), 10))
        return show(f"{self.name}-direct", "Samples from the same starting states: one step from x_T "
                    "(left) and the run's first sampler (right).", panels, 2) if panels else None

    def findings(self) -> list[str]:
        pairs = [pair(run, self.results) for run in self.compared()]
        return counted(pairs, self.count) if pairs else []


def signed(value: float) -> str:
    return ("+" if value > 0 else "") + number(value)


def share(count: int, total: int) -> str:
    return f"{count} of {total} run{'s' * (total > 1)}"


def counted(pairs: Sequence[Pair], count: int) -> list[str]:
    """In how many runs iterating lowers or raises each measure."""
    n = len(pairs)
    nearer = [p for p in pairs if p.fmd[1] < p.fmd[0]]
    ssim = [p for p in pairs if p.ssim[0] > p.ssim[1]]
    rmse = [p for p in pairs if p.rmse[0] < p.rmse[1]]
    out = [answer(pairs, len(nearer), len(rmse), count)]
    exceptions = [named(p.title) for p in pairs if p not in nearer]
    out.append(f"Restoration, distribution: iterating gives the lower FMD (restoration) in "
               f"{share(len(nearer), n)} {seeds(count)}; the median ratio of iterated to one shot is "
               f"{number(float(np.median([p.fmd[1] / p.fmd[0] for p in pairs])))}"
               + (f". Not in {listed(exceptions)}." if exceptions and nearer else "."))
    out.append(f"Restoration, distortion: one shot has the higher SSIM in {share(len(ssim), n)} and the "
               f"lower RMSE in {share(len(rmse), n)}; iterating changes SSIM by "
               f"{signed(float(np.median([p.ssim[1] - p.ssim[0] for p in pairs])))} and RMSE by "
               f"{signed(float(np.median([p.rmse[1] - p.rmse[0] for p in pairs])))} in the median.")
    both = [p for p in pairs if p.sample_fmd]
    if both:
        lower = sum(p.sample_fmd[1] < p.sample_fmd[0] for p in both)
        even = sum(p.evenness[1] > p.evenness[0] for p in both)
        out.append("Generation: the first sampler has a lower FMD than one step from x_T in "
                   f"{share(lower, len(both))}, and the more even classes in {share(even, len(both))}.")
    return out


def answer(pairs: Sequence[Pair], nearer: int, rmse: int, count: int) -> str:
    """One sentence: what the steps after the first do. nearer, rmse: runs where iterating has the lower
    FMD, and where one shot has the lower RMSE; the majority decides."""
    n = len(pairs)
    spent = {p.steps for p in pairs if p.steps}
    later = f"The other {min(spent) - 1} steps" if len(spent) == 1 else "The steps after the first"
    because = (f"iterating lowers the FMD of restored images in {share(nearer, n)} and raises their RMSE "
               f"in {rmse}")
    return f"{later} {EFFECTS[nearer > n / 2, rmse > n / 2]} {seeds(count)}: {because}."
