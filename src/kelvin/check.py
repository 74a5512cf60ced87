"""Every part that params.yaml names, checked before any stage works: all faults at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kelvin import degradations, networks
from kelvin.config.effect import refuse_idle_edit
from kelvin.config.explain import places
from kelvin.config.resolve import Params, read, refusal
from kelvin.config.schema import RunConfig
from kelvin.degradations.graded import growths
from kelvin.degradations.schedules import check_schedule
from kelvin.errors import KelvinError
from kelvin.networks.classifier import pool_side
from kelvin.restoration.objectives import check_weighting
from kelvin.restoration.parameterisation import check_signal
from kelvin.restoration.rules import check_rule
from kelvin.restoration.samplers import samplers
from kelvin.restoration.variance import check as check_variance

# "runs.a.network.blocks" of a sentence about that one value: it may be written in a layer below
VALUE = re.compile(r"runs\.[\w-]+\.(?P<key>[\w.-]+)(?=( is not a known parameter| = ))")


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
        lines += told(lambda: pool_side(config.channels, config.features))
    for name, section in params.house.samplers.items():
        lines += told(lambda name=name, section=section:
                      samplers.check(section.model_dump(), f"samplers.{name}"))
    odd: dict[str, list[str]] = {}
    for name, run in params.runs.items():
        def at(scale: str, name: str = name) -> list[str]:
            other, _, _ = params.resolved(name, scale)
            return [] if other is None else run_faults(params, name, other)

        odd[name] = params.lasting(name, run_faults(params, name, run), at)
    lines += params.by_cause(odd)
    for name, study in params.house.studies.items():
        if study.kind == "grid":
            lines += grid_faults(params, name, study.runs)
    return list(dict.fromkeys(lines))


def told(check: Callable[[], Any]) -> list[str]:
    """The lines of the KelvinError that a check raises; [] where it raises none."""
    try:
        check()
    except KelvinError as error:
        return str(error).splitlines()
    return []


def grid_faults(params: Params, study: str, names: list[str]) -> list[str]:
    """Runs of one cell of parameterisation and schedule: a grid has one run a cell."""
    cells: dict[tuple[str, str], str] = {}
    lines = []
    for name in names:
        if (run := params.runs.get(name)) is None:
            continue
        cell = run.restorer.parameterisation, run.schedule.model_dump_json()
        if cell in cells:
            lines.append(f"studies.{study}.runs puts {cells[cell]} and {name} into one cell: both predict"
                         f" {cell[0]} under the same {run.schedule.kind} schedule; name one of them")
        cells.setdefault(cell, name)
    return lines


def run_faults(params: Params, name: str, run: RunConfig) -> list[str]:
    """What is wrong with the parts of a run, and if nothing is, with how they go together."""
    if lines := option_faults(name, run):
        written = places(params.layers(name))
        return [in_its_layer(line, written) for line in lines]
    return together_faults(params, name, run)


def option_faults(name: str, run: RunConfig) -> list[str]:
    lines: list[str] = []
    for registry, key in ((degradations.degradations, "degradation"), (degradations.priors, "prior"),
                          (networks.networks, "network"), (networks.conditionings, "conditioning")):
        lines += told(lambda registry=registry, key=key:
                      registry.check(getattr(run, key).model_dump(), f"runs.{name}.{key}"))
    schedule = run.schedule.model_dump()
    check_one = growths.check if schedule["kind"] in growths.kinds() else check_schedule
    return lines + told(lambda: check_one(schedule, f"runs.{name}.schedule"))


def in_its_layer(line: str, written: Mapping[tuple[str, ...], str]) -> str:
    """A sentence about one value, with the key under which the value is written."""
    match = VALUE.match(line)
    key = match["key"] if match else ""
    place = written.get(tuple(key.split(".")))
    return line if place is None else f"{place}.{key}{line[match.end():]}"


def together_faults(params: Params, name: str, run: RunConfig) -> list[str]:
    at, schedule = f"runs.{name}", run.schedule.model_dump()
    process = degradations.degradations.find(run.degradation.kind)
    targets = process.parameterisations
    target, kind = run.restorer.parameterisation, run.degradation.kind
    lines = []
    if target not in targets:
        lines.append(f"{at}.restorer.parameterisation = {target!r} has no meaning for {kind}; it takes "
                     f"{', '.join(targets)}")
    lines += told(lambda: check_rule(run.restorer.rule, target, f"{at}.restorer.rule"))
    lines += told(lambda: check_signal(target, bool(schedule.get("zero_terminal_snr")),
                                       f"{at}.restorer.parameterisation"))
    lines += told(lambda: check_variance(run.restorer.variance, process.temperature, schedule["steps"],
                                         kind, f"{at}.restorer.variance"))
    lines += told(lambda: check_weighting(run.training.weighting.model_dump(), run.training.loss, process,
                                          kind, f"{at}.training"))
    small = None if params.metrics is None else params.metrics.small
    if small is not None and run.sampling.epoch_images < small.images and name in params.house.active:
        lines.append(f"{at}.sampling.epoch_images = {run.sampling.epoch_images} is less than "
                     f"metrics.small.images = {small.images}, which are scored of them")
    for sampler in dict.fromkeys((*run.sampling.samplers, run.sampling.epoch_sampler)):
        section = params.house.samplers.get(sampler)
        steps = "all" if section is None else section.model_dump().get("steps", "all")
        if isinstance(steps, int) and steps > schedule["steps"]:
            lines.append(f"samplers.{sampler}.steps = {steps} is more than {at}.schedule.steps = "
                         f"{schedule['steps']}; name another sampler in {at}.sampling")
    return lines
