"""The file as it is written: its sections as types, and every name in it defined once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from kelvin.common.errors import KelvinError
from kelvin.config.entries import House, Record
from kelvin.config.sentences import choices, place, sentences
from kelvin.config.vary import Variant, points

ENTRIES = ("datasets", "scales", "samplers", "runs", "studies", "records")
STAND_INS = {"seed": 0, "threads": 1, "replicates": [0], "classifier": {}, "metrics": {}, "defaults": {},
             "every": ["ddim-50"]}


def house(raw: Any, lines: list[str]) -> House | None:
    """The file without its wrong entries; `lines` gets their faults.

    None where nothing else can be checked: dataset, scale or the like is missing or undefined.
    """
    if not isinstance(raw, Mapping):
        lines.append("it holds no keys; bring it back by git checkout params.yaml")
        return None
    try:
        whole = House.model_validate(raw)
    except ValidationError as error:
        lines += sentences(error.errors(include_url=False), raw)
        try:
            whole = House.model_validate(without(raw, error))
        except ValidationError:
            return None
    lines += name_faults(whole, raw)
    if whole.dataset not in whole.datasets or whole.scale not in whole.scales:
        return None
    defined = {*whole.runs, *variants(whole, lines)}
    return whole.model_copy(update={"active": [name for name in whole.active if name in defined]})


def variants(house: House, lines: list[str]) -> dict[str, Variant]:
    """{name: point} of every record's grid; `lines` gets what is wrong with them. Records may share
    points: one run then serves both."""
    out: dict[str, Variant] = {}
    for record, entry in house.records.items():
        if not entry.vary:
            continue
        try:
            grid = points(record, [run for run in entry.runs if run in house.runs], entry.vary)
        except KelvinError as error:
            lines.append(str(error))
            continue
        for name, point in grid.items():
            if len(name) > 80:
                lines.append(f"records.{record}.vary makes the run {name!r}: a name has at most 80 "
                             "letters; vary fewer keys")
            elif name in house.runs:
                lines.append(f"records.{record}.vary makes the run {name!r}, which is in runs already")
            elif name in out and (out[name].run, out[name].values) != (point.run, point.values):
                lines.append(f"records.{record}.vary and records.{out[name].record}.vary both make a run "
                             f"{name!r}, of other keys")
            else:
                out.setdefault(name, point)
    return out


def without(raw: Mapping[str, Any], error: ValidationError) -> dict[str, Any]:
    """`raw` without the entries that the error is about."""
    out = {key: dict(value) if key in ENTRIES and isinstance(value, Mapping) else value
           for key, value in raw.items()}
    for complaint in error.errors(include_url=False):
        key, *inner = place(complaint, raw) or complaint["loc"][:1]
        if key in STAND_INS:
            out[key] = STAND_INS[key]
        elif inner and isinstance(out.get(key), dict):
            out[key].pop(inner[0], None)
        elif key not in House.model_fields:
            out.pop(key, None)
    return out


def name_faults(house: House, raw: Mapping[str, Any]) -> list[str]:
    """Names that are used but not defined, or listed twice.

    raw: the whole file; an entry that it has and `house` has not is wrong, not undefined.
    """
    h, lines = house, []
    datasets, scales, runs, studies = (raw[key] for key in ("datasets", "scales", "runs", "studies"))
    all_runs = {*runs, *variants(h, [])}
    if h.blend == h.dataset:
        lines.append(f"blend and dataset both name {h.dataset!r}: morphing needs images of another data "
                     "set")
    for key, names, defined in (("dataset", [h.dataset], datasets), ("blend", [h.blend], datasets),
                                ("scale", [h.scale], scales), ("active", h.active, all_runs),
                                ("every", h.every, raw["samplers"])):
        lines += [f"{key} names {name!r}, which is not defined; known are {choices(name, defined)}"
                  for name in names if name not in defined]
    for study, entry in h.studies.items():
        lines += [f"studies.{study}.runs names {name!r}, which is not in runs"
                  for name in entry.runs if name not in runs]
    for record, entry in h.records.items():
        listed = [] if entry.runs == "all" else entry.runs or []
        samplers = [name for names in entry.samplers.values() for name in names]
        for kind, names, defined in (("runs", listed, runs), ("studies", entry.studies, studies),
                                     ("samplers", samplers, raw["samplers"])):
            lines += [f"records.{record}.{kind} names {name!r}, which is not in {kind}"
                      for name in names if name not in defined]
        lines += [f"records.{record}.samplers is of {name!r}, which is none of its runs"
                  for name in entry.samplers if name not in listed]
        if (tuner := entry.tuned_by) is None:
            continue
        if tuner not in raw["records"]:
            lines.append(f"records.{record}.tuned_by = {tuner!r} is not in records")
        elif tuner in h.records and (both := set(entry.replicates) & set(h.records[tuner].replicates)):
            lines.append(f"records.{record}.replicates holds {min(both)}, which is a seed of "
                         f"records.{tuner}, that tuned it; take others")
    for key, entries in (("active", h.active), ("replicates", h.replicates)):
        if len(set(entries)) < len(entries):
            lines.append(f"{key} names an entry twice")
    for name, run in h.runs.items():
        lines += [f"runs.{name}.scales names {scale!r}, which is not in scales"
                  for scale in run.scales if scale not in scales]
    return lines + folder_faults(h.records)


def folder_faults(records: Mapping[str, Record]) -> list[str]:
    """Records that would be written over, or inside, one another."""
    lines = []
    for name, entry in records.items():
        for other, earlier in records.items():
            if other == name:
                break
            if f"{entry.folder}/".startswith(f"{earlier.folder}/") \
                    or f"{earlier.folder}/".startswith(f"{entry.folder}/"):
                lines.append(f"records.{name}.folder = {entry.folder!r} is, holds or lies in that of "
                             f"records.{other}, {earlier.folder!r}; give each its own")
    return lines
