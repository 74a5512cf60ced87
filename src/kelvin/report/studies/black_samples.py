"""Suspects of study E's black samples: what each makes of ancestral sampling, from the same network
and noise."""

from __future__ import annotations

from kelvin.artifacts.names import CLIPPED, FED_BACK, NOTHING_CLIPPED, rule_and_how
from kelvin.report.kit import pictures
from kelvin.report.kit.style import WIDTH, Figure, finish, legend_below, look, new
from kelvin.report.kit.table import Column, Row, Table, number
from kelvin.report.kit.words import named
from kelvin.report.results import Run, StudyResults

BLACK = 0.5  # below this share of the real images' brightness a sample counts as dark
MEANING = {"exact": "exact rule", "study-e": "study E's scaler", "unscaled": "factor left out",
           "as-eps": "scaled noise taken for eps"}


HOW = {NOTHING_CLIPPED: "nothing clipped", CLIPPED: "x0_hat clipped",
       FED_BACK: "x0_hat taken for the next state"}


def title(way: str) -> str:
    """What was done, in words."""
    rule, how = rule_and_how(way)
    return MEANING.get(rule, rule) + (f", {HOW[how]}" if how else "")


def ways(run: Run) -> dict[str, list[Row]]:
    """Rows over t (from T to 0) of each way tried; {} where only the exact rule has a meaning."""
    out: dict[str, list[Row]] = {}
    for row in run.first.details.get("brightness", []):
        out.setdefault(row["way"], []).append(row)
    return out if len(out) > 1 else {}


def ends(run: Run) -> dict[str, Row]:
    """The rows at t = 0."""
    return {way: min(rows, key=lambda row: row["t"]) for way, rows in ways(run).items()}


def overflow(rows: list[Row]) -> int | None:
    """The largest recorded t at which a pixel is no finite number."""
    return max((row["t"] for row in rows if row["finite"] < 1), default=None)


def dark(row: Row, key: str = "brightness", real: str = "real") -> bool:
    return row[key] < BLACK * row[real]


def share(row: Row, key: str = "black") -> str:
    return f"{100 * row[key]:.0f} %"


def mapped(row: Row) -> bool:
    """Is the network's range another than [0, 1]?"""
    return row["real_shown"] != row["real"]


def figures(study: StudyResults) -> list[Figure | None]:
    run = next((run for run in study.trained if ways(run)), None)
    return [brightness_figure(study, run), drawn_figure(study, run)] if run else []


def brightness_figure(study: StudyResults, run: Run) -> Figure:
    """Mean brightness over t of each way: a panel for what was done with x0_hat, a line for each rule."""
    drawing = new(WIDTH, 3.4)
    tried: dict[str, dict[str, list[Row]]] = {}
    for way, rows in ways(run).items():
        tried.setdefault(rule_and_how(way)[1], {})[way] = rows
    panels = drawing.subplots(1, len(tried), sharey=True, squeeze=False)[0]
    for how, axes in zip(tried, panels, strict=True):
        for i, (way, rows) in enumerate(tried[how].items()):
            axes.plot([row["t"] for row in rows], [row["brightness"] for row in rows],
                      label=title(rule_and_how(way)[0]), **look(i))
            axes.axhline(rows[0]["real"], color="#888888", label="real images" if i == 0 else None)
        axes.set(xlabel="t", title=HOW[how])
        axes.invert_xaxis()
    panels[0].set_ylabel("mean brightness")
    legend_below(drawing, panels[0], 3)
    return finish(drawing, f"{study.name}-brightness", f"Ancestral sampling of {named(run.title)} by "
                  f"each rule and by what was done with x0_hat at every step: mean brightness of "
                  f"{rows[0]['n']} images (0 black, 1 white; not a number counts as black).")


def drawn_figure(study: StudyResults, run: Run) -> Figure:
    """One sample over t by each way."""
    found = list(ways(run))
    bright = run.first.samples.brightness
    times = [str(t) for t in bright.times]
    panel = pictures.table("", [list(bright.ways[way].drawn) for way in found],
                           [title(way) for way in found], times)
    return pictures.show(f"{study.name}-ancestral", f"{run.title}: one ancestral sample over t by each "
                         "way, from the same noise. Not a number is drawn black.", [panel], 1)


