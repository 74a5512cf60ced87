"""One run of params.yaml: its parts' options, and whether they go together, before any stage works."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kelvin import degradations, networks
from kelvin.common.errors import KelvinError
from kelvin.config.resolve import Params
from kelvin.config.schema import RunConfig
from kelvin.config.sizes import size_faults
from kelvin.degradations import ImageSpec
from kelvin.restoration.parameterisation import PARAMETERISATIONS
from kelvin.restoration.parameterisation import check as check_parameterisation
from kelvin.restoration.rules import check_rule
from kelvin.restoration.variance import check as check_variance
from kelvin.sampling.samplers import check as check_sampler
from kelvin.sampling.samplers import samplers, unfit
from kelvin.schedules import check_schedule, growths
from kelvin.training.weightings import build_weights, check_weighting

SIDE = 8                  # of the image that a process is tried on where no size is known
SECTIONS = re.compile(r"(schedule|degradation|prior|restorer|network|training|sampling)[.:]")


def lines_of(check: Callable[[], Any]) -> list[str]:
    """The lines of the KelvinError that a check raises; [] where it raises none."""
    try:
        check()
    except KelvinError as error:
        return str(error).splitlines()
    return []


def option_faults(name: str, run: RunConfig) -> list[str]:
    """A line for every option of the run's parts that is wrong, or beyond what can be computed."""
    lines: list[str] = []
    for registry, key in ((degradations.degradations, "degradation"), (degradations.priors, "prior"),
                          (networks.networks, "network"), (networks.conditionings, "conditioning")):
        lines += lines_of(lambda registry=registry, key=key:
                      registry.check(getattr(run, key).model_dump(), f"runs.{name}.{key}"))
    schedule = run.schedule.model_dump()
    check_one = growths.check if schedule["kind"] in growths.kinds() else check_schedule
    lines += lines_of(lambda: check_one(schedule, f"runs.{name}.schedule"))
    if lines:
        return lines
    hot = degradations.degradations.find(run.degradation.kind).temperature == "hot"
    return size_faults(run, f"runs.{name}", hot)


def together_faults(params: Params, name: str, run: RunConfig) -> list[str]:
    """A line for every two parts of the run that do not go together; their options are right.

    A folder of images is scored alone: of what trains and draws it has nothing.
    """
    at, schedule = f"runs.{name}", run.schedule.model_dump()
    if run.source == "folder":
        return fold_faults(params, at, run) if name in params.house.active else []
    process = degradations.degradations.find(run.degradation.kind)
    targets = process.parameterisations
    target, kind = run.restorer.parameterisation, run.degradation.kind
    lines = []
    if target not in targets:
        lines.append(f"{at}.restorer.parameterisation = {target!r} has no meaning for {kind}; it takes "
                     f"{', '.join(targets)}")
    lines += lines_of(lambda: check_rule(run.restorer.rule, target, f"{at}.restorer.rule"))
    lines += lines_of(lambda: check_variance(run.restorer.variance, process.temperature,
                                             schedule["steps"], kind, f"{at}.restorer.variance"))
    lines += lines_of(lambda: check_weighting(run.training.weighting.model_dump(), run.training.loss,
                                              process, kind, f"{at}.training"))
    if not lines and process.temperature == "hot" and name in params.house.active:
        lines += with_key(lines_of(lambda: check_table(run, at)), at)
    lines += sampler_faults(params, at, run, process, sampler_keys(run))
    if run.sampling.samplers == "every" and not with_samplers(params, run).sampling.samplers:
        lines.append(f"{at}.sampling.samplers = 'every', but {kind} can take none of `every`; name some")
    if run.training.lr * run.training.weight_decay >= 1:
        lines.append(f"{at}.training.weight_decay = {run.training.weight_decay:g} times training.lr = "
                     f"{run.training.lr:g} is 1 or more: an update multiplies all weights by 1 less it; "
                     "lower it")
    if run.training.mmd.weight and run.training.batch < 2:
        lines.append(f"{at}.training.batch = 1, but training.mmd compares images within a batch: at "
                     "least 2 are needed")
    if (run.sampling.restore_at or 0) > schedule["steps"]:
        lines.append(f"{at}.sampling.restore_at = {run.sampling.restore_at} is above schedule.steps = "
                     f"{schedule['steps']}: no t is a multiple of it")
    if name in params.house.active:
        lines += fold_faults(params, at, run)
        lines = lines or process_faults(params, at, run)
    small = None if params.metrics is None else params.metrics.small
    if small is not None and run.sampling.epoch_images < small.images and name in params.house.active:
        lines.append(f"{at}.sampling.epoch_images = {run.sampling.epoch_images} is less than "
                     f"metrics.small.images = {small.images}, which are scored of them")
    return lines


def check_table(run: RunConfig, at: str) -> None:
    """KelvinError where the table of a hot process leaves no signal that target, rule or weighting divide
    by."""
    image = ImageSpec(1, 8, 8, run.restorer.low, run.restorer.high)  # its size is no matter
    process = degradations.degradations.build(run.degradation.model_dump(), image,
                                               run.schedule.model_dump())
    check_parameterisation(run.restorer.parameterisation, process, f"{at}.restorer.parameterisation")
    check_rule(run.restorer.rule, run.restorer.parameterisation, f"{at}.restorer.rule", process)
    build_weights(run.training.weighting.model_dump(), process,
                  PARAMETERISATIONS[run.restorer.parameterisation], f"{at}.training")


