"""Scores as one HTML page with sample grids."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping

import numpy as np

from kelvin.scoring.results import HEAD, Scores, notes, rows


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
