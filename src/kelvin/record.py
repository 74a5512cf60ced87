"""Recorded studies: the pipeline with more runs or seeds than the default, kept as a record.

It runs in a throw-away copy that shares this project's DVC cache (what `make repro` made is not made
again); its tables, metrics and page go to reports/reference/<dataset>-<name>, with command and time.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from kelvin import degradations, params
from kelvin.datasets import PreparedStore
from kelvin.degradations import ImageSpec
from kelvin.errors import KelvinError
from kelvin.files import write_json
from kelvin.params import Params
from kelvin.throwaway import temporary_copy
from kelvin.training.precision import hardware

SEEDS = [0, 1, 2, 3, 4]
STUDIES = ("temperature", "steps", "iterations")  # D1 to D3
KEPT = ("metrics.json", "cost.json", "index.html", "tables")


def possible(config: Params, names: list[str]) -> tuple[list[str], dict[str, str]]:
    """The runs that this data set's images can carry, and why the others cannot."""
    image_shape = PreparedStore(config.folder("prepared")).images.shape[1:]
    kept, refused = [], {}
    for name in names:
        run = config.run(name)
        image = ImageSpec(*image_shape, run.restorer.low, run.restorer.high)
        try:
            degradations.build(image, run.degradation.model_dump(), run.schedule.model_dump(),
                               run.prior.model_dump())
            kept.append(name)
        except KelvinError as error:
            refused[name] = str(error)
    return kept, refused


def wanted(config: Params, what: str) -> tuple[list[str], list[int]]:
    """Runs and replicates: every run once, or the default's runs of D1 to D3 with five seeds."""
    if what == "full":
        first = list(config.house.active)
        return [*first, *(name for name in config.runs if name not in first)], config.house.replicates
    served = {run for study in STUDIES for run in config.house.studies[study].runs}
    return [name for name in config.house.active if name in served], SEEDS


def record(what: str, jobs: str) -> Path:
    """Run it and keep its record; KelvinError when the pipeline fails."""
    config = params.load()
    names, replicates = wanted(config, what)
    names, refused = possible(config, names)
    for name, why in refused.items():
        print(f"left out: {name} ({why})", flush=True)
    cache, started = Path(".dvc/cache").resolve(), time.monotonic()
    with temporary_copy(Path.cwd(), active=json.dumps(names), replicates=json.dumps(replicates)
                        ) as (copy, environment):
        (copy / ".dvc/config.local").write_text(f"[cache]\n    dir = {cache}\n", encoding="utf-8")
        done = subprocess.run([sys.executable, "-m", "kelvin.pipeline", "--jobs", jobs], cwd=copy,
                              env=environment)
        if done.returncode:
            raise KelvinError(f"make {what}: the pipeline failed (see above); what was finished is in "
                              "DVC's cache, so that the next try goes on from there")
        target = Path("reports/reference") / f"{config.house.dataset}-{what}"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name in KEPT:
            source = copy / "reports" / name
            (shutil.copytree if source.is_dir() else shutil.copy2)(source, target / name)
    write_json(target / "record.json", {
        "command": f"make {what}", "runs": names, "left_out": refused, "replicates": replicates,
        "scale": config.house.scale, "jobs": int(jobs), "hardware": f"{hardware_name()}",
        "minutes": round((time.monotonic() - started) / 60, 1),
        "note": "minutes are those of this call; stages that DVC's cache held were not made again"})
    return target


def hardware_name() -> str:
    import torch

    return f"{hardware(torch.device('cpu'))}, {os.cpu_count()} cores"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("full", "replicates"))
    parser.add_argument("--jobs", default="2")
    options = parser.parse_args()
    try:
        print(f"recorded in {record(options.what, options.jobs)}")
    except KelvinError as error:
        print(f"kelvin: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
