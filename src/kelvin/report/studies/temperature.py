"""D1: the same setting for every degradation: the numbers, and which runs generate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kelvin.report.kit.style import GREY, MARKERS, WIDTH, Figure, chart, finish, looks, mark, plain, ticks
from kelvin.report.kit.table import Column, Row, Table, number
from kelvin.report.kit.words import listed, named, ranking, score, seeds
from kelvin.report.parts import columns, curves, strips
from kelvin.report.parts.curves import variance_lines
from kelvin.report.parts.tables_restoration import methods
from kelvin.report.results import TEMPERATURES, Run
from kelvin.report.studies.base import Study, studies

EVEN = 0.9  # evenness of the classes from which on samples are called varied
ALIKE = 0.2  # x_T whose spread is below this share of real images' are called nearly the same
METHODS = {"one-shot": "o", "linear": "^", "iterated": "s"}  # of restoring, and their markers
FLOOR = 1e-3  # of the logarithmic axis of signal variance
TARGET = "x0"  # what the runs that are compared predict


@dataclass(frozen=True)
class Variety:
    """What decides whether a run generates varied images.

    left: share of the signal variance at T. spread: standard deviation over samples of the prior's x_T,
    as a share of that of real images.
    """

    title: str
    evenness: float
    copier: bool
    recall: float
    prior_recall: float
    left: float
    spread: float

    @property
    def lacking(self) -> list[str]:
        """The criteria that it misses, with their numbers; empty for varied images."""
        out = []
        if self.evenness < EVEN:
            out.append(f"evenness {number(self.evenness)}")
        if self.copier:
            out.append("a copier")
        if self.recall <= self.prior_recall:
            out.append(f"recall {number(self.recall)}, not above the {number(self.prior_recall)} of its "
                       "x_T alone")
        return out


def spread(images: np.ndarray) -> float:
    """Root mean over pixels of the variance over images; images (n, C, H, W) uint8, 1 = full range."""
    return float(np.sqrt((images.astype(np.float64) / 255).var(0).mean()))


def variety(run: Run, real: float) -> Variety:
    return Variety(run.title, run.mean("class_evenness"), run.copier, run.mean("recall"),
                   prior_mean(run, "recall"), float(run.signal_variance[-1]),
                   spread(run.first.samples.prior) / real)


def prior_mean(run: Run, key: str) -> float:
    """A score of x_T itself, mean over training seeds."""
    return float(np.mean([r.record["prior"][key] for r in run.replicates]))


def target(run: Run) -> str:
    return run.config.restorer.parameterisation


@studies.register("temperature")
class Temperature(Study):
    variety = True

    def figures(self) -> list[Figure | None]:
        return [self.plane_figure(), self.variance_figure(), *strips.figures(self.name, self.trained),
                curves.fmd_figure(self.name, self.trained), self.samples(),
                strips.restoration_figure(self.name, self.trained)]

    def variance_figure(self) -> Figure:
        """Signal variance left over t/T; dashed: wanted by the schedule; a cross: out of reach."""
        runs = self.trained
        figure, axes = chart(WIDTH, 3.9 + 0.14 * len(runs) / 3)
        axes.set_yscale("log", nonpositive="mask")
        clamped = variance_lines(axes, runs, [run.title for run in runs])
        targets = dict.fromkeys(tuple(wanted) for run in runs
                                if (wanted := run.first.process["wanted"]) is not None)
        for k, values in enumerate(targets):
            axes.plot(np.linspace(0, 1, len(values)), values, color=GREY, linewidth=2.6, alpha=0.6,
                      linestyle=(0, (2, 1.2)), zorder=0,
                      label="" if k else "wanted by the noise schedule")
        if clamped:
            mark(axes, "X", "out of reach from here on", markersize=8)
        lowest = min(float(run.signal_variance[-1]) for run in runs)
        axes.set(xlabel="t / T", ylabel="share of the images' variance left",
                 ylim=(max(FLOOR, 0.5 * lowest), 1.4))
        ticks(axes.yaxis)
        return finish(figure, f"{self.name}-variance", "The setting: the share of the images' variance "
                      "left at t, as measured in training. Where lines lie on the dashed one, the "
                      "degradation removes what the noise schedule asks for; from a cross on it cannot.")

    def plane_figure(self) -> Figure:
        """SSIM against FMD (restoration): a number and colour per degradation, a marker per method."""
        figure, axes = chart(WIDTH, 4.6 + 0.14 * len(self.trained) / 3)
        for i, (run, look) in enumerate(zip(self.trained, looks(self.trained), strict=True)):
            colour = look["color"]
            at = {method: (run.restoration_mean(name, "ssim"), run.restoration_mean(name, "fmd"))
                  for method, name in methods(run).items()}
            if "one-shot" in at and "iterated" in at:
                axes.plot(*zip(at["one-shot"], at["iterated"], strict=True), color=colour, linewidth=1,
                          alpha=0.7, zorder=1)
            for method, place in at.items():
                axes.plot(*place, METHODS[method], color=colour, markersize=6, linestyle="none",
                          markerfacecolor=colour if method == "iterated" else "white", zorder=2)
                axes.annotate(str(i + 1), place, xytext=(4, 3), textcoords="offset points", fontsize=6.5,
                              color=colour)
            mark(axes, MARKERS[1], plain(f"{i + 1} {run.title}"), colour)
        for method, marker in METHODS.items():
            mark(axes, marker, method, markerfacecolor=GREY if method == "iterated" else "white")
        axes.set(xlabel="SSIM of restored images: nearer to the image itself to the right",
                 ylabel="FMD (restoration): nearer to\nreal images' distribution below", yscale="log")
        ticks(axes.yaxis)
        return finish(figure, f"{self.name}-plane", "Distortion against distribution of restored test "
                      "images, means over t. Circle: one network evaluation; filled square: the first "
                      "sampler, joined to it; triangle: the linear restorer. Down is nearer to the "
                      "distribution of real images, right is nearer to the very image; numbers and "
                      "colours name the degradation.")

    def tables(self) -> list[Table | None]:
        return [self.generation()] if self.trained else []

    def generation(self) -> Table:
        """Every run's first sampler beside the scores of its prior."""
        rows: list[Row] = []
        for run in self.trained:
            record, cost, sampler = self.records[run.name], self.costs[run.name], run.record["sampler"]
            scores = {key: value for key, value in record.items() if key.startswith("fmd") or key in (
                "family", "sampler", "nfe", "precision", "recall", "class_evenness", "copy_fraction",
                "copier", "below_floor")}
            rows.append({"run": run.name, "title": run.title, "target": target(run), **scores,
                         "prior_fmd": prior_mean(run, "fmd"), "prior_recall": prior_mean(run, "recall"),
                         "train_seconds": cost["train_seconds"],
                         "sample_ms": 1000 * cost["sample_seconds"][sampler] / run.record["n"]})
        heads = [columns.RUN, columns.KIND, columns.SAMPLER, columns.NFE, columns.FMD,
                 columns.NORMALISED, columns.RECALL, Column("prior's FMD", columns.cell("prior_fmd")),
                 Column("prior's recall", columns.cell("prior_recall")), columns.EVENNESS,
                 Column("copies", lambda r: f"{100 * r['copy_fraction']:.1f} %"
                        + " (copier)" * bool(r["copier"])),
                 Column("training, s", columns.cell("train_seconds")),
                 Column("ms / sample", columns.cell("sample_ms"))]
        return Table(f"{self.name}-generation", f"Generation, n = {self.results.calibration['n']} "
                     "samples of each run's first sampler. Brackets: "
                     f"{self.interval}. Prior's: the same scores of x_T itself, before any step. Bold: "
                     "best of the runs that are not flagged.", heads, rows,
                     lambda r: not (r["copier"] or r["below_floor"]),
                     page=("kind", "sampler", "recall", "prior's FMD", "prior's recall", "evenness"))

    def findings(self) -> list[str]:
        """The ranking of the runs that predict the same target, then what bears on it."""
        runs, out = self.trained, []
        if alike := [run for run in runs if target(run) == TARGET]:
            scores = [score(run, self.records[run.name]) for run in alike]
            out.append(" ".join([f"Trained alike, predicting {TARGET}: {len(alike)} "
                                 f"run{'s' * (len(alike) > 1)}.", *ranking(scores, self.level)]))
        out += [*families(alike), *others([run for run in runs if target(run) != TARGET]), *clamped(runs)]
        if runs:
            real = spread(self.results.store.split("test").images)
            out += who_generates([variety(run, real) for run in runs], self.count)
        return out


