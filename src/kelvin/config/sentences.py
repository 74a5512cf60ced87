"""pydantic's complaints as sentences that name the user's key."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

WORD = re.compile(r"[\w.-]+", re.ASCII)  # a place may bring dots of its own
NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
FOLDER = r"^[A-Za-z0-9][A-Za-z0-9_-]*(/[A-Za-z0-9][A-Za-z0-9_-]*)*$"
PATTERNS = {
    NAME: "a name has at most 80 letters, digits, - and _, and begins with a letter or digit",
    FOLDER: "a folder below reports/reference is a name, or names with / between them"}
WIDTH = 60  # characters of a value at most
LISTED = 12  # names that are listed whole
Place = tuple[Any, ...]


def dotted(place: Sequence[Any]) -> str:
    """The key as a user writes it; a part that is no plain word is quoted, so that it fits one line."""
    return ".".join(str(part) if WORD.fullmatch(str(part)) else excerpt(part) for part in place)


def excerpt(value: Any) -> str:
    """A value in one line of at most 60 characters."""
    text = repr(value)
    return text if len(text) <= WIDTH else f"{text[:WIDTH - 3]}..."


def choices(name: Any, candidates: Iterable[str]) -> str:
    """The candidates, for the end of a sentence: the nearest to `name` where there are many."""
    names = sorted(candidates)
    if len(names) <= LISTED:
        return ", ".join(names)
    near = get_close_matches(str(name), names, n=5, cutoff=0) or names[:5]
    return f"{', '.join(near)} and {len(names) - len(near)} more"


def sentences(complaints: Iterable[Mapping[str, Any]], raw: Any,
              key_of: Callable[[Place], str] = dotted) -> list[str]:
    """A sentence for every value of `raw` that pydantic complains of.

    complaints: ValidationError.errors(). key_of: place -> the key to name it by. What pydantic says of
    the branches of a union is one sentence.
    """
    grouped: dict[Place, list[Any]] = {}
    for complaint in complaints:
        grouped.setdefault(place(complaint, raw), []).append(complaint)
    return [_sentence(at, complaints, key_of) for at, complaints in grouped.items()]


def place(complaint: Mapping[str, Any], raw: Any) -> Place:
    """Where in `raw` the complaint points: its location without pydantic's own names of types."""
    parts: list[Any] = []
    for part in complaint["loc"]:  # "constrained-int", "literal['all']" ... are nowhere in raw
        if isinstance(raw, Mapping):  # a key that is no text is located by its text or its number
            part = next((key for key in raw if key == part or str(key) == part), part)
        if isinstance(raw, Mapping) and part in raw or \
                isinstance(raw, list) and isinstance(part, int) and part < len(raw):
            raw = raw[part]
            parts.append(part)
    if complaint["type"].startswith("missing"):
        parts.append(complaint["loc"][-1])
    return tuple(parts)


def _sentence(at: Place, complaints: list[Any], key_of: Callable[[Place], str]) -> str:
    first = complaints[0]
    if first["type"] == "extra_forbidden":
        return f"{key_of(at)} is not a known parameter"
    if first["type"].startswith("missing"):
        return f"{key_of(at)} is missing"
    if "[key]" in first["loc"] or first["type"] == "invalid_key":
        return f"{key_of(at)}: {PATTERNS[NAME]}"
    reasons = list(dict.fromkeys(_reason(complaint) for complaint in complaints))
    message = ", or ".join([reasons[0], *(r.removeprefix("input should be ") for r in reasons[1:])])
    key = key_of(at)
    if first["type"] == "value_error" and isinstance(first["input"], Mapping):  # about its parts
        return f"{key}: {message}" if key else message
    return f"{key} = {excerpt(first['input'])}: {message}" if key else message


def _reason(complaint: Mapping[str, Any]) -> str:
    if complaint["type"] == "string_pattern_mismatch":
        return PATTERNS[complaint["ctx"]["pattern"]]
    message = complaint["msg"].removeprefix("Value error, ")
    message = re.sub(r" or instance of \w+$| after validation, not \d+$", "", message)
    return re.sub("^(Input|List|String) should", "input should", message).replace(
        "a valid dictionary", "a mapping of keys to values")
