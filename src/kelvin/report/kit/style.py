"""How figures look: readable in print and by the colour-blind, and the same bytes every time."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

import numpy as np

# Okabe and Ito 2008, without the yellow that vanishes on white; line styles and markers repeat what
# the colours say
COLOURS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#D55E00", "#0072B2", "#CC79A7")
LINES = ("-", (0, (6, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (9, 3)), (0, (3, 1.5)),
         (0, (6, 2, 1.5, 2, 1.5, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
# one hue a family of runs, everywhere: shades and lines tell its runs apart
FAMILIES = {"hot": ("#D55E00", "#7A2E00", "#F08C4A", "#A63C00", "#E7A27C"),
            "warm": ("#A0529A", "#5B2A57", "#CC79A7", "#7B3F8C", "#D9A6C9"),
            "cold": ("#0072B2", "#003A5D", "#56B4E9", "#2D5AA0", "#8DB8D8"),
            "folder": ("#009E73", "#005A41", "#5CC2A5")}
FAMILY_MARKERS = {"hot": "o", "warm": "^", "cold": "s", "folder": "D"}
FAMILY_WORDS = {"hot": "hot (noise)", "warm": "warm (noise and another)", "cold": "cold (no noise)",
                "folder": "given images"}
BAND = "#B8B8B8"
GREY = "#555555"  # of lines and markers that are not runs
WIDTH = 8.2  # inches: the page's column
DPI = 120

STYLE = {
    "figure.dpi": DPI, "savefig.dpi": DPI, "font.family": "DejaVu Sans", "font.size": 9,
    "axes.titlesize": 9.5, "axes.labelsize": 9, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "grid.color": "#E3E3E3", "grid.linewidth": 0.6, "axes.axisbelow": True,
    "xtick.labelsize": 8, "ytick.labelsize": 8, "legend.fontsize": 8, "legend.frameon": False,
    "lines.linewidth": 1.5, "lines.markersize": 4, "text.parse_math": True,
    "legend.handlelength": 3.2,
}


@dataclass(frozen=True)
class Figure:
    """A drawn figure. name: of its file, without suffix; caption: for the page; png: its bytes; width,
    height: pixels; alt: the alternative text for readers who do not see it."""

    name: str
    caption: str
    png: bytes
    width: int
    height: int
    alt: str


def use() -> None:
    """Set the style on top of matplotlib's own defaults, whatever a user's matplotlibrc says."""
    import matplotlib

    matplotlib.rcdefaults()
    matplotlib.rcParams.update(STYLE)


def look(i: int) -> dict[str, Any]:
    """Colour, line and marker of the i-th of several lines that are not runs."""
    k = len(COLOURS)
    return {"color": COLOURS[i % k], "linestyle": LINES[(i + i // k) % k],
            "marker": MARKERS[(i + 2 * (i // k)) % k]}


def looks(runs: Sequence[Any]) -> list[dict[str, Any]]:
    """Colour, line and marker of each run: the hue of its family, another shade and line for each."""
    out: list[dict[str, Any]] = []
    count: Counter[str] = Counter()
    for i, run in enumerate(runs):
        shades, k = FAMILIES[run.family], count[run.family]
        count[run.family] += 1
        out.append({"color": shades[k % len(shades)], "linestyle": LINES[k % len(LINES)],
                    "marker": MARKERS[i % len(MARKERS)]})
    return out


def plain(text: str) -> str:
    """A user's text with its dollars escaped: matplotlib reads them as formulas."""
    return text.replace("$", r"\$")


def new(width: float, height: float, layout: str | None = "constrained") -> Any:
    """A matplotlib figure with its own Agg canvas: no global state, no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    figure = Canvas(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def chart(width: float, height: float, down: int = 1, across: int = 1, **options: Any
          ) -> tuple[Any, Any]:
    """A figure and its panels: one, a row of them, or a lattice. options: of matplotlib's subplots."""
    figure = new(width, height)
    return figure, figure.subplots(down, across, **options)


