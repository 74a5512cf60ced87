"""Study D's pre-training: what the first weights save, and what as many updates from scratch reach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kelvin.report.kit.style import WIDTH, Figure, band, chart, finish, looks, ticks, whole
from kelvin.report.kit.table import NOTHING, Column, Row, Table, number
from kelvin.report.kit.words import named, seeds
from kelvin.report.parts import columns
from kelvin.report.parts.curves import Series, epochs, history, line
from kelvin.report.results import Run
from kelvin.report.studies.base import Study, studies

CURVES = {"loss": ("val_loss_ema", "validation loss", history), "fmd": ("fmd", "FMD", epochs)}


def crossing(x: np.ndarray, y: np.ndarray, level: float) -> float | None:
    """The first x at which the line through (x, y) has fallen to `level`; None where it never does."""
    below = np.flatnonzero(y <= level)
    if not len(below):
        return None
    i = below[0]
    if i == 0:
        return float(x[0])
    return float(x[i - 1] + (x[i] - x[i - 1]) * (y[i - 1] - level) / (y[i - 1] - y[i]))


@dataclass(frozen=True)
class Gain:
    """When a run first is as good as its base is at its end. Means over seeds; None where it never is on
    some seed.

    at: epochs of its own. saved: epochs before the base itself first was there. total: updates until
    then, with those of pre-training.
    """

    at: float | None
    saved: float | None
    total: float | None


def gain(base: Series, run: Series, per_epoch: float, before: float) -> Gain:
    """The gain from curves over epochs by seed. per_epoch: updates an epoch; before: of pre-training."""
    epochs_saved = []
    for theirs, own in zip(base[1], run[1], strict=True):
        level = float(theirs[-1])
        at = crossing(run[0], own, level)
        if at is None:
            return Gain(None, None, None)
        epochs_saved.append((at, crossing(base[0], theirs, level) - at))
    at, saved = np.mean(epochs_saved, axis=0).tolist()
    return Gain(at, saved, before + per_epoch * at)


def before(run: Run) -> int:
    """Updates of pre-training."""
    return run.record.get("pretrain_updates", 0)


def per_epoch(run: Run) -> float:
    return run.record["updates"] / run.config.training.epochs


def total(run: Run) -> int:
    """All updates, those of pre-training included."""
    return before(run) + run.record["updates"]


def equal_updates(run: Run, control: Run) -> tuple[float, float] | None:
    """(FMD of the samples kept last, the control's interpolated at as many updates in all), means over
    seeds. None where the control has fewer updates."""
    x, y = epochs(control, "fmd")
    if total(run) > per_epoch(control) * x[-1]:
        return None
    theirs = np.interp(total(run), per_epoch(control) * x, y.mean(0))
    return float(epochs(run, "fmd")[1][:, -1].mean()), float(theirs)


@studies.register("pretraining")
class Pretraining(Study):
    @property
    def scratch(self) -> Run | None:
        """The run from scratch: the study's first, where it is active."""
        return self.base if self.base and self.base.trained else None

    @property
    def control(self) -> Run | None:
        """The run from scratch with the most updates, but for the first; None without one."""
        others = [run for run in self.trained if not before(run) and run is not self.scratch]
        return max(others, key=total, default=None)

    def gains(self, run: Run) -> dict[str, Gain]:
        """{"loss": Gain, "fmd": Gain} of a run against the one from scratch."""
        return {} if self.scratch is None else {
            name: gain(get(self.scratch, key), get(run, key), per_epoch(run), before(run))
            for name, (key, _, get) in CURVES.items()}

    def figures(self) -> list[Figure]:
        """Loss and FMD over own epochs (above) and over all updates (below)."""
        drawing, panels = chart(WIDTH, 5.6, 2, 2, sharey="col")
        row = self.trained[0].first.details["epochs"][0]
        for column, (key, words, get) in enumerate(CURVES.values()):
            for down, axes in enumerate(panels[:, column]):
                if key == "fmd":
                    band(axes, row["floor"], row["floor_sd"], "")
                for run, look in zip(self.trained, looks(self.trained), strict=True):
                    x, y = get(run, key)
                    line(axes, (before(run) + per_epoch(run) * x if down else x, y), look, run.title)
                axes.set(xlabel="updates, pre-training included" if down else "epoch of the run's own",
                         ylabel=words, yscale="log")
                ticks(axes.yaxis)
                whole(axes.xaxis)
        return [finish(drawing, f"{self.name}-curves", "Validation loss (EMA weights, fixed t and z) "
                       "after each epoch, and FMD after each kept one. Above: over the run's own epochs. "
                       "Below: over all updates, those of pre-training included. Grey: real images of "
                       "the same classes (mean ± standard deviation of draws)."), self.samples()]

    def tables(self) -> list[Table | None]:
        """The cost and the result of each run."""
        if not self.trained:
            return []
        rows: list[Row] = []
        control, classes = self.control, self.trained[0].config.classes
        for run in self.trained:
            record, pretrain = self.records[run.name], run.config.pretrain
            row = {"run": run.name, "title": run.title, "n": record["n"],
                   "pretrain_epochs": pretrain.epochs if pretrain else 0, "pretrain_updates": before(run),
                   "updates": record["updates"], "total_updates": total(run),
                   **{key: record[key] for key in ("val_loss_ema", "fmd", "fmd_low", "fmd_high",
                                                   "fmd_normalised")}}
            pair = equal_updates(run, control) if control and before(run) else None
            row |= {"fmd_kept_last": pair and pair[0], "fmd_control": pair and pair[1]}
            for name, gain_of_run in self.gains(run).items():
                row |= {f"{name}_{key}": getattr(gain_of_run, key) for key in ("at", "saved", "total")}
            rows.append(row)
        heads = [columns.RUN, columns.value("pretrain_epochs", "pre-training, epochs"),
                 columns.value("total_updates", "updates in all"),
                 columns.value("val_loss_ema", "validation loss", "min"), columns.FMD, columns.NORMALISED]
        if self.scratch:
            for name, words in (("loss", "loss"), ("fmd", "FMD")):
                heads += [Column(f"epochs saved, {words}", columns.cell(f"{name}_saved", saved)),
                          Column(f"updates to equal {words}", columns.cell(f"{name}_total", saved))]
        if control:
            heads.append(Column("kept samples: FMD [control's]", lambda r: NOTHING
                                if r["fmd_control"] is None
                                else f"{number(r['fmd_kept_last'])} [{number(r['fmd_control'])}]"))
        return [Table(self.name, f"{self.study.study.title}: n = {rows[0]['n']} samples, "
                      + (f"scored against real images of the classes {', '.join(map(str, classes))} "
                         "only: not comparable with other tables. " if classes else "")
                      + "Epochs saved: by how many a run reaches the final value of the run from scratch "
                      "earlier than that run first reached it (interpolated between epochs; negative: "
                      "later); updates to equal it count those of pre-training. A run that is there "
                      "after its first kept epoch counts as there at that epoch. –: never reached. Loss: "
                      "of the EMA weights on validation images. Control: the longer run from scratch "
                      "after as many updates in all, both by the samples that training kept.",
                      heads, rows,
                      page=("pre-training, epochs", "updates in all", "validation loss",
                            "epochs saved, loss", "epochs saved, FMD", "updates to equal FMD"))]

    def findings(self) -> list[str]:
        base, count = self.scratch, self.count
        if base is None:
            return [f"The run from scratch, {self.study.study.runs[0]}, is not active: what pre-training "
                    "saves cannot be said."]
        others = [run for run in self.trained if run is not base]
        pretrained = [run for run in others if before(run)]
        out = [savings(run.title, self.gains(run), before(run), base.title, base.record["updates"], count)
               for run in pretrained]
        out = out or [f"No run with pre-training is active: nothing is held against {named(base.title)}."]
        return out + [against(run.title, control.title, total(run), equal_updates(run, control), count)
                      for control in others if not before(control) for run in pretrained]


def saved(value: float) -> str:
    return f"{value:,.1f}".replace("-", "−") if abs(value) < 100 else f"{value:,.0f}"


def savings(title: str, gains: Mapping[str, Gain], updates: int, base: str, base_updates: int,
            count: int) -> str:
    """A sentence: what pre-training saved, and whether it still does when its own updates count."""
    parts = []
    for key, words in (("loss", "validation loss"), ("fmd", "FMD")):
        g = gains[key]
        if g.at is None:
            parts.append(f"does not reach the final {words} of {named(base)}")
            continue
        way = f"{number(abs(g.saved))} {'fewer' if g.saved > 0 else 'more'}"
        cost = "fewer" if g.total < base_updates else "no fewer"
        parts.append(f"reaches the final {words} of {named(base)} after {number(g.at)} epochs ({way}), "
                     f"and {number(round(g.total))} updates with its pre-training (that run: "
                     f"{number(base_updates)}, so {cost})")
    return (f"{named(title)} ({number(updates)} updates of pre-training) {seeds(count)} "
            f"{'; '.join(parts)}.")


def against(title: str, control: str, updates: int, pair: tuple[float, float] | None, count: int
            ) -> str:
    """A sentence: a pre-trained run beside the control from scratch after as many updates in all."""
    if pair is None:
        return (f"The control {named(control)} stops short of the {number(updates)} updates that "
                f"{named(title)} has in all, so the two cannot be held against one another.")
    way = "lower than" if pair[0] < pair[1] else "higher than" if pair[0] > pair[1] else "the same as"
    return (f"After as many updates in all ({number(updates)}) the FMD of {named(title)} is {way} that "
            f"of the control {named(control)}, which saw no other images, {seeds(count)}: "
            f"{number(pair[0])} against {number(pair[1])}.")