def table(study: StudyResults, run: Run) -> Table | None:
    """What each way ends in."""
    if not ways(run):
        return None
    rows = [{"run": run.name, **row, "overflow": overflow(ways(run)[way])}
            for way, row in ends(run).items()]
    real = rows[0]

    def cell(row: Row, key: str) -> str:
        return f"{number(row[key])} ± {number(row[f'{key}_se'], 2)}"

    unmapped = [Column("range not mapped back", lambda row: cell(row, "shown"))] * mapped(real)
    columns = [Column("ancestral sampling with", lambda row: title(row["way"])),
               Column("mean brightness", lambda row: cell(row, "brightness")), *unmapped,
               Column("near-black pixels", share),
               Column("finite pixels", lambda row: share(row, "finite")),
               Column("overflow first seen at t",
                      lambda row: "" if row["overflow"] is None else str(row["overflow"]))]
    shown = (f", {number(real['real_shown'])} where the network's range is drawn without being mapped "
             "back to [0, 1]" if mapped(real) else "")
    return Table(f"{study.name}-{run.name}-ancestral", f"{run.title}: what ancestral sampling ends in, "
                 f"{real['n']} images of replicate {run.first.index}. Mean brightness ± standard error, "
                 f"0 black, 1 white; real images have {number(real['real'])}{shown}. Near-black pixels: "
                 f"all channels below {share(real, 'near_black')} of the range; of the real "
                 f"{share(real, 'real_black')}. Nothing is clipped on the way unless said. x0_hat taken "
                 "for the next state: instead of a draw from the posterior. t: as recorded, not every "
                 "step.",
                 columns, rows)


def findings(run: Run) -> list[str]:
    """Which suspects make it dark, which only where the range is not mapped back, which overflow."""
    found = ends(run)
    if not found:
        return []
    overflown = [way for way, row in found.items() if row["finite"] < 1]
    black = [way for way, row in found.items() if way not in overflown and dark(row)]
    rest = [way for way in found if way not in (*overflown, *black)]
    first = next(iter(found.values()))

    def said(some: list[str], key: str = "brightness") -> str:
        return "; ".join(f"{title(way)} ({number(found[way][key])})" for way in some) or "none"

    shares = "; ".join(f"{title(way)} {share(row)} and {share(found[f'{way}, clipped'])}"
                       for way, row in found.items() if f"{way}, clipped" in found)
    out = [f"Ancestral sampling of {named(run.title)}, mean brightness of {first['n']} images of "
           f"replicate {run.first.index} (real images {number(first['real'])}). Dark, below "
           f"{100 * BLACK:.0f} % of that: {said(black)}. Not dark, whatever the figure shows "
           f"them to be: {said(rest)}."]
    if shares:
        out.append(f"Near-black pixels (real images {share(first, 'real_black')}) without and with "
                   f"x0_hat clipped: {shares}.")
    if "exact" not in rest:
        out.append("The exact rule is among those that fail: " + (
            "with x0_hat clipped it does not." if "exact, clipped" in rest else
            "the network itself does, and its other ways are not to blame by these numbers."))
    if mapped(first) and rest:
        new = [way for way in rest if dark(found[way], "shown", "real_shown")]
        out.append("Drawn without mapping the network's range back to [0, 1] (below 0 is black), real "
                   f"images have {number(first['real_shown'])}; of those not dark before, dark: "
                   f"{said(new, 'shown')}; not dark: "
                   f"{said([way for way in rest if way not in new], 'shown')}.")
    if overflown:
        said_of = "; ".join(
            f"{title(way)} ({share(found[way], 'finite')} of pixels finite, brightness "
            f"{number(found[way]['brightness'])})" for way in overflown)
        out.append(f"Overflowing, and not a number is drawn black: {said_of}.")
    wholly = [title(way) for way, row in found.items() if row["brightness"] == 0]
    out.append(f"Wholly black: {'; '.join(wholly) or 'none'}. Whether study E sampled in one of these "
               "ways is not known.")
    return out
