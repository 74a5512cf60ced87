"""Refuse a wrong params.yaml in one sentence, before any stage works."""

from pathlib import Path

from kelvin import degradations, networks
from kelvin.degradations.blur import severities
from kelvin.errors import KelvinError
from kelvin.files import write_text
from kelvin.params import Params
from kelvin.restoration import samplers
from kelvin.stage import main


def work(params: Params) -> None:
    for name, section in params.house.samplers.items():
        samplers.check(section.model_dump(), f"samplers.{name}")
    for name, run in params.runs.items():
        for registry, key in ((degradations.degradations, "degradation"),
                              (degradations.priors, "prior"), (networks.networks, "network")):
            registry.check(getattr(run, key).model_dump(), f"runs.{name}.{key}")
        schedule = run.schedule.model_dump()
        registry = severities if schedule["kind"] == "own" else degradations.schedules
        registry.check(schedule, f"runs.{name}.schedule")
        process = degradations.degradations.find(run.degradation.kind)
        if run.restorer.parameterisation not in process.parameterisations:
            raise KelvinError(f"runs.{name}.restorer.parameterisation = "
                              f"{run.restorer.parameterisation!r} has no meaning for "
                              f"{run.degradation.kind}; it takes "
                              f"{', '.join(process.parameterisations)}")
        for sampler in {*run.sampling.samplers, run.sampling.epoch_sampler}:
            steps = params.sampler(sampler).get("steps", "all")
            if steps != "all" and steps > schedule["steps"]:
                raise KelvinError(f"samplers.{sampler}.steps = {steps} is more than runs.{name}."
                                  f"schedule.steps = {schedule['steps']}; name another sampler in "
                                  f"runs.{name}.sampling")
    # the same bytes every time: later stages wait for this file, but are never remade by it
    write_text(Path("data/checked"), "params.yaml was checked\n")


main(work)
