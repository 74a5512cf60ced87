"""Every part that params.yaml names, checked before any stage works."""

from __future__ import annotations

from kelvin import degradations, networks
from kelvin.config.resolve import Params
from kelvin.config.schema import RunConfig
from kelvin.degradations.graded import growths
from kelvin.degradations.schedules import check_schedule
from kelvin.errors import KelvinError
from kelvin.networks.classifier import pool_side
from kelvin.restoration import samplers
from kelvin.restoration.objectives import build_weights, check_weighting
from kelvin.restoration.parameterisation import PARAMETERISATIONS
from kelvin.restoration.parameterisation import check as check_target
from kelvin.restoration.rules import check_rule
from kelvin.restoration.variance import check as check_variance


def check(params: Params) -> None:
    """KelvinError for the first option, target, sampler or width that has no meaning, active or not."""
    pool_side(params.classifier.channels, params.classifier.features)
    for name, section in params.house.samplers.items():
        samplers.check(section.model_dump(), f"samplers.{name}")
    for name, run in params.runs.items():
        check_run(params, name, run)
    for name, study in params.house.studies.items():
        if study.kind == "grid":
            check_grid(params, name, study.runs)


def check_grid(params: Params, study: str, names: list[str]) -> None:
    """One run a cell of parameterisation and schedule."""
    cells: dict[tuple[str, str], str] = {}
    for name in names:
        run = params.run(name)
        cell = run.restorer.parameterisation, run.schedule.model_dump_json()
        if cell in cells:
            raise KelvinError(f"studies.{study}.runs puts {cells[cell]} and {name} into one cell: both "
                              f"predict {cell[0]} under the same {run.schedule.kind} schedule; name one "
                              "of them")
        cells[cell] = name


def check_run(params: Params, name: str, run: RunConfig) -> None:
    for registry, key in ((degradations.degradations, "degradation"),
                          (degradations.priors, "prior"), (networks.networks, "network"),
                          (networks.conditionings, "conditioning")):
        registry.check(getattr(run, key).model_dump(), f"runs.{name}.{key}")
    schedule = run.schedule.model_dump()
    check_one = growths.check if schedule["kind"] in growths.kinds() else check_schedule
    check_one(schedule, f"runs.{name}.schedule")
    process = degradations.degradations.find(run.degradation.kind)
    targets = process.parameterisations
    if run.restorer.parameterisation not in targets:
        raise KelvinError(f"runs.{name}.restorer.parameterisation = {run.restorer.parameterisation!r} "
                          f"has no meaning for {run.degradation.kind}; it takes {', '.join(targets)}")
    check_rule(run.restorer.rule, run.restorer.parameterisation, f"runs.{name}.restorer.rule")
    check_variance(run.restorer.variance, process.temperature, schedule["steps"], run.degradation.kind,
                   f"runs.{name}.restorer.variance")
    check_weighting(run.training.weighting.model_dump(), run.training.loss, process,
                    run.degradation.kind, f"runs.{name}.training")
    if process.temperature == "hot":
        check_table(run, f"runs.{name}")
    if run.sampling.epoch_images < params.metrics.small.images:
        raise KelvinError(f"runs.{name}.sampling.epoch_images = {run.sampling.epoch_images} is less than "
                          f"metrics.small.images = {params.metrics.small.images}, which are scored of "
                          "them")
    for sampler in (*run.sampling.samplers, run.sampling.epoch_sampler):
        steps = params.sampler(sampler).get("steps", "all")
        if steps != "all" and steps > schedule["steps"]:
            raise KelvinError(f"samplers.{sampler}.steps = {steps} is more than runs.{name}."
                              f"schedule.steps = {schedule['steps']}; name another sampler in "
                              f"runs.{name}.sampling")


def check_table(run: RunConfig, where: str) -> None:
    """KelvinError where the table of a hot process leaves no signal that target, rule or weighting divide
    by."""
    image = degradations.ImageSpec(1, 8, 8, run.restorer.low, run.restorer.high)  # its size is no matter
    process = degradations.degradations.build(run.degradation.model_dump(), image,
                                              run.schedule.model_dump())
    check_target(run.restorer.parameterisation, process, f"{where}.restorer.parameterisation")
    check_rule(run.restorer.rule, run.restorer.parameterisation, f"{where}.restorer.rule", process)
    build_weights(run.training.weighting.model_dump(), process,
                  PARAMETERISATIONS[run.restorer.parameterisation], f"{where}.training")
