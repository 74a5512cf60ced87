"""Images as figures: montages, and panels of them with labelled rows and columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

import numpy as np

from kelvin.report.kit.style import WIDTH, Figure, finish, new, plain

CELL = 48  # pixels of a picture before matplotlib scales it: whole multiples keep pixels square
GAP = 3
FRAME = (203, 210, 220)  # between pictures: tells a white pixel from the gap beside it
PAPER = 255
LABEL = 24  # characters of a row label before it is broken


@dataclass(frozen=True)
class Panel:
    """An array (H, W, 3) uint8 of `rows` x `columns` pictures, with labels of either."""

    title: str
    image: np.ndarray
    rows: int
    columns: int
    row_labels: Sequence[str] = ()
    column_labels: Sequence[str] = ()

    @property
    def aspect(self) -> float:
        """Height over width of one picture."""
        height, width = self.image.shape[:2]
        return (height / self.rows) / (width / self.columns)


Pictures = Sequence[Sequence[np.ndarray | None]]


def lattice(pictures: Pictures) -> np.ndarray:
    """Rows of pictures (C, H, W) uint8 in frames; None leaves a place empty."""
    shape = next(p.shape for row in pictures for p in row if p is not None)
    scale = max(1, round(CELL / shape[1]))
    height, width = shape[1] * scale + GAP, shape[2] * scale + GAP
    columns = max(len(row) for row in pictures)
    out = np.full((len(pictures) * height + GAP, columns * width + GAP, 3), PAPER, np.uint8)
    for i, row in enumerate(pictures):
        for j, picture in enumerate(row):
            if picture is None:
                continue
            out[i * height:(i + 1) * height + GAP, j * width:(j + 1) * width + GAP] = FRAME
            big = np.repeat(np.repeat(picture, scale, 1), scale, 2).transpose(1, 2, 0)
            y, x = i * height + GAP, j * width + GAP
            out[y:y + height - GAP, x:x + width - GAP] = big  # one grey channel fills all three
    return out


def montage(title: str, images: np.ndarray, columns: int) -> Panel:
    """Images (n, C, H, W) in reading order."""
    rows = [list(images[i:i + columns]) for i in range(0, len(images), columns)]
    return Panel(title, lattice(rows), len(rows), columns)


def table(title: str, pictures: Pictures, row_labels: Sequence[str] = (),
          column_labels: Sequence[str] = ()) -> Panel:
    return Panel(title, lattice(pictures), len(pictures), max(map(len, pictures)), row_labels,
                 column_labels)


def show(name: str, caption: str, panels: Sequence[Panel], across: int, width: float = WIDTH,
         x_label: str = "", cell: float = 0.62) -> Figure:
    """Panels in reading order, `across` a row, each with its own labels.

    cell: inches that a picture may take at most; a figure of few columns is narrow, not coarse.
    """
    across = min(across, len(panels))
    labels = [["\n".join(wrap(label, LABEL)) for label in p.row_labels] for p in panels]
    margin = 0.12 + 0.068 * max(
        (len(line) for p in labels for label in p for line in label.splitlines()), default=0)
    side = min(cell, (width / across - margin) / max(p.columns for p in panels))
    titles = ["\n".join(wrap(p.title, max(12, int(13.5 * p.columns * side)))) for p in panels]
    columns = [margin + side * max(p.columns for p in panels[j::across]) for j in range(across)]
    heads, rows = heights(panels, titles, across, side)
    total_x, total_y = sum(columns), sum(rows) + 0.13 * bool(x_label)
    figure = new(total_x, total_y, layout=None)
    for k, panel in enumerate(panels):
        i, j = divmod(k, across)
        x, y = side * panel.columns, side * panel.rows * panel.aspect
        left, bottom = sum(columns[:j]) + margin - 0.04, total_y - sum(rows[:i]) - heads[i] - y
        box = (left / total_x, bottom / total_y, x / total_x, y / total_y)
        draw(figure.add_axes(box), panel, titles[k], labels[k])
    if x_label:
        figure.text((margin + total_x) / 2 / total_x, 0.03 / total_y, x_label, fontsize=9,
                    ha="center", va="bottom")
    return finish(figure, name, caption, photographs=any(coloured(panel.image) for panel in panels),
                  alt=description(panels))


def description(panels: Sequence[Panel]) -> str:
    """The alternative text of pictures: how many, and the titles of panels, rows and columns."""
    parts = []
    for panel in panels:
        rows = [label for label in panel.row_labels if label]
        columns = list(panel.column_labels)
        parts.append(f"{panel.title} ({panel.rows} rows of {panel.columns})"
                     + (f", rows: {', '.join(rows)}" if rows else "")
                     + (f", columns: {', '.join(columns)}" if columns else ""))
    return f"Pictures. {'; '.join(parts).strip()}."


def heights(panels: Sequence[Panel], titles: Sequence[str], across: int, side: float
            ) -> tuple[list[float], list[float]]:
    """(inches of the title, inches of the whole) of each row of panels."""
    starts = range(0, len(panels), across)
    heads = [0.06 + 0.17 * max(len(t.splitlines()) for t in titles[i:i + across]) for i in starts]
    foot = 0.08 + 0.2 * any(len(p.column_labels) for p in panels)
    return heads, [head + foot + side * max(p.rows * p.aspect for p in panels[i:i + across])
                   for i, head in zip(starts, heads, strict=True)]


def coloured(image: np.ndarray) -> bool:
    """Whether any picture in an array (H, W, 3) has a pixel that is not grey."""
    inside = image[(image != np.array(FRAME, np.uint8)).any(-1)]
    return bool((inside != inside[:, :1]).any())


def draw(axes: Any, panel: Panel, title: str, row_labels: Sequence[str] = ()) -> None:
    axes.imshow(panel.image, interpolation="antialiased")
    axes.set_anchor("NW")
    axes.set_title(plain(title), loc="left", fontsize=8.5, pad=3)
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    height, width = (panel.image.shape[k] / n
                     for k, n in ((0, panel.rows), (1, panel.columns)))
    axes.set_xticks([(j + 0.5) * width for j in range(len(panel.column_labels))],
                    [plain(c) for c in panel.column_labels], fontsize=7.5)
    axes.set_yticks([(i + 0.5) * height for i in range(len(row_labels))],
                    [plain(r) for r in row_labels], fontsize=7.5)
    axes.tick_params(length=0, pad=2)
