"""Which numbers can be trusted: distances over n, two studies' rules, their slips, and other measures."""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np

from kelvin.artifacts.evaluations import Bias
from kelvin.metrics.agreement import kendall_tau
from kelvin.metrics.measures import MEASURES
from kelvin.report.kit.measured import columns as columns_of
from kelvin.report.kit.style import (
    FAMILIES,
    WIDTH,
    Figure,
    chart,
    finish,
    logarithmic,
    looks,
    mark,
    plain,
)
from kelvin.report.kit.table import Column, Row, Table, fixed, number
from kelvin.report.kit.words import listed, named
from kelvin.report.parts.columns import RUN, text, value
from kelvin.report.results import Results, Run
from kelvin.report.studies.base import Study, studies

REAL = "held-out real images"
# keys of the studies' own rules, with marker and letter
RULES: Final[tuple[tuple[Literal["study_a", "study_d"], str, str], ...]] = (
    ("study_a", "*", "A"), ("study_d", "P", "D"))


@studies.register("metrics")
class Metrics(Study):
    def scored(self) -> list[Run]:
        """Runs whose samples were many enough to be scored at several n."""
        return [run for run in self.trained if run.first.details.get("bias")]

    def over_n(self) -> dict[str, Bias]:
        """{title: over_n, study_a, study_d} of held-out real images and of the study's runs."""
        about = self.results.calibration
        real = {REAL: about["bias"]} if "bias" in about else {}
        return real | {run.title: run.first.details["bias"] for run in self.scored()}

    def figures(self) -> list[Figure | None]:
        return [self.bias_figure(), self.agreement_figure()]

    def tables(self) -> list[Table | None]:
        return [self.distribution(), self.slips()]

    def findings(self) -> list[str]:
        return [*self.bias_findings(), *slip_findings(self.scored()), *agreement_findings(self.results)]

    def bias_figure(self) -> Figure | None:
        """FMD over n, with study A's and study D's rules marked."""
        biases = self.over_n()
        if not biases:
            return None
        first = next(iter(biases.values()))
        canvas, (panels,) = chart(WIDTH, 3.8, across=1 + len(first["others"]), squeeze=False)
        real = {"color": FAMILIES["folder"][0], "linestyle": "-", "marker": "o"}
        styles = [real] * (REAL in biases) + looks(self.scored())
        for (title, bias), style in zip(biases.items(), styles, strict=True):
            for axes, rows in zip(panels, [bias["over_n"], *bias["others"].values()], strict=True):
                over_n(axes, rows, style, title)
            for key, marker, _ in RULES:
                panels[0].plot(bias[key]["n"], bias[key]["fmd"], marker, color=style["color"],
                               markersize=11, markeredgecolor="white", zorder=4)
        for key, marker, letter in RULES:
            mark(panels[0], marker, f"study {letter}'s rule: {first[key]['n']} against "
                 f"{first[key]['against']}", markersize=10)
        for axes, measure in zip(panels, ["fmd", *first["others"]], strict=True):
            axes.set(xlabel="n: images scored", title=MEASURES[measure].title)
            logarithmic(axes)
        panels[0].set_ylabel("distance to the whole reference")
        return finish(canvas, f"{self.name}-bias", "The same images scored at different n (lines: mean "
                      "of random draws, shade: their standard deviation) against the whole reference. "
                      "Few images raise the value on average. Star: study A's rule, a small sample "
                      "against a small head of the test set; cross: study D's, as few training images on "
                      "the other side.")

    def agreement_figure(self) -> Figure | None:
        ranks = agreement(self.results)
        if ranks is None:
            return None
        names, tau = ranks
        canvas, axes = chart(0.55 * len(names) + 2.6, 0.42 * len(names) + 1.7)
        image = axes.imshow(tau, vmin=-1, vmax=1, cmap="PuOr_r")
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
        axes.set_yticks(range(len(names)), names)
        axes.grid(visible=False)
        for i, j in np.ndindex(*tau.shape):
            axes.text(j, i, f"{tau[i, j]:.2f}".replace("-", "−"), ha="center", va="center", fontsize=7,
                      color="white" if abs(tau[i, j]) > 0.6 else "black")
        canvas.colorbar(image, ax=axes, label="Kendall's τ", shrink=0.9)
        return finish(canvas, f"{self.name}-agreement", "Do the measures rank the "
                      f"{len(self.results.runs)} runs alike? Kendall's τ: 1 the same order, 0 unrelated, "
                      "−1 reversed. Measures of which a higher value is better are turned round first.")

    def distribution(self) -> Table:
        """Every run's first sampler, and the calibrating rows, by every measure of the distribution."""
        measured = [key for m in MEASURES.within("distribution") for key in m.keys_in("distribution")]
        keys = ("n", "family", *measured, "copier", "below_floor")
        rows: list[Row] = []
        for name, record in (self.results.calibration["rows"]
                             | {name: self.records[name] for name in self.results.runs}).items():
            rows.append({"run": name, "title": record["title"],
                         **{key: record.get(key) for key in keys},
                         "family": record.get("family", "calibrating")})
        columns = [RUN, *columns_of("distribution")]
        level = f"{100 * self.results.plan.metrics.confidence:.0f} %"
        return Table("distribution", f"More of the distribution, n = {self.results.calibration['n']} "
                     "samples of every run's first sampler; read each column against its own rows of "
                     "held-out real images (floor) and of black images (ceiling). Debiased: extrapolated "
                     "to infinitely many images. FD pixels, FD random net: the same distance in raw "
                     "pixels and in an untrained network. KID: unbiased, so that it may fall below 0. "
                     "MMD²: Gaussian kernels, with the p-value of a permutation test against held-out "
                     "images. Authentic: share of the samples that are not nearer to a training image "
                     "than its own nearest training image. C_T: below about −2 samples are nearer to the "
                     f"training images than held-out ones are, above 2 farther. Brackets: {level} "
                     "interval over images. Bold: best of the runs that are not flagged.",
                     columns, rows, lambda r: r["family"] != "calibrating" and not (
                         r["copier"] or r["below_floor"]),
                     page=("FD pixels", "FD random net", "KID × 1000", "recall", "coverage", "authentic"))

    def slips(self) -> Table | None:
        """Study D's distance under each suspected slip, alone and together."""
        rows: list[Row] = [{"run": run.name, "title": run.title, **row}
                           for run in self.scored() for row in run.first.details["slips"]]
        if not rows:
            return None
        columns = [
            RUN, Column("features", lambda r: f"{r['features']} ({r['dimensions']})"),
            text("range", "pixel range"),
            Column("images", lambda r: f"{r['n']:,} against {r['against']:,}"),
            value("fmd", "distance of the samples"), value("real", "of held-out real images"),
            Column("below 1", lambda r: "yes" if r["fmd"] < 1 else "no")]
        return Table("slips", "How could study D read values below 1? The same samples, against training "
                     "images, in deep features (the classifier's last, in brackets how many) and shallow "
                     "ones (its first block, averaged), with the right pixel range and with one divided "
                     "by 255 twice, from all images and from study D's 128 against 128.", columns, rows)

    def bias_findings(self) -> list[str]:
        out = []
        for title, bias in self.over_n().items():
            few, all_ = bias["over_n"][0], bias["over_n"][-1]
            a, d = bias["study_a"], bias["study_d"]
            out.append(f"{named(title)}: FMD {number(few['fmd'])} from {few['n']} images, "
                       f"{number(all_['fmd'])} from {all_['n']:,}; by study A's rule ({a['n']} against "
                       f"{a['against']}) {number(a['fmd'])}, by study D's ({d['n']} against "
                       f"{d['against']}) {number(d['fmd'])}{at_infinity(bias['fd_infinity'])}.")
        return out