def families(runs: Sequence[Run]) -> list[str]:
    """Hot against warm against cold: the lowest FMD of each, of the runs that may be ranked."""
    best: dict[str, Run] = {}
    for family in TEMPERATURES:
        ranked = [r for r in runs if r.family == family and not r.entry.apart]
        if ranked:
            best[family] = min(ranked, key=lambda r: r.mean("fmd"))
    if len(best) < 2:
        return []
    lowest = listed([f"{family} {number(run.mean('fmd'))} ({named(run.title)})"
                     for family, run in best.items()])
    low, *rest = sorted(best, key=lambda family: best[family].mean("fmd"))
    times = listed([f"{family} {number(best[family].mean('fmd') / best[low].mean('fmd'))} times"
                    for family in rest])
    return [f"The lowest FMD of each temperature by a first sampler {seeds(len(runs[0].replicates))}, "
            f"clamped runs and copiers apart: {lowest}. {low.title()} is the lowest; "
            f"the others have a multiple of its FMD: {times}."]


def others(runs: Sequence[Run]) -> list[str]:
    """A sentence for each run with another target: it is not a side of the comparison."""
    return [f"{named(run.title)} predicts {target(run)} and not {TARGET}: one more row of the table (FMD "
            f"{number(run.mean('fmd'))}), not the {run.family} side of the comparison." for run in runs]