def sampler_keys(run: RunConfig) -> Iterable[tuple[str, str]]:
    """(the sampler's name, the key that names it), each name once; of `every`, what fits is drawn."""
    keys = {run.sampling.epoch_sampler: "epoch_sampler"}
    names = [] if run.sampling.samplers == "every" else run.sampling.samplers
    return (keys | dict.fromkeys(names, "samplers")).items()


def with_samplers(params: Params, run: RunConfig) -> RunConfig:
    """The run with `sampling.samplers: every` replaced by the names of `every` that it can take, in
    order; of its restore_samplers those among them are kept."""
    if run.sampling.samplers != "every":
        return run
    process = degradations.degradations.find(run.degradation.kind)
    return run.drawn_by([name for name in params.house.every
                         if not sampler_faults(params, "", run, process, [(name, "samplers")])])


def sampler_faults(params: Params, at: str, run: RunConfig, process: Any,
                   keys: Iterable[tuple[str, str]]) -> list[str]:
    """Samplers (name, the key that names it) that the run's process, target or number of times cannot
    take."""
    lines, kind, T = [], run.degradation.kind, run.schedule.model_dump()["steps"]
    for name, key in keys:
        if name not in params.house.samplers:
            continue
        sampler = params.sampler(name)
        where = f"{at}.sampling.{key} names {name!r}, whose kind is {sampler['kind']}"
        if lines_of(lambda sampler=sampler: check_sampler(sampler, "samplers")):
            continue  # its own sentence names it
        needed = isinstance(process, type) and unfit(samplers.find(sampler["kind"]), process)
        if needed:
            lines.append(f"{where}: it needs {needed}, which {kind} is not; choose improved, naive or "
                         "direct")
        if sampler["kind"] == "dissipation" and run.restorer.parameterisation != "previous" \
                and run.restorer.parameterisation in process.parameterisations:
            lines.append(f"{where}: it needs {at}.restorer.parameterisation = 'previous', not "
                         f"{run.restorer.parameterisation!r}")
        if sampler.get("z") == "estimated" and not process.can_estimate_z:
            lines.append(f"{where}: its z = 'estimated' cannot be had from {kind}; set z to kept")
        steps = sampler.get("steps", "all")
        if isinstance(steps, int) and steps > T:
            lines.append(f"samplers.{name}.steps = {steps} is more than {at}.schedule.steps = {T}; name "
                         f"another sampler in {at}.sampling")
    return lines


def fold_faults(params: Params, at: str, run: RunConfig) -> list[str]:
    """A fold that the data set does not have, for the run or one of the replicates."""
    folds, data = params.images.folds, f"datasets.{params.house.dataset}.folds"
    if run.split == "given":
        return [f"{at}.fold = {run.fold} goes with a split into folds, but {at}.split is given; set fold "
                "to null"] if run.fold is not None else []
    if folds is None:
        return [f"{at}.split = {run.split!r} needs folds, but {data} is null; set {{k: 5, seed: 0}}"]
    if run.fold is not None:
        return [f"{at}.fold = {run.fold}: {data}.k = {folds.k} has folds 0 to {folds.k - 1}"] \
            if run.fold >= folds.k else []
    return [f"replicates names {r}, but {at} holds out fold r of replicate r, and {data}.k = {folds.k} "
            f"has folds 0 to {folds.k - 1}" for r in params.house.replicates if r >= folds.k]


def process_faults(params: Params, at: str, run: RunConfig) -> list[str]:
    """What the process says when it is built on a small image: prior, growth, channels, signal at T."""
    image = ImageSpec(params.images.channels or 3, SIDE, SIDE, run.restorer.low, run.restorer.high)

    def build() -> None:
        refuse_other_than_degradation(run.degradation.model_dump(), image, run.schedule.model_dump())
        process = degradations.build(image, run.degradation.model_dump(), run.schedule.model_dump(),
                                     run.prior.model_dump())
        check_parameterisation(run.restorer.parameterisation, process, "restorer.parameterisation")

    return with_key(lines_of(build), at)


def refuse_other_than_degradation(section: Mapping[str, Any], image: ImageSpec,
                                  schedule: Mapping[str, Any]) -> None:
    """KelvinError where a user's own part (`module:name`) makes something else."""
    if ":" in section["kind"]:
        part = degradations.degradations.build(section, image, schedule, where="degradation")
        if not isinstance(part, degradations.Degradation):
            raise KelvinError(f"degradation.kind = {section['kind']!r} makes a {type(part).__name__}, "
                              "but a degradation is a kelvin.degradations.Degradation")


def with_key(lines: Iterable[str], at: str) -> list[str]:
    """What a part says of itself, with the run's key before it."""
    return [line if line.startswith(at) else f"{at}.{line}" if SECTIONS.match(line)
            else f"{at}.degradation: {line}" for line in lines]
