"""Ancestral sampling by each rule for x0_hat, from one network and noise: which rules make study E's dark
samples, which overflow, and which only look dark."""

from __future__ import annotations

from kelvin.artifacts.names import rule_and_how
from kelvin.report.kit import pictures
from kelvin.report.kit.style import WIDTH, Figure, chart, finish, look
from kelvin.report.kit.table import Column, Row, Table, number, with_error
from kelvin.report.kit.words import named
from kelvin.report.parts.single_shot import HOW, title
from kelvin.report.results import Run

BLACK = 0.5  # below this share of the real images' brightness a sample counts as dark


def ways(run: Run) -> dict[str, list[Row]]:
    """{way: its rows over t, from T to 0}; {} where only the exact rule has a meaning."""
    out: dict[str, list[Row]] = {}
    for row in run.first.details.get("brightness", []):
        out.setdefault(row["way"], []).append(row)
    return out if len(out) > 1 else {}


def ends(run: Run) -> dict[str, Row]:
    """The rows at t = 0."""
    return {way: min(rows, key=lambda row: row["t"]) for way, rows in ways(run).items()}


def overflow(rows: list[Row]) -> int | None:
    """The largest t in the rows at which a pixel is not finite; None where all are."""
    return max((row["t"] for row in rows if row["finite"] < 1), default=None)


def dark(row: Row, key: str = "brightness", real: str = "real") -> bool:
    return row[key] < BLACK * row[real]


def share(row: Row, key: str = "black") -> str:
    return f"{100 * row[key]:.0f} %"


def figures(name: str, runs: list[Run]) -> list[Figure]:
    """Brightness over t and one sample over t, of the first run with several ways."""
    run = next((run for run in runs if ways(run)), None)
    return [brightness_figure(name, run), drawn_figure(name, run)] if run else []


def brightness_figure(name: str, run: Run) -> Figure:
    """Mean brightness over t of each way: a panel for what was done with x0_hat, a line for each rule."""
    tried: dict[str, dict[str, list[Row]]] = {}
    for way, rows in ways(run).items():
        tried.setdefault(rule_and_how(way)[1], {})[way] = rows
    drawing, (panels,) = chart(WIDTH, 3.4, across=len(tried), sharey=True, squeeze=False)
    for how, axes in zip(tried, panels, strict=True):
        for i, (way, rows) in enumerate(tried[how].items()):
            axes.plot([row["t"] for row in rows], [row["brightness"] for row in rows],
                      label=title(rule_and_how(way)[0]), **look(i))
            axes.axhline(rows[0]["real"], color="#888888", label="real images" if i == 0 else None)
        axes.set(xlabel="t", title=HOW[how])
        axes.invert_xaxis()
    panels[0].set_ylabel("mean brightness")
    return finish(drawing, f"{name}-brightness", f"Ancestral sampling of {named(run.title)} by "
                  f"each rule and by what was done with x0_hat at every step: mean brightness of "
                  f"{rows[0]['n']} images (0 black, 1 white; not a number counts as black).")


def drawn_figure(name: str, run: Run) -> Figure:
    """One sample over t by each way."""
    names = list(ways(run))
    bright = run.first.samples.brightness
    times = [str(t) for t in bright.times]
    panel = pictures.table("", [list(bright.ways[way].image) for way in names],
                           [title(way) for way in names], times)
    return pictures.show(f"{name}-ancestral", f"{run.title}: one ancestral sample over t by each "
                         "way, from the same noise. Not a number is drawn black.", [panel], 1)


def table(name: str, run: Run) -> Table | None:
    """One row a way: brightness, black and finite pixels at t = 0; None without several ways."""
    if not ways(run):
        return None
    rows = [{"run": run.name, **row, "overflow": overflow(ways(run)[way])}
            for way, row in ends(run).items()]
    real, mapped = rows[0], rows[0]["real_shown"] != rows[0]["real"]  # the range is not [0, 1]
    columns = [Column("ancestral sampling with", lambda row: title(row["way"])),
               Column("mean brightness", lambda row: with_error(row, "brightness")),
               *[Column("range not mapped back", lambda row: with_error(row, "shown"))] * mapped,
               Column("near-black pixels", share),
               Column("finite pixels", lambda row: share(row, "finite")),
               Column("overflow first seen at t",
                      lambda row: "" if row["overflow"] is None else str(row["overflow"]))]
    unmapped = (f", {number(real['real_shown'])} where the network's range is drawn without being mapped "
                "back to [0, 1]" if mapped else "")
    return Table(f"{name}-{run.name}-ancestral", f"{run.title}: what ancestral sampling ends in, "
                 f"{real['n']} images of replicate {run.first.index}. Mean brightness ± standard error, "
                 f"0 black, 1 white; real images have {number(real['real'])}{unmapped}. Near-black "
                 f"pixels: all channels below {share(real, 'near_black')} of the range; of the real "
                 f"{share(real, 'real_black')}. Nothing is clipped on the way unless said. x0_hat taken "
                 "for the next state: instead of a draw from the posterior. t: as recorded, not every "
                 "step.", columns, rows)


def findings(run: Run) -> list[str]:
    """At most three sentences: which ways end dark, which only where the range is not mapped back, which
    overflow or are wholly black."""
    last = ends(run)
    if not last:
        return []
    overflown = [way for way, row in last.items() if row["finite"] < 1]
    black = [way for way, row in last.items() if way not in overflown and dark(row)]
    rest = [way for way in last if way not in (*overflown, *black)]
    first = next(iter(last.values()))

    def listing(some: list[str], key: str = "brightness") -> str:
        return "; ".join(f"{title(way)} ({number(last[way][key])})" for way in some) or "none"

    exact = "" if "exact" in rest else (
        "; the exact rule fails too, but not with x0_hat clipped" if "exact, clipped" in rest else
        "; the exact rule fails too, so the network does, and its other ways are not to blame")
    out = [f"Ancestral sampling of {named(run.title)}, mean brightness of {first['n']} images of "
           f"replicate {run.first.index} (real images {number(first['real'])}): dark, below "
           f"{100 * BLACK:.0f} % of that, by {listing(black)}; not dark by {listing(rest)}{exact}."]
    if first["real_shown"] != first["real"] and rest:
        new = [way for way in rest if dark(last[way], "shown", "real_shown")]
        out.append("Of those, drawn without mapping the network's range back to [0, 1] (real images "
                   f"{number(first['real_shown'])}), turn dark: {listing(new, 'shown')}.")
    parts = "; ".join(f"{title(way)} ({share(last[way], 'finite')} of pixels finite)"
                      for way in overflown)
    wholly = "; ".join(title(way) for way, row in last.items() if row["brightness"] == 0)
    out.append(f"Overflow, drawn black: {parts or 'none'}; wholly black: {wholly or 'none'}; whether "
               "study E sampled in one of these ways is not known.")
    return out
