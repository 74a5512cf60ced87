"""Study E's rules for x0_hat: single-shot restoration over t, and the suspects of its black samples (what
ancestral sampling makes of each rule from the same network and noise)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kelvin.artifacts.names import CLIPPED, FED_BACK, NOTHING_CLIPPED, rule_and_how
from kelvin.metrics.measures import MEASURES as ALL
from kelvin.report.kit import pictures
from kelvin.report.kit.style import WIDTH, Figure, finish, legend_below, look, new
from kelvin.report.kit.table import Column, Row, Table, number
from kelvin.report.kit.words import named
from kelvin.report.results import Run

PARTS = {"test": "held-out images", "seen": "the test split's images of objects trained on"}
MEASURES = {m.key: f"{m.title} ({m.unit})" if m.unit else m.title for m in ALL.within("restoration")}
MEANING = {"exact": "exact rule", "study-e": "study E's scaler", "unscaled": "factor left out",
           "as-eps": "scaled noise taken for eps"}
HOW = {NOTHING_CLIPPED: "nothing clipped", CLIPPED: "x0_hat clipped",
       FED_BACK: "x0_hat taken for the next state"}
EXACT = "exact"
KNOW = {"ssim": " SSIM: uniform window of {} pixels, data range 1, mean over channels.",
        "psnr": " PSNR of an image is capped at 48.1 dB, one grey level in every pixel."}
BLACK = 0.5  # below this share of the real images' brightness a sample counts as dark


def title(way: str) -> str:
    """What was done, in words."""
    rule, how = rule_and_how(way)
    return MEANING.get(rule, rule) + (f", {HOW[how]}" if how else "")


# single-shot restoration over t


@dataclass(frozen=True)
class ByRow(Table):
    """Bold: the best of a row, not of a column."""

    def _is_best(self, column: Column, row: Row) -> bool:
        return len(self.columns) > 2 and bool(column.key) and row[column.key] == row["best"]


def over_time(run: Run, part: str, rule: str = EXACT) -> list[list[Row]]:
    """Rows of single-shot restoration over t, one list a fold."""
    return [[row for row in r.details.get("over_time", []) if row["part"] == part
             and row["rule"] == rule] for r in run.replicates]


def measured(run: Run) -> bool:
    return bool(run.first.details.get("over_time"))


def rules(run: Run) -> list[str]:
    """The rules tried on its predictions, the exact one first."""
    return list(dict.fromkeys(row["rule"] for row in run.first.details.get("over_time", [])))


def values(run: Run, part: str, rule: str, key: str) -> np.ndarray:
    """A measure of every fold (rows) at every t (columns)."""
    return np.array([[row[key] for row in fold] for fold in over_time(run, part, rule)])


def error(found: np.ndarray, over_images: np.ndarray) -> np.ndarray:
    """Standard error over folds (rows); of one fold, that over its images."""
    return over_images[0] if len(found) == 1 else found.std(0, ddof=1) / len(found) ** 0.5


def error_over(run: Run) -> str:
    """What `error` is taken over, in words."""
    return (f"standard error over {len(run.replicates)} folds" if len(run.replicates) > 1
            else "standard error over images of one fold")


def by_fold(name: str, run: Run, part: str, measure: str, window: int) -> Table:
    """A measure by t (rows) and fold (columns), by the exact rule."""
    folds, best = over_time(run, part), min if ALL[measure].better == "lower" else max
    rows: list[Row] = []
    for k, row in enumerate(folds[0]):
        found = {"run": run.name, "t": row["t"], "n": row["n"]}
        for r, fold in zip(run.replicates, folds, strict=True):
            found |= {f"{key}_{r.index}": fold[k][key]
                      for key in (measure, f"{measure}_sd", f"{measure}_se")}
        found["best"] = best(fold[k][measure] for fold in folds)
        rows.append(found)

    def cell(row: Row, i: int) -> str:
        return (f"{number(row[f'{measure}_{i}'])} ± {number(row[f'{measure}_sd_{i}'], 2)} "
                f"({number(row[f'{measure}_se_{i}'], 2)})")

    columns = [Column("t", lambda r: number(r["t"])),
               *(Column(f"fold {r.index}", lambda row, i=r.index: cell(row, i), f"{measure}_{r.index}")
                 for r in run.replicates)]
    return ByRow(f"{name}-{run.name}-{part}-{measure}", f"{run.title}: {MEASURES[measure]} of "
                 f"single-shot x0_hat on {PARTS[part]}, n = {rows[0]['n']} in a seeded order. ±: "
                 f"standard deviation over images; in brackets: standard error of the mean."
                 f"{KNOW.get(measure, '').format(window)} Bold: best fold of a row.", columns, rows)


def by_rule(name: str, run: Run, part: str, measure: str, window: int) -> Table:
    """A measure by t (rows) and rule (columns), means over folds: what each choice costs."""
    tried = {rule: values(run, part, rule, measure) for rule in rules(run)}
    errors = {rule: error(found, values(run, part, rule, f"{measure}_se"))
              for rule, found in tried.items()}
    rows, best = [], min if ALL[measure].better == "lower" else max
    for k, row in enumerate(over_time(run, part)[0]):
        found = {"run": run.name, "t": row["t"], "n": row["n"], "folds": len(run.replicates)}
        for rule in tried:
            found |= {rule: float(tried[rule][:, k].mean()), f"{rule}_se": float(errors[rule][k])}
        found["best"] = best(found[rule] for rule in tried)
        rows.append(found)
    columns = [Column("t", lambda r: number(r["t"])),
               *(Column(title(rule), lambda row, rule=rule:
                        f"{number(row[rule])} ± {number(row[f'{rule}_se'], 2)}", rule) for rule in tried)]
    return ByRow(f"{name}-{run.name}-{part}-rules-{measure}", f"{run.title}: {MEASURES[measure]} of "
                 f"single-shot x0_hat on {PARTS[part]}, one prediction turned into an image by each "
                 f"rule. Mean over {len(run.replicates)} fold{'s' * (len(run.replicates) > 1)} of "
                 f"{rows[0]['n']} images ± {error_over(run)}.{KNOW.get(measure, '').format(window)} "
                 "Bold: best rule of a row.", columns, rows)


def fold_figure(name: str, runs: list[Run]) -> Figure:
    """SSIM, PSNR and RMSE over t of every fold, by run."""
    drawing = new(WIDTH, 6.4)
    panels = drawing.subplots(len(MEASURES), len(runs), sharex=True, sharey="row", squeeze=False)
    for axes, label in zip(panels[:, 0], MEASURES.values(), strict=True):
        axes.set_ylabel(label)
    for column, run in zip(panels.T, runs, strict=True):
        t = [row["t"] for row in over_time(run, "test")[0]]
        for axes, measure in zip(column, MEASURES, strict=True):
            found = values(run, "test", EXACT, measure)
            sd, se = (values(run, "test", EXACT, f"{measure}_{kind}") for kind in ("sd", "se"))
            axes.fill_between(t, (found - sd).mean(0), (found + sd).mean(0), color="#E3E3E3", lw=0)
            for i, r in enumerate(run.replicates):
                axes.errorbar(t, found[i], se[i], label=f"fold {r.index}", capsize=1.5, lw=1,
                              **(look(i) | {"marker": ""}))
        column[0].set_title(run.title)
        column[-1].set_xlabel("t")
    legend_below(drawing, panels[0, 0], 5)
    return finish(drawing, f"{name}-by-fold", "Single-shot x0_hat on held-out images over t by the "
                  "exact rule. Line: mean of a fold's images; bar: its standard error; grey: standard "
                  "deviation over images, mean over folds.")


def rule_figure(name: str, runs: list[Run]) -> Figure:
    """SSIM, PSNR and RMSE over t by run and rule; means over folds."""
    drawing = new(WIDTH, 3.4)
    panels, i = drawing.subplots(1, len(MEASURES)), 0
    for run in runs:
        t = [row["t"] for row in over_time(run, "test")[0]]
        for rule in rules(run):
            for axes, measure in zip(panels, MEASURES, strict=True):
                found = values(run, "test", rule, measure)
                axes.errorbar(t, found.mean(0), error(found, values(run, "test", rule, f"{measure}_se")),
                              label=f"{run.title}: {title(rule)}", **look(i))
            i += 1
    for axes, label in zip(panels, MEASURES.values(), strict=True):
        axes.set(xlabel="t", ylabel=label)
    legend_below(drawing, panels[0], 2)
    return finish(drawing, f"{name}-rules", "Single-shot x0_hat on held-out images over t, by the "
                  f"rule that turns the prediction into an image. Mean over folds; bar: "
                  f"{error_over(runs[0])}.")



# ancestral sampling


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


def ancestral_figures(name: str, runs: list[Run]) -> list[Figure]:
    """Of the first run with several ways."""
    run = next((run for run in runs if ways(run)), None)
    return [brightness_figure(name, run), drawn_figure(name, run)] if run else []


def brightness_figure(name: str, run: Run) -> Figure:
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
    return finish(drawing, f"{name}-brightness", f"Ancestral sampling of {named(run.title)} by "
                  f"each rule and by what was done with x0_hat at every step: mean brightness of "
                  f"{rows[0]['n']} images (0 black, 1 white; not a number counts as black).")


def drawn_figure(name: str, run: Run) -> Figure:
    """One sample over t by each way."""
    found = list(ways(run))
    bright = run.first.samples.brightness
    times = [str(t) for t in bright.times]
    panel = pictures.table("", [list(bright.ways[way].drawn) for way in found],
                           [title(way) for way in found], times)
    return pictures.show(f"{name}-ancestral", f"{run.title}: one ancestral sample over t by each "
                         "way, from the same noise. Not a number is drawn black.", [panel], 1)


def ancestral_table(name: str, run: Run) -> Table | None:
    """What each way ends in."""
    if not ways(run):
        return None
    rows = [{"run": run.name, **row, "overflow": overflow(ways(run)[way])}
            for way, row in ends(run).items()]
    real, mapped = rows[0], rows[0]["real_shown"] != rows[0]["real"]  # is the range another than [0, 1]?

    def cell(row: Row, key: str) -> str:
        return f"{number(row[key])} ± {number(row[f'{key}_se'], 2)}"

    unmapped = [Column("range not mapped back", lambda row: cell(row, "shown"))] * mapped
    columns = [Column("ancestral sampling with", lambda row: title(row["way"])),
               Column("mean brightness", lambda row: cell(row, "brightness")), *unmapped,
               Column("near-black pixels", share),
               Column("finite pixels", lambda row: share(row, "finite")),
               Column("overflow first seen at t",
                      lambda row: "" if row["overflow"] is None else str(row["overflow"]))]
    shown = (f", {number(real['real_shown'])} where the network's range is drawn without being mapped "
             "back to [0, 1]" if mapped else "")
    return Table(f"{name}-{run.name}-ancestral", f"{run.title}: what ancestral sampling ends in, "
                 f"{real['n']} images of replicate {run.first.index}. Mean brightness ± standard error, "
                 f"0 black, 1 white; real images have {number(real['real'])}{shown}. Near-black pixels: "
                 f"all channels below {share(real, 'near_black')} of the range; of the real "
                 f"{share(real, 'real_black')}. Nothing is clipped on the way unless said. x0_hat taken "
                 "for the next state: instead of a draw from the posterior. t: as recorded, not every "
                 "step.",
                 columns, rows)


def ancestral_findings(run: Run) -> list[str]:
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
    if first["real_shown"] != first["real"] and rest:
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
