"""Builders that several tests use."""

import copy
from functools import cache
from pathlib import Path

import torch

from kelvin import degradations
from kelvin.config.digest import Code
from kelvin.config.plan import plan_path
from kelvin.degradations import ImageSpec
from kelvin.metrics.authenticity import authenticity
from kelvin.metrics.nearest import Neighbours, memorisation
from kelvin.pipeline.planning import Planner

ROOT = Path(__file__).resolve().parents[1]

BLUR = {"kind": "gaussian-blur", "kernel": 0.45, "sigma": 0.2, "sigma_start": 0.02,
        "growth": "proportional", "sigma_of": "step", "border": "circular", "reading": "composed"}
HEAT = {**BLUR, "border": "heat", "sigma": 0.75, "growth": "geometric", "sigma_of": "total"}
LINEAR = {"kind": "linear", "steps": 1000, "beta_min": 1e-4, "beta_max": 0.02}
NORMAL = {"kind": "normal"}


def image(channels=1, height=8, width=8, low=-1.0, high=1.0):
    return ImageSpec(channels, height, width, low, high)


def noise(spec=None, **schedule):
    return degradations.build(spec or image(), {"kind": "gaussian-noise"}, {**LINEAR, **schedule},
                              NORMAL)


def blur(spec=None, steps=8, **options):
    return degradations.build(spec or image(), {**BLUR, **options}, {"kind": "own", "steps": steps},
                              {"kind": "gaussian", "rank": 64, "jitter": 0.01})


def unit_images(n, spec, seed=0):
    return torch.rand(n, *spec.shape, generator=torch.Generator().manual_seed(seed))


@cache
def own_code():
    """The project's sources, parsed once a process: a second of every plan made without it."""
    return Code(ROOT)


def plans(params, environ=None, code=None):
    """{path: plan} of every stage instance."""
    return dict(Planner(params, ROOT / "stages", environ or {}, code or own_code()).files())


def planned(params, stage, *item):
    """What the stage instance of these names would read."""
    return plans(params)[plan_path(stage, *map(str, item))]


def with_values(raw, *changes):
    """A copy of `raw` with (dotted key, value) set, keys that are missing made."""
    out = copy.deepcopy(raw)
    for path, value in changes:
        node = out
        *parents, last = path.split(".")
        for key in parents:
            node = node.setdefault(key, {})
        node[last] = value
    return out


def studied(results):
    """{name: study} of a report's results, each by its kind."""
    from kelvin.report.aggregate import costs, metrics
    from kelvin.report.studies.base import answers

    return {study.name: study for study in answers(results, metrics(results), costs(results))}


def every_table(results):
    """{name: table} of all that the report writes."""
    from kelvin.report.aggregate import costs, metrics
    from kelvin.report.build import common_tables
    from kelvin.report.parts.tables import parameter_table

    own = [table for study in studied(results).values()
           for table in (*study.tables(), *study.files(), parameter_table(study.study))]
    return common_tables(results, metrics(results), costs(results)) | {
        table.name: table for table in own if table}


def memorised(samples, train, heldout):
    real = Neighbours(train, heldout)
    return memorisation(real.of(samples), real)


def authenticity_of(samples, train, heldout):
    real = Neighbours(train, heldout)
    return authenticity(real.of(samples), real)
