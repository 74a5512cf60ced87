"""D2: the gain of more steps, of the process (T) and of the sampler (network evaluations at one T)."""

from __future__ import annotations

from collections.abc import Sequence

from kelvin.report.kit.style import (
    FAMILIES,
    FAMILY_MARKERS,
    WIDTH,
    Figure,
    band,
    chart,
    finish,
    logarithmic,
)
from kelvin.report.kit.table import Column, Row, Table, number
from kelvin.report.kit.words import listed, seeds
from kelvin.report.parts import columns
from kelvin.report.parts.points import Point
from kelvin.report.results import TEMPERATURES, Results, Run
from kelvin.report.studies.base import Study, studies

DETERMINISTIC = ("ddim", "improved")  # kinds whose step count alone differs from sampler to sampler
ENOUGH = 1.1  # a value within 10 % of the lowest is enough
WORDS = {"process": "steps of the process", "sampler": "network evaluations"}


def deterministic(run: Run, results: Results) -> dict[str, list[str]]:
    """{kind: samplers of that kind} that draw without new noise."""
    names: dict[str, list[str]] = {}
    for name in run.config.sampling.samplers:
        section = results.plan.sampler(name)
        if section["kind"] in DETERMINISTIC and not section.get("eta") \
                and section.get("z", "kept") == "kept":
            names.setdefault(section["kind"], []).append(name)
    return names


def visits_all(run: Run, results: Results) -> str:
    """The sampler that visits every time of the process; the run's first where there is none."""
    own = [name for names in deterministic(run, results).values() for name in names]
    every = [name for name in (*own, *run.config.sampling.samplers)
             if results.plan.sampler(name).get("steps") in ("all", run.steps)]
    return every[0] if every else run.record["sampler"]


def over_process(runs: Sequence[Run], results: Results) -> list[Point]:
    """FMD over T, each run by the sampler that visits all of its times."""
    return sorted((Point(run, visits_all(run, results), run.steps) for run in runs), key=lambda p: p.at)


def over_sampler(runs: Sequence[Run], results: Results) -> list[Point]:
    """FMD over network evaluations at one T: of the run with most samplers of one kind."""
    best: list[Point] = []
    for run in runs:
        for names in deterministic(run, results).values():
            if len(names) > max(1, len(best)):
                best = sorted((Point(run, name, float(run.record["samplers"][name]["nfe"]))
                               for name in names), key=lambda p: p.at)
    return best


@studies.register("steps")
class Steps(Study):
    def curves(self) -> dict[tuple[str, str], list[Point]]:
        """{(family, process or sampler): points}; a family without trained runs is absent."""
        out = {}
        for family in TEMPERATURES:
            if runs := [run for run in self.trained if run.family == family]:
                out[family, "process"] = over_process(runs, self.results)
                out[family, "sampler"] = over_sampler(runs, self.results)
        return out

    def figures(self) -> list[Figure]:
        lines, about = self.curves(), self.results.calibration
        canvas, panels = chart(WIDTH, 3.5, across=2, sharey=True)
        for axes, over in zip(panels, WORDS, strict=True):
            for family in dict.fromkeys(key[0] for key in lines):
                colour, marker = FAMILIES[family][0], FAMILY_MARKERS[family]
                at = lines[family, over]
                axes.plot([p.at for p in at], [p.mean("fmd") for p in at], marker=marker, color=colour,
                          markersize=6, linestyle="-" if family == "hot" else (0, (6, 2)), label=family)
            band(axes, about["floor"], about["floor_sd"])
            if any(len(line.get_xdata()) for line in axes.lines):
                logarithmic(axes)
            if not any(lines[key] for key in lines if key[1] == over):
                axes.text(0.5, 0.5, "no such runs are active", transform=axes.transAxes, ha="center")
        fixed = dict.fromkeys(str(p.run.steps) for (_, over), at in lines.items()
                              if over == "sampler" for p in at)
        panels[0].set(xlabel="T: steps of the process, all visited", ylabel="FMD of the samples")
        panels[1].set(xlabel="network evaluations of the sampler"
                      + (f" at T = {listed(list(fixed))}" if fixed else ""))
        return [finish(canvas, f"{self.name}-fmd-over-steps", "FMD over steps, both axes logarithmic. "
                       "Left: processes of different length T, sampled by visiting every time. Right: "
                       "one process, sampled by a deterministic sampler that visits fewer or more of its "
                       "times.", columns=4),
                self.samples()]

    def tables(self) -> list[Table | None]:
        """Every point of the two panels and its cost."""
        rows: list[Row] = [
            {"run": p.run.name, "title": p.run.title, "family": family, "over": WORDS[over],
             "group": f"{family} {over}", "T": p.run.steps, "sampler": p.sampler,
             "nfe": p.scores[0]["nfe"],
             **{key: p.mean(key) for key in ("fmd", "fmd_normalised", "recall", "class_evenness")}}
            for (family, over), points in self.curves().items() for p in points]
        heads = [columns.RUN, columns.KIND, columns.text("over", "varied"),
                 Column("T", columns.cell("T")), columns.SAMPLER, columns.NFE,
                 columns.value("fmd", "FMD", "min"), columns.NORMALISED, columns.value("recall"),
                 columns.EVENNESS]
        return [Table(
            self.name, "Generation over steps. Steps of the process: T varies and the sampler visits all "
            "of them. Network evaluations: one run, whose deterministic sampler visits fewer or more of "
            "its T times. Bold: lowest of its kind and of what is varied.", heads, rows,
            bold_within="group",
            page=("kind", "varied", "T", "sampler", "NFE", "recall"))] if rows else []

    def findings(self) -> list[str]:
        return [paid(family, WORDS[over] + ("" if over == "process" or not points else
                                            f" at T = {points[0].run.steps}"),
                     [(p.at, p.mean("fmd")) for p in points], self.count)
                for (family, over), points in self.curves().items()]


def paid(family: str, words: str, points: Sequence[tuple[float, float]], count: int) -> str:
    """A sentence: the most steps against the fewest, and the number from which more gain little. points:
    (steps, FMD) by rising steps."""
    head = f"{family.title()}, over {words}"
    if len(points) < 2:
        runs = f"only {points[0][0]:g} (FMD {number(points[0][1])}) is" if points else "none are"
        return f"{head}: {runs} active, so there is nothing to compare."
    (few, first), (many, last) = points[0], points[-1]
    lowest = min(points, key=lambda p: p[1])
    enough = min((p for p in points if p[1] <= ENOUGH * lowest[1]), key=lambda p: p[0])
    start = (f"{head}: {seeds(count)} FMD is {number(first)} at {few:g} and {number(last)} at {many:g}, "
             f"a ratio of {number(first / last)}. The lowest is {number(lowest[1])} at {lowest[0]:g}")
    if enough == lowest:
        where = "no smaller number comes within 10 % of it" if lowest[0] > few \
            else "the fewest that were tried"
        return f"{start}: {where}."
    return f"{start}; {enough[0]:g} already come within 10 % of it ({number(enough[1])})."
