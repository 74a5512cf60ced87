"""Study E: what leaking folds hide, where training stopped, and what the study's rule costs."""

from __future__ import annotations

import numpy as np

from kelvin.config.plan import ReportPlan
from kelvin.datasets.sources.fruits import parse_class
from kelvin.metrics.comparisons import LEAST
from kelvin.report.kit import pictures
from kelvin.report.kit.style import WIDTH, Figure, chart, finish, look, ticks, whole
from kelvin.report.kit.table import Table, number
from kelvin.report.kit.words import named
from kelvin.report.parts import ancestral, single_shot, strips
from kelvin.report.parts.single_shot import (
    EXACT,
    MEASURES,
    PARTS,
    by_fold,
    by_rule,
    measured,
    over_time,
    rules,
    values,
)
from kelvin.report.results import Run
from kelvin.report.studies.base import Study, studies

SHOWN = ("test-ssim", "seen-ssim", "test-rules-ssim")  # tables over t that the page shows
LONGER = 1.1  # times as many updates: length may explain a difference then
KINDS = 12  # kinds that a figure shows at most; a third of them where every kind has many rows


@studies.register("folds")
class Folds(Study):
    tested = False  # folds are compared on held-out images

    def figures(self) -> list[Figure | None]:
        runs, name = [run for run in self.trained if measured(run)], self.name
        lines = [single_shot.fold_figure(name, runs), single_shot.rule_figure(name, runs)] if runs else []
        rows = [rows_figure(name, run, self.results.plan) for run in runs]
        return [self.loss_figure(), *lines, *rows,
                strips.decoding_figure(name, self.trained, "Generation: two new images of each run from "
                                       "x_T (left) to the sample, every T/10."),
                self.samples(), *ancestral.figures(name, self.trained)]

    def tables(self) -> list[Table | None]:
        """Of each run: SSIM by fold, SSIM by rule, and ancestral sampling."""
        written = {table.name: table for table in self.files()}
        return [table for run in self.trained for table in (
            *(written.get(f"{self.name}-{run.name}-{key}") for key in SHOWN),
            ancestral.table(self.name, run))]

    def files(self) -> list[Table]:
        """Every measure by fold and, where several were tried, by rule."""
        window = self.results.plan.metrics.ssim_window
        return [make(self.name, run, part, measure, window) for run in self.trained if measured(run)
                for part in PARTS if over_time(run, part)[0] for measure in MEASURES
                for make in (by_fold, by_rule)[:len(rules(run))]]

    def loss_figure(self) -> Figure:
        """Train and validation loss of every fold; a cross where training stopped, a disc at the best."""
        runs = self.trained
        drawing, (panels,) = chart(WIDTH, 3.2, across=len(runs), sharey=True, squeeze=False)
        for axes, run in zip(panels, runs, strict=True):
            for i, r in enumerate(run.replicates):
                x, colour = [row["epoch"] for row in r.history], look(i)["color"]
                y = [row["val_loss_ema"] for row in r.history]
                axes.plot(x, [row["train_loss"] for row in r.history], ":", color=colour)
                axes.plot(x, y, "-", color=colour, label=f"fold {r.index}")
                if best := r.record.get("best_epoch"):
                    axes.plot(best, y[best - 1], "o", color=colour)
                if stopped := r.record.get("stopped_epoch"):
                    axes.plot(stopped, y[stopped - 1], "x", color=colour)
            axes.set(title=run.title, xlabel="epoch", yscale="log")
            whole(axes.xaxis)
        panels[0].set(ylabel="loss after the epoch")
        ticks(panels[0].yaxis)
        return finish(drawing, f"{self.name}-loss", "Loss of every fold at fixed t and z. Dotted: "
                      "training images (raw weights); line: held-out images (EMA weights), at most 1,024 "
                      "of either. Disc: the epoch whose weights are kept, the one of the lowest loss on "
                      "the held-out images themselves, which flatters it a little; cross: where training "
                      "stopped early.", columns=5)

    def findings(self) -> list[str]:
        """First what a leak changes, or without folds to compare what one evaluation restores."""
        runs = {run.config.split: run for run in reversed(self.trained)
                if run.config.restorer.parameterisation == "eps"}
        shape, plan = self.results.store.manifest["image_shape"], self.results.plan
        restored = [text for run in self.trained if plan.images.groups == "folder"  # study E's own images
                    and (text := single_shot.study_e(run, shape))]
        leak = [harm(runs["grouped"], runs["leaky"], self.level)] if {"grouped", "leaky"} <= runs.keys() \
            else []
        out = leak or restored[:]
        out += [objects(plan)] if "grouped" in runs else []
        out += [stopping(self.trained)] if self.trained else []
        out += restored if leak else []
        for run in self.trained:
            out += rule_cost(run) + ancestral.findings(run)
        return out


def kind_of(name: str, plan: ReportPlan) -> str:
    """The kind of a class: where a class is one object, the kind in its name."""
    return parse_class(name).kind if plan.images.groups == "folder" else name


