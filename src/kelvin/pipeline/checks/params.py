"""Every part that params.yaml names, checked before any stage works: all faults at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kelvin.common.errors import KelvinError
from kelvin.config.effect import refuse_idle_edit
from kelvin.config.explain import places
from kelvin.config.resolve import Params, origin, read, refusal
from kelvin.config.schema import RunConfig
from kelvin.config.sizes import MOST_STEPS, number_faults
from kelvin.features.classifier_network import pool_side
from kelvin.pipeline.checks.run import lines_of, option_faults, together_faults
from kelvin.report.studies.base import studies
from kelvin.sampling.samplers import check as check_sampler

# "runs.a.network.blocks" of a sentence about that one value: it may be written in a layer below
VALUE = re.compile(r"runs\.[\w-]+\.(?P<key>[\w.-]+)(?=( is not a known parameter| = ))")
PROTOCOL = re.compile(r"(?P<section>metrics|classifier)\.(?P<key>[\w.]+)")


def checked_params(path: Path | str = "params.yaml") -> Params:
    """The file, resolved; KelvinError with a line for every fault of it, or for an edit that does
    nothing: what the first stage calls."""
    raw = read(path)
    lines = faults(raw)
    if lines:
        raise refusal(lines)
    params = Params(raw)
    refuse_idle_edit(Path(path), raw, params)
    return params


def faults(raw: Any) -> list[str]:
    """Everything that is wrong with a params.yaml, a line each; [] where nothing is."""
    lines: list[str] = []
    try:
        params = Params(raw, lines)
    except KelvinError:
        return list(dict.fromkeys(lines))
    return list(dict.fromkeys([*lines, *part_faults(params)]))


def check(params: Params) -> None:
    """KelvinError with a line for every option, target, sampler or width that has no meaning."""
    if lines := part_faults(params):
        raise refusal(lines)


def part_faults(params: Params) -> list[str]:
    """What is wrong with the parts that are named, and with what goes together: a line each.

    Options are checked of every run, active or not; of what goes together see Params.lasting.
    """
    lines: list[str] = []
    config = params.classifier
    if config is not None and config.features is not None:
        lines += [in_protocol_layer(line, params)
                  for line in lines_of(lambda: pool_side(config.channels, config.features))]
    for name, section in params.house.samplers.items():
        lines += lines_of(lambda name=name, section=section:
                          check_sampler(section.model_dump(), f"samplers.{name}")
                          ) or number_faults(section.model_dump(), f"samplers.{name}",
                                             {"steps": MOST_STEPS})
    odd: dict[str, list[str]] = {}
    points = {name: params.resolved(name, params.house.scale)[0] for name in params.variants}
    runs = params.runs | {name: run for name, run in points.items() if run is not None}
    for name, run in runs.items():
        def at(scale: str, name: str = name) -> list[str]:
            other, _, _ = params.resolved(name, scale)
            return [] if other is None else run_faults(params, name, other)

        odd[name] = params.lasting(name, run_faults(params, name, run), at)
    lines += params.by_cause(odd)
    lines += unread_options(params)
    for name, study in params.house.studies.items():
        if study.kind in studies.kinds():
            runs = {run: params.runs[run] for run in study.runs if run in params.runs}
            lines += studies.find(study.kind).faults(name, runs)
        else:
            lines.append(f"studies.{name}.kind = {study.kind!r}: no such kind of study; known are "
                         f"{', '.join(studies.kinds())}")
    return list(dict.fromkeys(lines))


def unread_options(params: Params) -> list[str]:
    """Options of parts that mean nothing at another scale; which of them a part takes is not asked."""
    lines = []
    for scale in (scale for scale in params.house.scales if scale != params.house.scale):
        for name in params.house.runs:
            run = params.resolved(name, scale)[0]
            if run is None:
                continue
            faults = [line for line in option_faults(name, run) if " is not a known parameter" not in line
                      and " is missing" not in line]
            written = places(params.layers(name, scale)) if faults else {}
            lines += [in_its_layer(line, written) for line in faults]
    return lines


def run_faults(params: Params, name: str, run: RunConfig) -> list[str]:
    """What is wrong with the parts of a run, and if nothing is, with how they go together."""
    if lines := option_faults(name, run):
        written = places(params.layers(name))
        return [in_its_layer(line, written) for line in lines]
    return together_faults(params, name, run)


def in_its_layer(line: str, written: Mapping[tuple[str, ...], str]) -> str:
    """A sentence about one value, with the key under which the value is written."""
    match = VALUE.match(line)
    key = match["key"] if match else ""
    parts = tuple(key.split("."))  # of a mapping in place of a value, the layer of its first key
    place = next((layer for path, layer in written.items() if path[:len(parts)] == parts), None)
    return line if place is None else f"{place}.{key}{line[match.end():]}"


def in_protocol_layer(line: str, params: Params) -> str:
    """A sentence about `metrics` or `classifier`, with the key under which the value is written."""
    match = PROTOCOL.match(line)
    if not match:
        return line
    section, key = match["section"], match["key"].rstrip(".")
    return origin(tuple(key.split(".")), places(params.protocol_layers(section)), section) \
        + line[len(f"{section}.{key}"):]
