"""Images as figures: montages, and panels of them with labelled rows and columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kelvin.report.style import WIDTH, Figure, finish, new, plain

CELL = 48  # pixels of a picture before matplotlib scales it: whole multiples keep pixels square
GAP = 3
FRAME = (203, 210, 220)  # between pictures: tells a white pixel from the gap beside it
PAPER = 255


@dataclass(frozen=True)
class Panel:
    """An array (H, W, 3) uint8 of `rows` x `columns` pictures, with labels of either."""

    title: str
    image: np.ndarray
    rows: int
    columns: int
    row_labels: Sequence[str] = ()
    column_labels: Sequence[str] = ()


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
    labels = 0.068 * max((len(label) for p in panels for label in p.row_labels), default=0) + 0.12
    side = min(cell, (width / across - labels) / max(p.columns for p in panels))
    wide = [max(p.columns for p in panels[i::across]) * side + labels for i in range(across)]
    shape = panels[0].image.shape[0] / panels[0].rows / (panels[0].image.shape[1] / panels[0].columns)
    extra = (0.19 * max(len(p.title.splitlines()) for p in panels)
             + 0.2 * any(len(p.column_labels) for p in panels) + 0.1)
    tall = [max(p.rows for p in panels[i:i + across]) * side * shape + extra
            for i in range(0, len(panels), across)]
    below = 0.28 * bool(x_label)
    figure = new(sum(wide), sum(tall) + below, layout=None)
    total_x, total_y = sum(wide), sum(tall) + below
    for k, panel in enumerate(panels):
        i, j = divmod(k, across)
        left = sum(wide[:j]) + labels - 0.04
        top = sum(tall[:i]) + 0.06 + 0.19 * max(len(p.title.splitlines()) for p in panels)
        size = panel.columns * side, panel.rows * side * shape
        draw(figure.add_axes((left / total_x, 1 - (top + size[1]) / total_y,
                              size[0] / total_x, size[1] / total_y)), panel)
    if x_label:
        figure.text((labels + (total_x - labels) / 2) / total_x, 0.08 / total_y, x_label, fontsize=9,
                    ha="center", va="bottom")
    return finish(figure, name, caption)


def draw(axes, panel: Panel) -> None:
    axes.imshow(panel.image, interpolation="antialiased")
    axes.set_anchor("NW")
    axes.set_title(plain(panel.title), loc="left", fontsize=8.5, pad=3)
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    height, width = (panel.image.shape[k] / n
                     for k, n in ((0, panel.rows), (1, panel.columns)))
    axes.set_xticks([(j + 0.5) * width for j in range(len(panel.column_labels))],
                    [plain(c) for c in panel.column_labels], fontsize=7.5)
    axes.set_yticks([(i + 0.5) * height for i in range(len(panel.row_labels))],
                    [plain(r) for r in panel.row_labels], fontsize=7.5)
    axes.tick_params(length=0, pad=2)
