"""Scores as text for a terminal, and as one page with sample grids."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from kelvin.scoring.images import words

if TYPE_CHECKING:
    from kelvin.scoring.score import FeatureScore, Scores

TITLES = {"pixels": "pixels", "random": "random network", "inception": "Inception (FID)"}
HEAD = ("images", "n", "features", "FD", "95 % interval", "floor at n", "KID x 1000", "precision", "recall",
        "density", "coverage", "copies")
ABOUT = (
    "FD: squared Fréchet distance to all real images, lower is nearer; its interval is over the images at "
    "this n. Floor: the same of n real images against half of the others; equal n alone compare. KID: "
    "kernel distance. Precision and recall, density and coverage: 3 nearest neighbours. Copies: nearer to a "
    "real image than all but 1 % of real images are to one another.")


def number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.4g}"


def row(name: str, n: int, copies: float, f: FeatureScore) -> tuple[str, ...]:
    floor = "n/a" if f.floor is None else f"{number(f.floor)} ± {number(f.floor_sd)}"
    kid = "n/a" if f.kid is None else (
        f"{1000 * f.kid:.3g} [{1000 * f.kid_low:.3g}, {1000 * f.kid_high:.3g}]")
    return (name, f"{n:,}", TITLES[f.features], number(f.fd), f"{number(f.fd_low)} to {number(f.fd_high)}",
            floor, kid, *(number(v) for v in (f.precision, f.recall, f.density, f.coverage)),
            "n/a" if copies is None else f"{100 * copies:.1f} %")


def rows(scores: Scores) -> list[tuple[str, ...]]:
    return [row(s.name, s.n, s.copies, f) for s in scores.sets for f in s.by_features]


def table(scores: Scores) -> str:
    """A table whose columns are aligned, and what its columns mean."""
    lines = [HEAD, *rows(scores)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines]
    return "\n".join([text[0], "-" * len(text[0]), *text[1:], "", *notes(scores)])


def notes(scores: Scores) -> list[str]:
    real = f"Against {scores.real}: " + (
        f"{scores.real_n:,} images, {words(scores.shape)}." if scores.real_n else "published mu and sigma.")
    return [real, ABOUT, *([scores.fid_why] if scores.fid_why else [])]


def page(scores: Scores, grids: Mapping[str, np.ndarray]) -> str:
    """One HTML page, without anything from elsewhere. grids: {name: images (k, C, H, W) uint8}."""
    cells = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in line) + "</tr>"
                    for line in rows(scores))
    head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in HEAD)
    pictures = "".join(
        f'<figure><img alt="{len(images)} images of {html.escape(name)}" src="{_png(images)}">'
        f"<figcaption>{html.escape(name)}</figcaption></figure>" for name, images in grids.items())
    text = "".join(f"<p>{html.escape(line)}</p>" for line in notes(scores))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Kelvin: scores</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .25rem .6rem; text-align: left; border-bottom: 1px solid #bbb; white-space: nowrap; }}
figure {{ display: inline-block; margin: 1rem 1rem 0 0; }}
img {{ image-rendering: pixelated; max-width: 100%; min-width: 16rem; }}
</style></head><body><h1>Scores against {html.escape(scores.real)}</h1>
<div class="wide" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{cells}</tbody></table></div>
{text}{pictures}</body></html>
"""


def _png(images: np.ndarray) -> str:
    """A grid of at most eight columns as a data URI."""
    from PIL import Image

    n, channels, height, width = images.shape
    columns = min(8, n)
    lines = -(-n // columns)
    sheet = np.full((lines * (height + 1) - 1, columns * (width + 1) - 1, channels), 255, np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * (height + 1), i % columns * (width + 1)
        sheet[top:top + height, left:left + width] = image.transpose(1, 2, 0)
    file = io.BytesIO()
    Image.fromarray(sheet if channels == 3 else sheet[..., 0]).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