def mark(axes: Any, marker: str, label: str, colour: str = GREY, **style: Any) -> None:
    """An entry of the legend that explains a marker and is not itself a point of the panel."""
    axes.plot([], [], marker, color=colour, linestyle="none", label=label, **style)


def mark_families(axes: Any, families: Iterable[str]) -> None:
    """Entries of the legend for families of runs, each once, in their order."""
    for family in dict.fromkeys(families):
        mark(axes, FAMILY_MARKERS[family], FAMILY_WORDS[family], FAMILIES[family][0])


def spread_bar(axes: Any, y: float, low: float, value: float, high: float, family: str, width: float,
               size: float) -> None:
    """A value on a row with its interval, in the colour and with the marker of its family."""
    colour = FAMILIES.get(family, ("#333333",))[0]
    axes.plot([low, high], [y, y], color=colour, linewidth=width)
    axes.plot(value, y, FAMILY_MARKERS.get(family, "o"), color=colour, markersize=size)


def heat_map(figure: Any, axes: Any, values: np.ndarray, texts: np.ndarray, norm: Any, colours: Any,
             label: str, size: float) -> Any:
    """values (rows, columns) as colours with texts of the same shape on them, white where it is dark; its
    colour bar comes back."""
    image = axes.imshow(np.ma.masked_invalid(values), cmap=colours, norm=norm, aspect="auto")
    for (y, x), text in np.ndenumerate(texts):
        axes.text(x, y, text, ha="center", va="center", fontsize=size,
                  color="white" if norm(values[y, x]) < 0.5 else "black")
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, label=label)
    bar.outline.set_visible(False)
    return bar


def list_rows(axes: Any, labels: Sequence[str], across: str) -> None:
    """Titles of rows from the top of a panel down, and a logarithmic measure across it; call it when all
    is drawn."""
    axes.set_yticks(range(len(labels)), [plain(label) for label in labels])
    axes.set(xscale="log", ylim=(len(labels) - 0.4, -0.6), xlabel=across)
    axes.grid(axis="y", visible=False)
    ticks(axes.xaxis)


def reference(axes: Any, x: float, label: str) -> None:
    """A dashed vertical line that values are read against."""
    axes.axvline(x, color=GREY, linestyle=(0, (5, 2)), linewidth=1, label=label)


def error_bars(axes: Any, x: Sequence[Any], y: Any, low: Any, high: Any, label: str,
               style: Mapping[str, Any]) -> None:
    """A line through y with a bar from low to high at each point."""
    y, low, high = (np.array(values, float) for values in (y, low, high))
    axes.errorbar(x, y, [np.maximum(y - low, 0), np.maximum(high - y, 0)], capsize=2, label=plain(label),
                  **style)


def band(axes: Any, floor: float, sd: float, label: str = "real images (mean ± sd)") -> None:
    """What real images score at the same n: mean and standard deviation of draws."""
    axes.axhspan(floor - sd, floor + sd, color=BAND, zorder=0, label=label)


