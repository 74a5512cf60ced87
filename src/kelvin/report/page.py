"""The page: one file that opens from disk. Its script only sorts tables."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kelvin.report.kit.style import Figure
from kelvin.report.kit.table import Table, number
from kelvin.report.results import Results

COLUMNS = 8  # of a table on the page; its .csv has all
NUMBER = re.compile(r"−?[\d,]*\d(\.\d*)?(e[-+]\d+)?")
SENTENCES = re.compile(r"(?<=\.) (?=[A-Z–±x])")  # between two of them
POINT, DIGIT = "\u2008", "\u2007"  # spaces as wide as a full stop, and as a digit


class Captions:
    """The sentences that the page has shown so far, so that a caption does not repeat them."""

    def __init__(self) -> None:
        self.sentences: set[str] = set()

    def once(self, text: str) -> str:
        first, *others = re.split(SENTENCES, text)
        sentences = [first, *(s for s in dict.fromkeys(others) if s not in self.sentences)]
        self.sentences.update(others)
        return " ".join(sentences)


def page_figure(figure: Figure, captions: Captions) -> dict[str, Any]:
    data = base64.b64encode(figure.png).decode("ascii")
    return {"name": figure.name, "caption": captions.once(figure.caption), "alt": figure.alt,
            "width": figure.width, "height": figure.height, "source": f"data:image/png;base64,{data}"}


def page_table(table: Table, captions: Captions) -> dict[str, Any]:
    """A table for the page: name and FMD first, at most `COLUMNS` columns, rows by FMD; what stands in
    brackets goes on a line of its own, and a dotted key may be broken at its dots."""
    titles = [column.title for column in table.columns]
    fmd = next((i for i, title in enumerate(titles) if i and title.startswith("FMD")), None)
    rest = [titles.index(t) for t in table.page if t in titles] or range(1, len(titles))
    places = list(dict.fromkeys([0, *([] if fmd is None else [fmd]), *rest]))[:COLUMNS]
    rows = list(zip(table.rows, table.cells(), strict=True))
    if all(row.get("fmd") is not None for row in table.rows):
        rows.sort(key=lambda pair: pair[0]["fmd"])
    split = [[(*cells[i][0].partition(" [")[::2], cells[i][1]) for i in places] for _, cells in rows]
    for k in range(1, len(places)):
        texts = aligned([cells[k][0] for cells in split])
        for cells, text in zip(split, texts, strict=True):
            cells[k] = (text, *cells[k][1:])
    head, *notes = re.split(SENTENCES, captions.once(" ".join([table.caption, *table.notes])))
    return {"name": table.name, "caption": head, "notes": " ".join(notes), "all": len(titles),
            "columns": [titles[i].replace(".", ".\u200b").partition(" [")[::2] for i in places],
            "rows": split, "fmd": fmd is not None}


def aligned(texts: Sequence[str]) -> list[str]:
    """Numbers of one column padded on the right, so that their decimal points stand below one another;
    as they are where a cell is more than a number."""
    if not all(NUMBER.fullmatch(text) or text in ("–", "n/a", "") for text in texts):
        return list(texts)
    decimals = [len(t.partition(".")[2]) if NUMBER.fullmatch(t) else -1 for t in texts]
    most = max(decimals, default=0)
    pads = [POINT * (d <= 0 < most and "." not in t) + DIGIT * (most - max(d, 0))
            for t, d in zip(texts, decimals, strict=True)]
    return [text + pad if d >= 0 else text for text, pad, d in zip(texts, pads, decimals, strict=True)]


def dataset_facts(results: Results) -> list[tuple[str, str]]:
    """(title, text) of the data, the classifier, the reference and the scale of FMD."""
    manifest, about = results.store.manifest, results.calibration
    shape, sizes, seeds = manifest["image_shape"], manifest["sizes"], results.replicates
    return [
        ("Images", f"{sum(sizes.values()):,}: " + ", ".join(
            f"{n:,} {part}" for part, n in sizes.items())),
        ("Size", f"{shape[1]}×{shape[2]}, {'grey' if shape[0] == 1 else 'RGB'}, "
                 f"{manifest['grey_levels']} levels, {len(manifest['classes'])} classes"),
        ("Licence", manifest["licence"]),
        ("Checksum", f"SHA-256 {results.store.digest}"),
        ("Classifier", f"{100 * results.classifier['accuracy']:.1f} % right on "
                       f"{results.classifier['n']:,} test images; FMD is measured in its "
                       f"{results.classifier['features']} penultimate features ({about['extractor']})"),
        ("Reference", f"{about['reference_n']:,} images ({about['reference'].replace('+', ' + ')})"),
        ("Samples scored", f"n = {about['n']:,} of every run"),
        ("Floor", f"FMD {number(about['floor'])} ± {number(about['floor_sd'])}: mean ± standard "
                  f"deviation of {about['floor_draws']} draws of {about['n']:,} held-out real images"),
        ("Ceiling", f"FMD {number(about['ceiling'])}: black images"),
        ("Training seeds", f"{len(seeds)} ({', '.join(map(str, seeds))})"
                           + f"; pictures are of {seeds[0]}" * (len(seeds) > 1)),
        ("Scale", results.plan.scale)]


def render(context: Mapping[str, Any]) -> str:
    """The page as HTML; every text is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folder = Path(__file__).parent
    environment = Environment(loader=FileSystemLoader(folder), autoescape=True, trim_blocks=True,
                              lstrip_blocks=True, undefined=StrictUndefined)
    return environment.get_template("template.html.j2").render(context) + "\n"