def clamped(runs: Sequence[Run]) -> list[str]:
    """A sentence on the degradations that cannot remove what the schedule asks for, and from which t on;
    without any, on the largest deviation from the schedule."""
    tied = [run for run in runs if run.first.process["wanted"] is not None]
    out = []
    for run in tied:
        start = run.first.process["clamped_from"]
        if start is not None:
            out.append(f"{named(run.title)} from t = {start} of {run.steps} (at T "
                       f"{number(float(run.signal_variance[-1]), 2)} is left where "
                       f"{number(float(run.first.process['wanted'][-1]), 2)} was wanted)")
    if out:
        return [f"Out of reach: {listed(out)}. From there on the degradation is as strong as it gets, "
                "and the setting is no longer the same for all."]
    if not tied:
        return []
    off = {run.title: farthest(run) for run in tied}
    title = max(off, key=lambda key: off[key][0])
    factor, t = off[title]
    return ["No degradation is marked as clamped. The farthest from the signal variance that the noise "
            f"schedule asks for is {named(title)}, by a factor of {number(factor)} at t = {t}."]


def farthest(run: Run) -> tuple[float, int]:
    """The largest factor between signal variance left and wanted (either way), and its t."""
    left, aim = (np.maximum(np.array(v, float), 1e-12)
                 for v in (run.signal_variance, run.first.process["wanted"]))
    factor = np.maximum(left / aim, aim / left)
    return float(factor.max()), int(factor.argmax())


def who_generates(varieties: Sequence[Variety], count: int) -> list[str]:
    """Sentences: which runs draw varied images, and for each other run what it lacks and why."""
    varied = [named(v.title) for v in varieties if not v.lacking]
    rule = (f"evenness of the classes at least {EVEN:g}, not a copier, and a recall above that of x_T "
            "itself")
    out = [f"Varied images ({rule}) {seeds(count)}: {listed(varied) if varied else 'no run'}"
           f"{f' ({len(varied)} of {len(varieties)})' if len(varieties) > 1 else ''}."]
    return out + [f"Not varied: {named(v.title)} ({'; '.join(v.lacking)}). "
                  f"{reason(v, [w for w in varieties if not w.lacking])}"
                  for v in varieties if v.lacking]


def reason(v: Variety, varied: Sequence[Variety] = ()) -> str:
    """Whether x_T is nearly the same for every sample, by its spread; and whether a run with as little
    spread generates varied images, so that spread alone is not the reason."""
    facts = (f"The x_T that its prior draws spread by {number(100 * v.spread, 2)} % of the standard "
             f"deviation of real images; {number(100 * v.left, 2)} % of the signal variance is left at T")
    if v.copier:
        return facts + ", and copies say nothing about variety."
    same = min((w for w in varied if w.spread <= ALIKE), key=lambda w: w.spread, default=None)
    if v.spread <= ALIKE and same:
        return facts + (f": the start is nearly the same every time, but {named(same.title)} starts from "
                        f"{number(100 * same.spread, 2)} % and generates varied images, so how "
                        "little is left is not the whole reason; what is left matters.")
    if v.spread <= ALIKE:
        return facts + (": the start is nearly the same every time, so hardly anything tells one sample "
                        "from another.")
    return facts + ": the starts do differ, so what is missing is lost on the way from x_T to the sample."