def arrange(titles: Sequence[str], extra: float = 0.5, sharey: bool = False) -> tuple[Any, list[Any]]:
    """A figure with titled panels, at most four beside each other, and its panels in order."""
    across = min(4, len(titles)) if len(titles) != 5 else 3
    down = -(-len(titles) // across)
    figure, lattice = chart(min(WIDTH, 2.8 * across + 0.8), 2.1 * down + extra, down, across,
                            squeeze=False, sharey=sharey)
    panels = list(lattice.flat)
    for axes, title in zip(panels, titles, strict=False):
        axes.set_title("\n".join(wrap(plain(title), 26)), fontsize=8)
    for axes in panels[len(titles):]:
        axes.set_visible(False)
    return figure, panels[:len(titles)]


def ticks(axis: Any) -> None:
    """Plain numbers on a logarithmic axis, as many as its range needs; call it when all is drawn."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    low, high = axis.get_view_interval()
    if high < 6 * low:
        axis.set_major_locator(MaxNLocator(5))
        axis.set_minor_locator(MaxNLocator(5))
    else:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 200 * low else (1,), numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def logarithmic(axes: Any) -> None:
    """Make both axes logarithmic, with plain numbers."""
    axes.set(xscale="log", yscale="log")
    ticks(axes.xaxis)
    ticks(axes.yaxis)


def whole(axis: Any) -> None:
    """Only whole numbers on an axis, as of epochs."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(6, integer=True))


def legend_below(figure: Any, axes: Any, columns: int = 4) -> None:
    """One legend for all panels, below them, where it covers nothing."""
    below(figure, *axes.get_legend_handles_labels(), columns)


def below(figure: Any, handles: Sequence[Any], labels: Sequence[str], columns: int) -> None:
    """A legend of at most `columns` columns, fewer where so many would be wider than the figure."""
    for ncols in range(min(columns, len(labels)), 0, -1):
        legend = figure.legend(handles, labels, loc="outside lower center", ncols=ncols)
        if legend.get_window_extent().width <= figure.bbox.width or ncols == 1:
            return
        legend.remove()


def description(figure: Any) -> str:
    """The alternative text of a chart: each panel with its axes, their ranges and its lines."""
    panels = []
    for axes in (axes for axes in figure.axes if axes.get_visible()):
        ends = [f"{words.replace(chr(10), ' ')} from {low:.3g} to {high:.3g}" for words, (low, high) in (
            (axes.get_ylabel(), axes.get_ylim()), (axes.get_xlabel(), axes.get_xlim())) if words]
        title = axes.get_title() or axes.get_title("left")
        head = ": ".join(filter(None, [title.replace("\n", " "), " over ".join(ends)]))
        lines = [label for label in axes.get_legend_handles_labels()[1] if not label.startswith("_")]
        lines = lines or [tick.get_text() for tick in axes.get_yticklabels() if len(tick.get_text()) > 4]
        panels.append(head + (f" ({', '.join(dict.fromkeys(lines))})" if lines else ""))
    return "Chart. " + "; ".join(filter(None, panels)).replace("\\$", "$") + "."


def finish(figure: Any, name: str, caption: str, columns: int = 3, photographs: bool = False,
           alt: str = "") -> Figure:
    """The figure as PNG of at most 256 colours: a third of the bytes, without visible loss.

    columns: of the legend of its first panel with labels, which is added below where it has no legend.
    """
    labelled = next((axes for axes in figure.axes if axes.get_legend_handles_labels()[1]), None)
    if labelled and not figure.legends:
        legend_below(figure, labelled, columns)
    figure.canvas.draw()
    pixels = np.ascontiguousarray(np.asarray(figure.canvas.buffer_rgba())[..., :3])
    image = dithered(pixels) if photographs else frequent(pixels)
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return Figure(name, caption, out.getvalue(), *image.size, alt or description(figure))


def frequent(pixels: np.ndarray) -> Any:
    """The image in its 256 most frequent colours; the others (edges of lines) take the nearest of
    them."""
    code = pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    codes, where, counts = np.unique(code, return_inverse=True, return_counts=True)
    colours = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], 1).astype(np.int64)
    palette = colours[np.sort(np.argsort(-counts, kind="stable")[:256])]
    squared = (colours**2).sum(1)[:, None] + (palette**2).sum(1) - 2 * colours @ palette.T
    nearest = squared.argmin(1).astype(np.uint8)
    return with_palette(nearest[where].reshape(code.shape), palette)


def dithered(pixels: np.ndarray) -> Any:
    """The image in 255 colours chosen for photographs, and white."""
    from PIL import Image

    image = Image.fromarray(pixels)
    reduced = image.quantize(255, method=Image.Quantize.MEDIANCUT)
    index = np.array(image.quantize(palette=reduced, dither=Image.Dither.FLOYDSTEINBERG))
    palette = np.array(reduced.getpalette()[: 3 * 255]).reshape(-1, 3)
    index[(pixels == 255).all(-1)] = len(palette)
    return with_palette(index, np.concatenate([palette, [[255] * 3]]))


def with_palette(index: np.ndarray, palette: np.ndarray) -> Any:
    from PIL import Image

    image = Image.fromarray(index, "P")
    image.putpalette(palette.astype(np.uint8).tobytes())
    return image
