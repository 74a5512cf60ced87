"""Figures over t: encodings, decodings and restorations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kelvin.report.kit.pictures import Panel, show, table
from kelvin.report.kit.style import Figure
from kelvin.report.kit.titles import sampler_words
from kelvin.report.results import Run


def strip(name: str, caption: str, rows: list[list[np.ndarray | None]], labels: Sequence[str],
          fractions: Sequence[str]) -> Figure:
    """Rows on a common axis of t/T, without the columns that are empty in all of them."""
    used = [j for j in range(len(fractions)) if any(row[j] is not None for row in rows)]
    panel = table("", [[row[j] for j in used] for row in rows], labels, [fractions[j] for j in used])
    return show(name, caption, [panel], 1, x_label="t / T")


def fractions(count: int) -> list[str]:
    return [f"{i / count:g}" for i in range(count + 1)]


def placed(times: np.ndarray, steps: int, pictures: np.ndarray, count: int
           ) -> list[np.ndarray | None]:
    """Pictures (times, C, H, W) in `count` + 1 places by t/T; a place nothing falls into is None."""
    row: list[np.ndarray | None] = [None] * (count + 1)
    for t, picture in zip(times, pictures, strict=True):
        row[round(count * int(t) / steps)] = picture
    return row


def spacing(runs: Sequence[Run]) -> str:
    count = max(run.config.sampling.strip for run in runs)
    steps = dict.fromkeys(f"{max(1, round(run.steps / count)):,}" for run in runs)
    return (f"Equal steps in t/T: a picture every {' / '.join(steps)} steps of the process. A place is "
            "empty where a process or its sampler has no such time.")


def figures(name: str, runs: Sequence[Run]) -> list[Figure]:
    """The figures of encoding and decoding."""
    return [encoding_figure(name, runs),
            decoding_figure(name, runs, "Decoding: two new images of each run, from what the prior drew "
                            f"(left) to the sample (right), by the run's first sampler. {spacing(runs)}")]


def encoding_figure(name: str, runs: Sequence[Run]) -> Figure:
    """One test image degraded step by step, a row per run, on a common axis t/T."""
    count = max(run.config.sampling.strip for run in runs)
    strips = [run.first.samples.encoding for run in runs]
    rows = [placed(strip.times, run.steps, strip.states[:, 0], count)
            for run, strip in zip(runs, strips, strict=True)]
    return strip(f"{name}-encoding", "Encoding: one test image degraded step by step. "
                                     f"{spacing(runs)}", rows,
                 [run.title for run in runs], fractions(count))


def decoding_figure(name: str, runs: Sequence[Run], caption: str) -> Figure:
    """Two new images of each run as its first sampler makes them, from t = T on the left to 0."""
    count = max(run.config.sampling.strip for run in runs)
    rows, labels = [], []
    for run in runs:
        sampler = run.record["sampler"]
        decoded = run.first.samples.decoding(sampler)
        for i in range(min(2, decoded.states.shape[1])):
            rows.append(placed(decoded.times, run.steps, decoded.states[:, i], count)[::-1])
            labels.append(run.title if i == 0 else "")
    return strip(f"{name}-decoding", caption, rows, labels, fractions(count)[::-1])


def restoration_panel(run: Run) -> Panel:
    """Truth, x_t and every method's restoration of the first test image, over t."""
    restored = run.first.samples.restorations
    rows = [[restored.truth[0]] * len(restored.times), list(restored.degraded[:, 0]),
            *(list(images[:, 0]) for images in restored.methods.values())]
    return table(run.title, rows, ["truth", "degraded", *map(sampler_words, restored.methods)],
                 [f"{t / run.steps:.2g}" for t in restored.times])


def restoration_figure(name: str, runs: Sequence[Run]) -> Figure:
    panels = [restoration_panel(run) for run in runs]
    across = 1 if panels[0].columns > 8 else 2 if panels[0].columns > 6 or len(runs) == 4 else 3
    return show(f"{name}-restoration", "One test image degraded to t and restored, with the last "
                "weights: in one shot, by the linear least-squares restorer, and by each "
                "sampler.", panels, across,
                cell=0.45, x_label="t / T")


def moments(times: np.ndarray) -> list[int]:
    """Indices of the time nearest to half of the largest, and of the largest."""
    last = int(np.argmax(times))
    middle = int(np.argmin(np.abs(times - times[last] / 2)))
    return list(dict.fromkeys([middle, last]))


def reconstruction_panels(run: Run) -> list[Panel]:
    """Truth, x_t and the one-shot restoration after the first and the last kept epoch, a panel a time."""
    arrays = run.first.snapshots
    epochs, times = arrays.epochs, arrays.times
    ends = sorted({0, len(epochs) - 1})
    panels = []
    for i in moments(times):
        rows = [arrays.truth, arrays.degraded[i], *(arrays.restored[e, i] for e in ends)]
        labels = ["truth", "degraded", *(f"epoch {epochs[e]}" for e in ends)]
        panels.append(table(f"{run.title}: t/T = {times[i] / run.steps:.2g}",
                            [list(row[:5]) for row in rows], labels))
    return panels


def reconstruction_figure(name: str, runs: Sequence[Run]) -> Figure:
    panels = [reconstruction_panels(run) for run in runs]
    return show(f"{name}-reconstructions", "What training learns: held-out images, their degraded x_t, "
                "and the network's restoration in one shot after the first and after the last kept "
                "epoch, at a middle and at the largest time.", [p for group in panels for p in group],
                max(map(len, panels)), cell=0.5)
