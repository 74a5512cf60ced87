"""The page: one self-contained file that opens from disk and needs no script."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kelvin.report.kit.style import Figure
from kelvin.report.kit.table import Table, number
from kelvin.report.results import Results


def embedded(figure: Figure) -> dict[str, Any]:
    data = base64.b64encode(figure.png).decode("ascii")
    return {"name": figure.name, "caption": figure.caption, "width": figure.width,
            "height": figure.height, "source": f"data:image/png;base64,{data}"}


def shown(table: Table) -> dict[str, Any]:
    """A table for the page: what stands in brackets goes on a line of its own, a dotted key may be
    broken at its dots, and a run is named once where several rows are its own."""
    rows, last = [], None
    for cells in table.cells():
        (first, _), *rest = cells
        rows.append([("" if first == last else first, "", False),
                     *((*text.partition(" [")[::2], bold) for text, bold in rest)])
        last = first
    columns = [column.title.replace(".", ".\u200b").partition(" [")[::2] for column in table.columns]
    return {"name": table.name, "caption": table.caption, "notes": table.notes, "columns": columns,
            "rows": rows}


def dataset_facts(results: Results) -> list[tuple[str, str]]:
    """What the numbers rest on."""
    manifest, about = results.store.manifest, results.calibration
    shape, sizes = manifest["image_shape"], manifest["sizes"]
    test = results.classifier
    seeds = results.replicates
    return [
        ("Images", f"{sum(sizes.values()):,}: " + ", ".join(
            f"{n:,} {part}" for part, n in sizes.items())),
        ("Size", f"{shape[1]}×{shape[2]}, {'grey' if shape[0] == 1 else 'RGB'}, "
                 f"{manifest['grey_levels']} levels, {len(manifest['classes'])} classes"),
        ("Licence", manifest["licence"]),
        ("Checksum", f"SHA-256 {results.store.digest}"),
        ("Classifier", f"{100 * test['accuracy']:.1f} % right on {test['n']:,} test images; its "
                       f"{test['features']} penultimate features are what FMD is measured in "
                       f"({about['extractor']})"),
        ("Reference", f"{about['reference_n']:,} images ({about['reference'].replace('+', ' + ')})"),
        ("Samples scored", f"n = {about['n']:,} of every run"),
        ("Floor", f"FMD {number(about['floor'])} ± {number(about['floor_sd'])}: mean ± standard "
                  f"deviation of {about['floor_draws']} draws of {about['n']:,} held-out real images"),
        ("Ceiling", f"FMD {number(about['ceiling'])}: black images"),
        ("Training seeds", f"{len(seeds)} ({', '.join(map(str, seeds))})"
                           + f"; pictures are of {seeds[0]}" * (len(seeds) > 1)),
        ("Scale", results.plan.scale)]


def render(context: Mapping[str, Any]) -> str:
    """The page; every text is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folder = Path(__file__).parent
    environment = Environment(loader=FileSystemLoader(folder), autoescape=True, trim_blocks=True,
                              lstrip_blocks=True, undefined=StrictUndefined)
    return environment.get_template("template.html.j2").render(context) + "\n"
