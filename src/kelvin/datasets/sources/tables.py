"""A CSV with a value for each file: its columns are `file` and one more."""

import csv
import io
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kelvin.common.errors import KelvinError
from kelvin.config.sentences import excerpt
from kelvin.datasets.sources.archives import Tree
from kelvin.datasets.sources.walk import printable, spelt


@dataclass(frozen=True)
class Table:
    """values: {file as the table names it: value}; place: as the user named it."""

    place: str
    values: Mapping[str, str]

    def find(self, names: Mapping[str, Sequence[str]]) -> dict[str, str]:
        """{file: its row}, by any of the names given, else by its own name, with suffix or without.

        A file's own name counts only where no other file has it. Files without a row are missing.
        """
        own = {file: file.split("/")[-1] for file in names}
        spellings = {file: [*aliases, own[file], own[file].rpartition(".")[0]]
                     for file, aliases in names.items()}  # fmt: skip
        often = [Counter(forms[i] for forms in spellings.values()) for i in (-2, -1)]
        rows = {}
        for file, forms in spellings.items():
            sure = [*forms[:-2], *(name for name, count in zip(forms[-2:], often, strict=True)
                                   if count[name] == 1)]  # fmt: skip
            row = next((key for key in map(_key, sure) if key in self.values), None)
            if row is not None:
                rows[file] = row
        return rows

    def unused(self, rows: Mapping[str, str]) -> list[str]:
        """Rows that name no file."""
        used = set(rows.values())
        return [row for row in self.values if row not in used]


def table_place(table: str, data: Path) -> Path | None:
    """Where a CSV lies: beside the data, in its folder, or below the working folder; None for nowhere."""
    places = [data.parent / str(table), data / str(table), Path(str(table))]
    return next((place for place in map(spelt, places) if place and place.is_file()), None)


def read_table(table: str, tree: Tree, column: str, key: str) -> Table:
    """The table as UTF-8 with the columns `file` and `column`; key names the entry in messages.

    It may also lie in the archive itself.
    """
    place = table_place(table, tree.path)
    try:
        if place is not None:
            content = place.read_bytes()
        elif str(table) in tree.files:
            place, content = f"{tree.path}/{table}", tree.read(str(table))
        else:
            raise KelvinError(
                f"{key}: csv {table!r} was not found in {tree.path.parent}, in {tree.path.name} or the "
                "working folder; put it there"
            )
        text = content.decode("utf-8-sig")
        # In strict mode a quote that is never closed is an error, not one long cell.
        text, delimiter = _separated(text)
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        header, *rows = [row for row in lines if any(cell.strip() for cell in row)] or [[]]
    except KelvinError:
        raise
    except (OSError, ValueError, csv.Error) as error:
        advice = "save it as UTF-8" if isinstance(error, UnicodeDecodeError) else "save it again"
        raise KelvinError(f"{key}: {place} is no readable CSV ({error}); {advice}") from error
    header = [name.strip().casefold() for name in header]
    if not rows or not {"file", column} <= set(header):
        raise KelvinError(f"{key}: {place} needs a header with the columns file and {column}, and rows")
    for name in ("file", column):
        if header.count(name) > 1:
            raise KelvinError(f"{key}: {place} has the column {name} twice; keep one")
    return Table(printable(str(table)), _values(header, rows, column, key, place))


def _values(header: list[str], rows: Iterable[list[str]], column: str, key: str, place: Any
            ) -> dict[str, str]:
    values: dict[str, str] = {}
    for row in rows:
        if len(row) > len(header) and any(cell.strip() for cell in row[len(header):]):
            # A comma within a label cuts it, unless it is in quotes.
            raise KelvinError(
                f"{key}: {place} has a row of {len(row)} cells under {len(header)} columns: "
                f"{excerpt(row)}; put a cell that holds the separator in quotes"
            )
        cells = dict(zip(header, row, strict=False))
        name, value = _key(cells.get("file", "")), cells.get(column, "").strip()
        if not name or not value:
            raise KelvinError(
                f"{key}: {place} has a row without file or {column}: {excerpt(row)}; complete it"
            )
        if values.setdefault(name, value) != value:
            raise KelvinError(
                f"{key}: {place} puts {name!r} in {values[name]!r} and in {value!r}; keep one"
            )
    return values


def _separated(text: str) -> tuple[str, str]:
    """The table, and what its cells are separated by: what a first line `sep=;` says (as Excel writes
    it, and which is no row), else what makes `file` a cell of the first line that is not empty."""
    text = text.lstrip("\r\n \ufeff")
    first, _, rest = text.partition("\n")
    said = first.strip().casefold()
    if said.startswith("sep=") and len(said) == 5:
        return rest, said[4]
    cells = {mark: [cell.strip().strip('"').casefold() for cell in first.split(mark)] for mark in ",;\t|"}
    return text, max(cells, key=lambda mark: ("file" in cells[mark], len(cells[mark])))


def _key(name: str) -> str:
    """One spelling of a file's name: letters in NFC, forward slashes, no leading ./"""
    return unicodedata.normalize("NFC", printable(name.strip())).replace("\\", "/").removeprefix("./")
