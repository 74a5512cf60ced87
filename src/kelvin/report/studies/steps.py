"""D2: what more steps buy, of the process (T) and of the sampler (network evaluations at one T)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kelvin.report.kit.style import WIDTH, Figure, finish, legend_below, new, ticks
from kelvin.report.kit.table import NOTHING, Column, Row, Table, fixed, number
from kelvin.report.kit.words import listed, seeds
from kelvin.report.parts import calibrating
from kelvin.report.parts.ranking import FAMILIES
from kelvin.report.results import Results, Run, StudyResults

DETERMINISTIC = ("ddim", "improved")  # kinds whose step count alone differs from sampler to sampler
ENOUGH = 1.1  # a value within 10 % of the lowest is enough
WORDS = {"process": "steps of the process", "sampler": "network evaluations"}


@dataclass(frozen=True)
class Point:
    """One FMD of a run by one sampler. x: T, or network evaluations."""

    run: Run
    sampler: str
    x: float
    fmd: float


def deterministic(run: Run, results: Results) -> dict[str, list[str]]:
    """{kind: samplers of that kind} that draw without new noise."""
    found: dict[str, list[str]] = {}
    for name in run.config.sampling.samplers:
        section = results.plan.sampler(name)
        if section["kind"] in DETERMINISTIC and not section.get("eta") \
                and section.get("z", "kept") == "kept":
            found.setdefault(section["kind"], []).append(name)
    return found


def visits_all(run: Run, results: Results) -> str:
    """The sampler that visits every time of the process; the run's first where there is none."""
    own = [name for names in deterministic(run, results).values() for name in names]
    every = [name for name in (*own, *run.config.sampling.samplers)
             if results.plan.sampler(name).get("steps") in ("all", run.steps)]
    return every[0] if every else run.record["sampler"]


def point(run: Run, sampler: str, x: float | None = None) -> Point:
    scores = run.record["samplers"][sampler]
    return Point(run, sampler, float(scores["nfe"] if x is None else x),
                 run.sampler_mean(sampler, "fmd"))


def over_process(runs: Sequence[Run], results: Results) -> list[Point]:
    """FMD over T, each run by the sampler that visits all of its times."""
    return sorted((point(run, visits_all(run, results), run.steps) for run in runs), key=lambda p: p.x)


def over_sampler(runs: Sequence[Run], results: Results) -> list[Point]:
    """FMD over network evaluations at one T: of the run with most samplers of one kind."""
    best: list[Point] = []
    for run in runs:
        for names in deterministic(run, results).values():
            if len(names) > max(1, len(best)):
                best = sorted((point(run, name) for name in names), key=lambda p: p.x)
    return best


def curves(study: StudyResults, results: Results) -> dict[tuple[str, str], list[Point]]:
    """{(family, process or sampler): points}; a family without trained runs is absent."""
    out = {}
    for family in ("hot", "warm", "cold"):
        runs = [run for run in study.trained if run.family == family]
        if runs:
            out[family, "process"] = over_process(runs, results)
            out[family, "sampler"] = over_sampler(runs, results)
    return out


def figure(study: StudyResults, results: Results, caption: str) -> Figure:
    found = curves(study, results)
    canvas = new(WIDTH, 3.5)
    panels = canvas.subplots(1, 2, sharey=True)
    for axes, over in zip(panels, WORDS, strict=True):
        for family in dict.fromkeys(key[0] for key in found):
            colour, marker = FAMILIES[family]
            at = found[family, over]
            axes.plot([p.x for p in at], [p.fmd for p in at], marker=marker, color=colour, markersize=6,
                      linestyle="-" if family == "hot" else (0, (6, 2)), label=family)
        axes.axhspan(*(results.calibration["floor"] + s * results.calibration["floor_sd"]
                       for s in (-1, 1)), color="#B8B8B8", zorder=0, label="real images (mean ± sd)")
        if axes.lines and any(len(line.get_xdata()) for line in axes.lines):
            axes.set(xscale="log", yscale="log")
            ticks(axes.xaxis)
            ticks(axes.yaxis)
        if not any(found[key] for key in found if key[1] == over):
            axes.text(0.5, 0.5, "no such runs are active", transform=axes.transAxes, ha="center")
    fixed_t = dict.fromkeys(p.run.steps for key, at in found.items() if key[1] == "sampler" for p in at)
    panels[0].set(xlabel="T: steps of the process, all visited", ylabel="FMD of the samples")
    panels[1].set(xlabel="network evaluations of the sampler"
                  + (f" at T = {listed([str(t) for t in fixed_t])}" if fixed_t else ""))
    legend_below(canvas, panels[0])
    return finish(canvas, f"{study.name}-fmd-over-steps", caption)


