"""Images as figures: montages, and panels of them with labelled rows and columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from kelvin.report.style import WIDTH, Figure, finish, new, plain

CELL = 48  # pixels of a picture before matplotlib scales it: whole multiples keep pixels square
GAP = 3
PAPER, EMPTY = 255, 255


@dataclass(frozen=True)
class Panel:
    """An array (H, W, 3) uint8 of `rows` x `columns` pictures, with labels of either."""

    title: str
    image: np.ndarray
    rows: int
    columns: int
    row_labels: Sequence[str] = ()
    column_labels: Sequence[str] = ()
    mark: list[int] = field(default_factory=list)


def lattice(pictures: Sequence[Sequence[np.ndarray | None]]) -> np.ndarray:
    """Rows of pictures (C, H, W) uint8 laid out with gaps; None leaves a place empty."""
    shape = next(p.shape for row in pictures for p in row if p is not None)
    scale = max(1, round(CELL / shape[1]))
    height, width = shape[1] * scale + GAP, shape[2] * scale + GAP
    columns = max(len(row) for row in pictures)
    out = np.full((len(pictures) * height + GAP, columns * width + GAP, 3), PAPER, np.uint8)
    for i, row in enumerate(pictures):
        for j, picture in enumerate(row):
            if picture is None:
                continue
            big = np.repeat(np.repeat(picture, scale, 1), scale, 2).transpose(1, 2, 0)
            y, x = i * height + GAP, j * width + GAP
            out[y:y + height - GAP, x:x + width - GAP] = big  # one grey channel fills all three
    return out


def montage(title: str, images: np.ndarray, columns: int) -> Panel:
    """Images (n, C, H, W) in reading order."""
    rows = [list(images[i:i + columns]) for i in range(0, len(images), columns)]
    return Panel(title, lattice(rows), len(rows), columns)


def table(title: str, pictures: Sequence[Sequence[np.ndarray | None]], row_labels: Sequence[str] = (),
          column_labels: Sequence[str] = ()) -> Panel:
    return Panel(title, lattice(pictures), len(pictures), max(map(len, pictures)), row_labels,
                 column_labels)


def show(name: str, caption: str, panels: Sequence[Panel], across: int, width: float = WIDTH,
         x_label: str = "") -> Figure:
    """Panels in reading order, `across` a row, each with its own labels."""
    down = -(-len(panels) // across)
    labels = max((max(map(len, p.row_labels), default=0) for p in panels), default=0)
    room = width / across - 0.075 * labels - 0.15
    tallest = [max(p.image.shape[0] / p.image.shape[1] for p in panels[i:i + across])
               for i in range(0, len(panels), across)]
    extra = (0.24 * any(p.title for p in panels) + 0.22 * any(len(p.column_labels) for p in panels)
             + 0.08)
    figure = new(width, room * sum(tallest) + extra * down + 0.2 * bool(x_label))
    grid = figure.add_gridspec(down, across, height_ratios=tallest)
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, hspace=0.01, wspace=0.01)
    for i, panel in enumerate(panels):
        draw(figure.add_subplot(grid[i // across, i % across]), panel)
    if x_label:
        figure.supxlabel(x_label, fontsize=9)
    return finish(figure, name, caption)


def draw(axes, panel: Panel) -> None:
    axes.imshow(panel.image, interpolation="antialiased")
    axes.set_title(plain(panel.title), loc="left", fontsize=8.5)
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
