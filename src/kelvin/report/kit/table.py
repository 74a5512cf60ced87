"""A table: raw rows, written as .csv, and as Markdown, LaTeX and cells of the page."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from kelvin.common.files import rounded

Row = dict[str, Any]
NOTHING = "–"


def number(value: Any, digits: int = 3) -> str:
    """A value with 3 significant digits; n/a for None."""
    if value is None:
        return "n/a"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if not isinstance(value, float):
        return str(value)
    if value == 0:
        return "0"
    if 10 ** digits - 0.5 <= abs(value) < 1e7:  # rounded, it has more digits than those asked for
        return f"{value:,.0f}".replace("-", "−")
    text = f"{value:#.{digits}g}".rstrip(".")
    return text if "e" in text else text.replace("-", "−")


def fixed(value: Any) -> str:
    """Four decimals: normalised values, which are read against 0 and 1."""
    return number(value) if value is None else f"{value:.4f}".replace("-", "−")


def span(row: Row, key: str, show: Callable[[Any], str] = number) -> str:
    """value [low, high], or the value alone where there is no interval."""
    low, high = row.get(f"{key}_low"), row.get(f"{key}_high")
    if row.get(key) is None or low is None or high is None:
        return show(row.get(key))
    return f"{show(row[key])} [{show(low)}, {show(high)}]"


def with_error(row: Row, key: str) -> str:
    """value ± standard error."""
    return f"{number(row[key])} ± {number(row[f'{key}_se'], 2)}"


@dataclass(frozen=True)
class Column:
    """A column of a table. show: the cell's text; best: min or max, of row[key], which is bold."""

    title: str
    show: Callable[[Row], str]
    key: str = ""
    best: str = ""  # min or max of row[key]: bold, among rows that compete


@dataclass(frozen=True)
class Table:
    """rows: raw values, all of them in the .csv. competes: rows that a bold value is chosen among;
    bold_within: the key of the group that it is chosen within; page: titles of the columns that the page
    shows after the name and FMD, where there are more than it has room for."""

    name: str
    caption: str
    columns: list[Column]
    rows: list[Row]
    competes: Callable[[Row], bool] = lambda row: True
    bold_within: str = ""
    notes: list[str] = field(default_factory=list)
    page: Sequence[str] = ()

    def cells(self) -> list[list[tuple[str, bool]]]:
        """(text, bold) by row and column."""
        return [[(column.show(row), self._is_best(column, row)) for column in self.columns]
                for row in self.rows]

    def _is_best(self, column: Column, row: Row) -> bool:
        if not column.best or not self.competes(row) or row.get(column.key) is None:
            return False
        rivals = [r[column.key] for r in self.rows if self.competes(r)
                  and r.get(column.key) is not None
                  and (not self.bold_within or r[self.bold_within] == row[self.bold_within])]
        best = min(rivals) if column.best == "min" else max(rivals)
        return len(rivals) > 1 and rounded(float(row[column.key])) == rounded(float(best))

    def csv(self) -> str:
        keys = list(dict.fromkeys(key for row in self.rows for key in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, keys, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rounded(self.rows))
        return text.getvalue()

    def markdown(self) -> str:
        def line(cells: list[str]) -> str:
            return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

        lines = [line([c.title for c in self.columns]), line(["---"] * len(self.columns))]
        lines += [line([f"**{text}**" if bold else text for text, bold in row])
                  for row in self.cells()]
        return "\n".join([*lines, "", self.caption, *(f"\n{note}" for note in self.notes)]) + "\n"

    def latex(self) -> str:
        """A booktabs tabular; needs \\usepackage{booktabs}."""
        body = [" & ".join(tex(c.title) for c in self.columns) + r" \\", r"\midrule"]
        body += [" & ".join(rf"\textbf{{{tex(text)}}}" if bold else tex(text) for text, bold in row)
                 + r" \\" for row in self.cells()]
        notes = [f"% {line}" for line in (self.caption, *self.notes)]
        return "\n".join([*notes, rf"\begin{{tabular}}{{l{'r' * (len(self.columns) - 1)}}}",
                          r"\toprule", *body, r"\bottomrule", r"\end{tabular}"]) + "\n"

    def files(self) -> dict[str, str]:
        """File name -> text."""
        return {f"{self.name}.csv": self.csv(), f"{self.name}.md": self.markdown(),
                f"{self.name}.tex": self.latex()}


TEX = {"\\": r"\textbackslash{}", "−": "$-$", "±": r"$\pm$", "–": "--", "²": "$^2$", "α": r"$\alpha$",
       "·": r"$\cdot$", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
       **{c: "\\" + c for c in "&%$#_{}"}}


def tex(text: str) -> str:
    return "".join(TEX.get(c, c) for c in text)