def table(study: StudyResults, results: Results) -> Table | None:
    """Every point of the two panels and what each costs, below the calibrating rows; None without
    trained runs."""
    rows: list[Row] = []
    for (family, over), points in curves(study, results).items():
        for p in points:
            rows.append({"run": p.run.name, "title": p.run.title, "family": family, "over": WORDS[over],
                         "group": f"{family} {over}", "T": p.run.steps, "sampler": p.sampler,
                         "nfe": p.run.record["samplers"][p.sampler]["nfe"], "fmd": p.fmd,
                         **{key: p.run.sampler_mean(p.sampler, key)
                            for key in ("fmd_normalised", "recall", "class_evenness")}})
    if not rows:
        return None
    columns = [Column("run", lambda r: r["title"]),
               Column("kind", lambda r: NOTHING if calibrating.is_one(r) else r["family"]),
               Column("varied", lambda r: r["over"] or NOTHING),
               Column("T", lambda r: NOTHING if r["T"] is None else number(r["T"])),
               Column("sampler", lambda r: r["sampler"] or NOTHING),
               Column("NFE", lambda r: NOTHING if r["nfe"] is None else number(r["nfe"])),
               Column("FMD", lambda r: number(r["fmd"]), "fmd", "min"),
               Column("normalised", lambda r: fixed(r["fmd_normalised"]), "fmd_normalised", "min"),
               Column("recall", lambda r: number(r["recall"])),
               Column("evenness", lambda r: number(r["class_evenness"]))]
    return Table(study.name, "Generation over steps. Steps of the process: T varies and the sampler "
                 "visits all of them. Network evaluations: one run, whose deterministic sampler visits "
                 "fewer or more of its T times. Bold: lowest of its kind and of what is varied.", columns,
                 calibrating.with_scale(rows, results), lambda r: not calibrating.is_one(r), "group")


def findings(study: StudyResults, results: Results, metrics: Mapping[str, Row]) -> list[str]:
    out = []
    for (family, over), points in curves(study, results).items():
        at = "" if over == "process" or not points else f" at T = {points[0].run.steps}"
        out.append(paid(family, WORDS[over] + at, [(p.x, p.fmd) for p in points],
                        len(results.replicates)))
    return out


def paid(family: str, words: str, points: Sequence[tuple[float, float]], count: int) -> str:
    """What the most steps buy over the fewest, and where it stops; points (steps, FMD) by steps."""
    head = f"{family.title()}, over {words}"
    if len(points) < 2:
        shown = f"only {points[0][0]:g} (FMD {number(points[0][1])}) is" if points else "none are"
        return f"{head}: {shown} active, so there is nothing to compare."
    (few, first), (many, last) = points[0], points[-1]
    lowest = min(points, key=lambda p: p[1])
    enough = min((p for p in points if p[1] <= ENOUGH * lowest[1]), key=lambda p: p[0])
    said = (f"{head}: {seeds(count)} FMD is {number(first)} at {few:g} and {number(last)} at {many:g}, a "
            f"ratio of {number(first / last)}. The lowest is {number(lowest[1])} at {lowest[0]:g}")
    if enough == lowest:
        where = "no smaller number comes within 10 % of it" if lowest[0] > few \
            else "the fewest that were tried"
        return f"{said}: {where}."
    return f"{said}; {enough[0]:g} already come within 10 % of it ({number(enough[1])})."
