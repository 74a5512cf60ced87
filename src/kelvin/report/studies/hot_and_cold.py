"""Hot against cold by the verdict rule: within one sampler and number of evaluations, past the gates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property

import numpy as np

from kelvin.metrics.gates import BUDGET, RESTORATION, SEEDS, SEVERITY, Gate
from kelvin.report.kit.style import Figure
from kelvin.report.kit.table import NOTHING, Column, Row, Table, number
from kelvin.report.kit.verdict_words import SAMPLERS, digits
from kelvin.report.kit.words import named
from kelvin.report.parts import contrast_figures as drawing
from kelvin.report.parts import contrast_words as words
from kelvin.report.parts import targets
from kelvin.report.parts.arms import TIED, Arm, arms
from kelvin.report.parts.columns import RUN, text, value
from kelvin.report.parts.contrasts import DECLARED, Page, Step, contrasted, over_updates
from kelvin.report.results import Results, StudyResults
from kelvin.report.studies.base import Study, studies

DEGRADATION, EVALUATIONS = text("title", "degradation"), value("nfe", "evaluations")
TIED_BY = Column("tied by", lambda row: TIED[row["tie"]])
VALIDATION = value("validation_fmd", "FMD, validation")


@studies.register("hot-and-cold")
class HotAndCold(Study):
    tested = False  # the verdict rule takes the place of tests by first samplers

    def __init__(self, study: StudyResults, results: Results, records: Mapping[str, Row],
                 costs: Mapping[str, Row]) -> None:
        super().__init__(with_points(study, results), results, records, costs)

    @cached_property
    def arms(self) -> list[Arm]:
        return arms(self.trained, self.results)

    @cached_property
    def page(self) -> Page:
        manifest = self.results.store.manifest
        return contrasted(self.arms, self.study.study.runs[0], manifest["grey_levels"],
                          manifest["image_shape"][0] == 3)

    @property
    def largest(self) -> list[Arm]:
        """Of each degradation and tying the arm of most updates."""
        return list({(arm.degradation, arm.tie): arm for arm in self.arms}.values())

    @property
    def processes(self) -> list[Arm]:
        """Of each degradation and tying one arm: what is predicted is no part of the process."""
        first: dict[tuple[str, str], Arm] = {}
        for arm in self.largest:
            first.setdefault((arm.base, arm.tie), replace(arm, degradation=arm.base,
                                                          title=arm.plain_title, target=""))
        return list(first.values())

    def figures(self) -> list[Figure | None]:
        return [drawing.forest(f"{self.name}-declared", self.page, declared=True),
                drawing.over_updates(f"{self.name}-updates", self.steps),
                drawing.forest(f"{self.name}-samplers", self.page, declared=False),
                drawing.over_flops(f"{self.name}-flops", self.arms),
                drawing.over_rates(f"{self.name}-rates", self.arms),
                drawing.processes(f"{self.name}-process", self.processes),
                drawing.consistency(f"{self.name}-consistency", self.largest, self.results),
                drawing.starts(f"{self.name}-starts", self.largest)]

    def tables(self) -> list[Table | None]:
        return [self.contrasts(), self.gates(), self.rates(), self.declared(), self.targets(),
                self.budgets(), self.starts()] if self.trained else []

    def contrasts(self) -> Table | None:
        """One row a contrast."""
        rows: list[Row] = []
        sides = self.page.sides
        for e in self.page.effects:
            c, (low, high) = e.verdict.contrast, e.interval or (None, None)
            least, most = e.by_classifier or (None, None)
            sampler = SAMPLERS[c.sampler] if c.sampler != DECLARED else (
                f"declared: {' against '.join(dict.fromkeys(SAMPLERS[kind] for kind in e.kinds[::-1]))}")
            rows.append({"candidate": e.candidate, "title": f"{sides[c.candidate].title} against "
                         f"{sides[c.baseline].title}", "tie": e.tie, "sampler": sampler,
                         "nfe": c.nfe, "updates": sides[c.candidate].updates,
                         "seeds": min(e.verdict.seeds), "ratio": e.ratio,
                         "ratio_low": low, "ratio_high": high, "outcome": e.verdict.outcome,
                         "p": e.verdict.p, "p_same": e.verdict.p_same, "detectable": e.detectable,
                         "classifiers_low": least, "classifiers_high": most})
        if not rows:
            return None
        heads = [text("title", "contrast"), *[TIED_BY] * (len(self.page.ties) > 1), text("sampler"),
                 EVALUATIONS,
                 Column("ratio of FMD [95 % interval]", ratio_of),
                 Column("by classifier", lambda r: NOTHING if r["classifiers_low"] is None else
                        f"{digits_of(r['classifiers_low'])} to {digits_of(r['classifiers_high'])}"),
                 text("outcome", "verdict"),
                 Column("detectable rise", lambda r: NOTHING if r["detectable"] is None
                        else f"{digits(100 * r['detectable'])} %")]
        return Table(f"{self.name}-contrasts", f"Every degradation against {named(self.baseline)}, "
                     "within one sampler and number of network evaluations an image; declared: each by "
                     "the sampler that tuning declared for it, by FMD against validation images. Ratio: "
                     "FMD of the first over that of the second, of geometric means over training seeds; "
                     "FMD is the median over the judging classifiers, whose own ratios lie between the "
                     "numbers under “by classifier”. Verdict: docs/verdict.md; all rows are one family. "
                     "Detectable rise: of FMD, found in 4 of 5 such experiments at the strictest "
                     "level of the judged rows; of all rows, where none is judged.", heads, rows)

    @cached_property
    def steps(self) -> list[list[Step]]:
        return over_updates(self.arms, self.study.study.runs[0])

    def budgets(self) -> Table | None:
        """One row a degradation, tying and number of updates."""
        rows = [{"candidate": s.candidate.degradation, "title": f"{s.candidate.title} against "
                 f"{s.baseline.title}", "tie": s.candidate.tie, "updates": s.candidate.updates,
                 "nfe": s.nfe, "ratio": s.ratio, "ratio_low": s.interval and s.interval[0],
                 "ratio_high": s.interval and s.interval[1]} for steps in self.steps for s in steps]
        heads = [text("title", "contrast"), TIED_BY, value("updates"), EVALUATIONS,
                 Column("ratio of FMD [95 % interval]", ratio_of)]
        return Table(f"{self.name}-budgets", "The same ratio after fewer updates, each by its declared "
                     "sampler with the most evaluations; the interval is of this row alone.", heads, rows
                     ) if rows else None

    def targets(self) -> Table | None:
        """One row a degradation and target."""
        rows = targets.rows(self.largest)
        heads = [DEGRADATION, text("target", "predicts"), text("sampler"), EVALUATIONS,
                 value("fmd", "FMD"), Column("ratio to the first target [95 % interval]", ratio_of)]
        return Table(f"{self.name}-targets", "What the networks predict: the image (x0), what is added "
                     "to the degraded image (residual), or to its linear least squares restoration "
                     "(linear+), each by its own declared sampler. FMD and ratio: of geometric means "
                     "over seeds, the interval seed by seed.", heads, rows) if rows else None

    def gates(self) -> Table | None:
        """One row a side, a column a gate."""
        page = self.page
        rows = [{"run": page.sides[key].run.name, "tie": page.sides[key].tie, "title": page.titles[key],
                 "updates": page.sides[key].updates,
                 **{gate.name: state(gate) for gate in gates},
                 **{f"{gate.name}_numbers": numbers(gate) for gate in gates}}
                for key, gates in page.gates.items()]
        heads = [RUN, value("updates"), gate_column(RESTORATION), gate_column(BUDGET),
                 gate_column(SEVERITY), gate_column(SEEDS, "fresh seeds")]
        return Table(f"{self.name}-gates", "What a run must pass before it is judged. Restoration: "
                     "one-shot RMSE over that of linear least squares on 8 bits, at most 1.1 wherever "
                     "the latter exceeds half a grey level. Budget: twice the updates move log FMD by "
                     "less than 0.05. Severity: never clamped. Fresh seeds: those that tuned nothing, 5, "
                     "or 10 at no more than 1,120 updates. Conditional: missed at the largest of several "
                     "budgets; verdicts hold of the networks as trained.", heads, rows) if rows else None

    def rates(self) -> Table | None:
        """The grid: one row a run of an arm that was tuned."""
        rows: list[Row] = []
        for arm in (arm for arm in self.arms if arm.is_tuned):
            for run in arm.runs:
                own = replace(arm, runs=(run,))
                validation = None if own.place is None else float(np.exp(own.validation(run, own.place)))
                rows.append({"run": run.name, "title": arm.title, "tie": arm.tie, "updates": arm.updates,
                             "lr": run.config.training.lr, "validation_fmd": validation,
                             "sampler": NOTHING if own.place is None else
                             f"{SAMPLERS[own.place[0]]}, {own.place[1]}",
                             "fmd": float(np.exp(np.mean(np.log(own.fmd())))),
                             "chosen": run is arm.run and arm.place is not None})
        heads = [DEGRADATION, TIED_BY, value("updates"),
                 Column("learning rate", lambda r: f"{r['lr']:g}"),
                 text("sampler", "best sampler, evaluations"), VALIDATION, value("fmd", "FMD, reference"),
                 Column("chosen", lambda r: "chosen" if r["chosen"] else NOTHING)]
        return Table(f"{self.name}-grid", "What was tuned: each run by the sampler of its lowest FMD "
                     "against the validation images (geometric means over seeds), which alone choose.",
                     heads, rows) if rows else None

    def declared(self) -> Table | None:
        """One row a tuned arm and number of evaluations: what a record that it tunes may take."""
        rows: list[Row] = [
            {"run": arm.run.name, "title": arm.title, "tie": arm.tie, "nfe": nfe, "sampler": kind,
             "name": arm.samplers[kind, nfe],
             "validation_fmd": float(np.exp(arm.validation(arm.run, (kind, nfe))))}
            for arm in self.arms if arm.is_tuned for nfe, kind in sorted(arm.declared.items())]
        heads = [DEGRADATION, TIED_BY, EVALUATIONS,
                 Column("declared sampler", lambda r: SAMPLERS[r["sampler"]]), VALIDATION]
        return Table(f"{self.name}-declared", "The samplers that tuning declares: of each degradation at "
                     "its chosen learning rate, for each number of evaluations, the one of lowest FMD "
                     "against the validation images.", heads, rows) if rows else None

    def starts(self) -> Table | None:
        """The prior's part: one row an arm whose sampler also started from something else."""
        rows: list[Row] = []
        for arm in self.largest:
            if scores := drawing.by_start(arm):
                sampler, values = scores
                rows.append({"run": arm.run.name, "title": arm.title, "tie": arm.tie,
                             "sampler": drawing.words_of(arm, sampler),
                             **{start or "prior": float(np.exp(np.mean(np.log(v))))
                                for start, v in values.items()}})
        shown = [DEGRADATION, text("sampler"),
                 value("prior", "FMD from the prior"),
                 Column("from true x_T", lambda r: number(r.get("held-out"))),
                 Column("from the mean image", lambda r: number(r.get("constant")))]
        return Table(f"{self.name}-starts", "The prior's part: the same network and sampler from x_T "
                     "that the fitted prior draws, from x_T of held-out images, and from the degraded "
                     "mean image every time (geometric means over seeds).", shown, rows) if rows else None

    def findings(self) -> list[str]:
        """What wins, under what, and what is not decided; then verdicts in full, gates, choices."""
        rates = words.rates(self.arms)
        if not self.page.effects:
            why = ("the degradation that the others are held against is not active" if not self.base_arm
                   else "no sampler was scored by all measures on both sides of any contrast")
            return [part for part in (f"There is nothing to contrast: {why}.", rates) if part]
        started = [(arm.title, drawing.words_of(arm, scores[0]), scores[1]) for arm in self.largest
                   if (scores := drawing.by_start(arm))]
        return [part for part in (
            words.wins(self.page, self.baseline) or targets.order(self.page, self.baseline),
            words.tested(self.page, self.results.replicates), words.not_decided(self.page),
            words.over_updates(self.steps),
            targets.gains(self.largest), *words.full_verdicts(self.page), words.misses(self.page),
            words.starts(started), rates) if part]

    @property
    def baseline(self) -> str:
        """Its title, whatever the target."""
        return self.page.sides[self.page.effects[0].verdict.contrast.baseline].plain_title

    @property
    def base_arm(self) -> Arm | None:
        return next((arm for arm in self.arms if arm.base == self.study.study.runs[0]), None)