def over_n(axes: Any, rows: list[dict[str, Any]], style: dict[str, Any], title: str) -> None:
    """One line of distances over n, with the spread of its draws."""
    n, fmd = (np.array([row[key] for row in rows]) for key in ("n", "fmd"))
    spread = np.array([row["fmd_sd"] or 0.0 for row in rows])
    axes.plot(n, fmd, label=plain(title), **style)
    axes.fill_between(n, np.maximum(fmd - spread, 0.05 * fmd), fmd + spread, color=style["color"],
                      alpha=0.15, linewidth=0)


def agreement(results: Results) -> tuple[list[str], np.ndarray] | None:
    """Kendall's tau-b between the measures' rankings of the runs; None with fewer than three runs."""
    runs = list(results.runs.values())
    compared = [measure for measure, _ in MEASURES.columns("agreement")
                if all(run.record.get(measure.key) is not None for run in runs)]
    if len(runs) < 3 or len(compared) < 2:
        return None
    values = [{run.name: -run.mean(m.key) if m.better == "higher" else run.mean(m.key) for run in runs}
              for m in compared]
    tau = [[kendall_tau(a, b).tau or 0.0 for b in values] for a in values]
    return [measure.title for measure in compared], np.array(tau)


def slip_findings(runs: list[Run]) -> list[str]:
    """Study D's distance under each suspected slip alone: raised or lowered, and whether it is below
    1."""
    out = []
    for run in runs:
        by = {(r["features"], r["range"], r["rule"]): r for r in run.first.details["slips"]}
        ranges = list(dict.fromkeys(key[1] for key in by))
        honest = by["deep", ranges[0], "all"]["fmd"]
        suspects = {"128 images against 128": by["deep", ranges[0], "study D"],
                    "shallow features": by["shallow", ranges[0], "all"],
                    f"pixels {ranges[1]}": by["deep", ranges[1], "all"]}
        effects = [f"{what} {'raises' if row['fmd'] > honest else 'lowers'} it to {number(row['fmd'])}"
                   for what, row in suspects.items()]
        below = [what for what, row in suspects.items() if row["fmd"] < 1]
        out.append(f"Study D's “below 1”, tried on {named(run.title)} (FMD to the training images "
                   f"{number(honest)}): {listed(effects)}. "
                   + (f"Below 1 alone: {listed(below)}." if below else "None alone reads below 1."))
    return out


def at_infinity(limit: dict[str, Any]) -> str:
    if limit["fmd"] is None:  # the caption says where images are too few
        return f"; not extrapolated: {limit['why']}" if "no distance is" in (limit["why"] or "") else ""
    return (f"; extrapolated to infinitely many {number(limit['fmd'])} [{number(limit['low'])}, "
            f"{number(limit['high'])}]")


def agreement_findings(results: Results) -> list[str]:
    ranks = agreement(results)
    if ranks is None:
        return []
    names, tau = ranks
    pairs = sorted((float(tau[i, j]), names[i], names[j]) for i in range(len(names)) for j in range(i))
    with_fmd = {names[j]: float(tau[0, j]) for j in range(1, len(names))}
    correlations = listed([f"{name} {fixed(value)[:-2]}" for name, value in with_fmd.items()])
    return [f"Rankings of {len(results.runs)} runs, Kendall's τ with FMD: {correlations}. The least "
            f"agreement of any two is {number(pairs[0][0], 2)} ({pairs[0][1]} and {pairs[0][2]})."]