def shown_times(count: int) -> range:
    """Indices of about ten of `count` times, the last one, T, among them."""
    return range(count - 1, -1, -max(1, count // 10))[::-1]


def rows_figure(name: str, run: Run, plan: ReportPlan) -> Figure:
    """Truth, degraded and restored over t, ending at T, of one image of each kind."""
    part, times = run.first.samples.parts["test"], run.first.samples.at_times
    names = [kind_of(str(name), plan) for name in part.kinds]
    kinds, first = np.unique(names, return_index=True)
    time_indices = shown_times(len(times))
    arrays = {"degraded": part.degraded,
              **{single_shot.title(rule): images for rule, images in part.rules.items()}}
    most = KINDS if len(part.rules) == 1 else KINDS // 3
    panels = [pictures.table(str(kind), [[part.truth[i], *(x[k, i] for k in time_indices)]
                                          for x in arrays.values()],
                             list(arrays), ["truth", *(str(times[k]) for k in time_indices)])
              for kind, i in list(zip(kinds, first, strict=True))[:most]]
    which = f"each of the {len(kinds)}" if len(kinds) <= most else f"{most} of the {len(kinds)}"
    caption = (f"{run.title}, fold {run.first.index}: the first held-out image of {which} kinds held out "
               "(in a seeded order), degraded to t and restored in one shot.")
    return pictures.show(f"{name}-{run.name}-rows", caption, panels, 1)


def objects(plan: ReportPlan) -> str:
    """What is kept together in a fold, and what the study's FMD is measured against."""
    groups = plan.images.groups
    unit = ("An object is a folder of its frames" if groups == "folder" else
            f"Who or what made an image is not told: {groups['blocks']} equal blocks of the file, one "
            "after the other, stand for its makers" if isinstance(groups, dict) and "blocks" in groups
            else "An object is told by file name or list" if groups else "Every image is its own object")
    return (f"{unit}. A fold's FMD is taken against the real images of all objects, held out or not, and "
            "is no measure of what folds differ in.")


def harm(grouped: Run, leaky: Run, level: float) -> str:
    """Validation loss of leaky against grouped folds, in words; a verdict only with enough folds."""
    ours, theirs = grouped.values("val_loss_ema"), leaky.values("val_loss_ema")
    share = float(np.mean(theirs)) / float(np.mean(ours)) - 1
    text = (f"With leaky folds the validation loss is {number(float(np.mean(theirs)))}, with grouped "
            f"folds {number(float(np.mean(ours)))} ({100 * abs(share):.1f} % "
            f"{'lower' if share < 0 else 'higher'} where it leaks)")
    updates = leaky.mean("updates"), grouped.mean("updates")
    if updates[0] > LONGER * updates[1]:
        text += (" after {:,.0f} updates against {:,.0f}".format(*updates)
                 + f"; after as many it is {number(after_as_many(leaky, grouped))}")
    if measured(grouped) and measured(leaky):
        ssim = [float(values(run, "test", EXACT, "ssim").mean()) for run in (grouped, leaky)]
        text += (f"; SSIM of single-shot x0_hat, mean over t, is {number(ssim[0])} on objects that "
                 f"training never showed, and {number(ssim[1])} on held-out images where it leaks: "
                 "there no object is new, and what it would do on new ones the leaky fold cannot say")
    if len(ours) < LEAST:
        return text + (f". Folds count as replicates: with {len(ours)} of them no verdict is given "
                       f"(at least {LEAST}).")
    from scipy.stats import ttest_ind

    p = float(ttest_ind(theirs, ours, equal_var=False).pvalue)
    outcome = "no significant difference" if p >= 1 - level else "lower" if share < 0 else "higher"
    return text + (f". Validation loss of {len(ours)} leaky against {len(ours)} grouped folds, Welch's "
                   "t-test (they hold out different images; the folds of a kind share training images, "
                   f"so p is rather too small): {outcome} (p = {number(p)}).")


def after_as_many(leaky: Run, grouped: Run) -> float:
    """Validation loss of leaky folds after the epochs at which grouped ones ended (their own last, if
    that came first), mean over folds."""
    pairs = zip(leaky.replicates, grouped.replicates, strict=True)
    return float(np.mean([ours.history[min(len(ours.history), len(theirs.history)) - 1]["val_loss_ema"]
                          for ours, theirs in pairs]))


def stopping(runs: list[Run]) -> str:
    """How many folds stopped early, and whether the others were still getting better."""
    folds = [r for run in runs for r in run.replicates if r.record.get("best_epoch")]
    if not folds:
        return "None of these runs was to stop early."
    early = [r.record["stopped_epoch"] for r in folds if r.record.get("stopped_epoch")]
    late = [r for r in folds if not r.record.get("stopped_epoch")]
    words = [f"{len(early)} of {len(folds)} trainings stopped early, after {min(early)} to {max(early)} "
             "epochs"] if early else [f"None of the {len(folds)} trainings stopped early"]
    if late:
        last = sum(r.record["best_epoch"] == len(r.history) for r in late)
        words.append(f"of those that ran to the end {last} had their lowest validation loss in the "
                     "last epoch" + (": what longer training would do is not known"
                                     if last == len(late) else ""))
    return f"{'; '.join(words)}."


def rule_cost(run: Run) -> list[str]:
    """How much SSIM a rule other than the exact one loses or gains on average, and its worst t."""
    out = []
    for rule in rules(run)[1:]:
        lost = values(run, "test", EXACT, "ssim") - values(run, "test", rule, "ssim")
        t = [row["t"] for row in over_time(run, "test")[0]]
        worst, each = int(lost.mean(0).argmax()), lost.mean(1)
        spread = f" ± {number(each.std(ddof=1) / len(each) ** 0.5, 2)}" if len(each) > 1 else ""
        over = (f"mean over t ± standard error over {len(each)} folds" if len(each) > 1
                else f"mean over t, fold {run.first.index}")
        mean, most = float(each.mean()), float(lost.mean(0)[worst])
        ends = f"most at t = {t[worst]}, {number(most)}" if most > 0 else "at no t"
        out.append(f"{named(run.title)}: against the exact rule, {single_shot.title(rule)} "
                   f"{'loses' if mean > 0 else 'gains'} {number(abs(mean))}{spread} SSIM ({over}); it "
                   f"loses {ends}.")
    return out