def with_points(study: StudyResults, results: Results) -> StudyResults:
    """The study with the points of its runs' grids in place of runs that are not active themselves."""
    points = {name: [run for key, run in results.every.items()
                     if (point := results.plan.varied.get(key)) and point.run == name]
              for name in study.study.runs}
    active = {run.name: run for run in study.runs}
    runs = [run for name in study.study.runs
            for run in ([active[name]] if name in active else []) + points[name]]
    return replace(study, runs=runs, missing=[name for name in study.missing if not points[name]])


def ratio_of(row: Row) -> str:
    """A ratio and its interval, where there are any."""
    if row["ratio"] is None:
        return NOTHING
    interval = "" if row["ratio_low"] is None else \
        f" [{digits_of(row['ratio_low'])}, {digits_of(row['ratio_high'])}]"
    return digits_of(row["ratio"]) + interval


def digits_of(ratio: float) -> str:
    """A ratio of FMD with two decimals, so that 1.00 is within half a percent of 1."""
    return f"{ratio:.2f}"


def gate_column(name: str, title: str = "") -> Column:
    """Whether the gate is passed, and the numbers that say so."""
    return Column(title or name, lambda r: f"{r[name]} [{r[f'{name}_numbers']}]")


def state(gate: Gate) -> str:
    return "passed" if gate.passed else "conditional" if gate.conditional else "missed"


def numbers(gate: Gate) -> str:
    """What a gate compared, in a few words."""
    n = gate.numbers
    if not n:
        return "not measured"
    if gate.name == RESTORATION:
        return "nothing left to restore" if n["ratio"] is None else \
            f"{number(n['ratio'])} times at t = {n['ratio_at']}"
    if gate.name == BUDGET:
        return f"FMD × {np.exp(n['move']):.2f} a doubling"
    if gate.name == SEVERITY:
        return "never clamped" if n["clamped_from"] is None else f"clamped from t = {n['clamped_from']}"
    return f"{len(n['fresh'])} of {n['needed']}"
