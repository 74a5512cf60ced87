"""Recorded studies: the pipeline with other runs, seeds or data than the default, kept as a record.

`records` in params.yaml says what each sets. It runs in a throw-away copy that shares this project's
DVC cache (what was made before is not made again); metrics, tables, cost and page go to
reports/reference/<folder> with the command and the time it took, and with the results that the page is
drawn from (kelvin.pipeline.archive), so that `kelvin record NAME --redraw` draws it by today's code.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from kelvin import degradations
from kelvin.artifacts import reading
from kelvin.artifacts.folders import COST, METRICS, RECORDED, REPORTS, DatasetFolders
from kelvin.common import signals
from kelvin.common.errors import KelvinError, refused_by_system
from kelvin.common.files import read_json, write_json
from kelvin.common.git import git, revision
from kelvin.common.hardware import hardware
from kelvin.common.scratch import scratch_folder
from kelvin.config import resolve as params
from kelvin.config.resolve import Params
from kelvin.config.vary import points
from kelvin.datasets.store import PreparedStore
from kelvin.degradations import ImageSpec
from kelvin.pipeline.archive import ARCHIVE, MOST, pack, unpack
from kelvin.pipeline.release import publish_best
from kelvin.pipeline.throwaway import temporary_copy

CONTENTS = (METRICS, COST, "index.html", "tables")
# copied where they exist: the results that the page is drawn from, if small, and the picture of samples
OPTIONAL = {ARCHIVE: ARCHIVE, "figures/overview.png": "overview.png"}


def possible(config: Params, names: list[str]) -> tuple[list[str], dict[str, str]]:
    """The runs that are possible on this data set's images, and why the others are not."""
    image_shape = PreparedStore(config.folders.prepared).images.shape[1:]
    runs, refused = [], {}
    for name in names:
        run = config.run(name)
        image = ImageSpec(*image_shape, run.restorer.low, run.restorer.high)
        try:
            degradations.build(image, run.degradation.model_dump(), run.schedule.model_dump(),
                               run.prior.model_dump())
            runs.append(name)
        except KelvinError as error:
            refused[name] = str(error)
    return runs, refused


def runs_of(config: Params, what: str) -> list[str]:
    """A record's runs: its list, or the grid of what it varies of them; every run, the default's first;
    or the default's of its studies."""
    entry, active = config.house.records[what], list(config.house.active)
    if entry.runs == "all":
        return [*active, *(name for name in config.house.runs if name not in active)]
    if entry.vary:
        return list(points(what, entry.runs, entry.vary))
    served = {run for study in entry.studies for run in config.house.studies[study].runs}
    return list(dict.fromkeys([*(entry.runs or ()), *(name for name in active if name in served)]))


def record(what: str, jobs: str) -> Path:
    """Run the pipeline and write its record; KelvinError where it fails."""
    config = params.load()
    if what not in config.house.records:
        raise KelvinError(f"records has no entry {what!r}; known are {', '.join(config.house.records)}")
    entry, names = config.house.records[what], runs_of(config, what)
    refused: dict[str, Any] = {}
    if entry.runs == "all":
        if not config.folders.prepared.exists() and subprocess.run(  # it says what can be carried
                [sys.executable, "stages/prepare.py", config.house.dataset]).returncode:
            raise KelvinError(f"record {what}: the data set could not be prepared (see above)")
        names, refused = possible(config, names)
    for name, why in refused.items():
        print(f"left out: {name} ({why})", flush=True)
    values: dict[str, Any] = {**entry.set, "active": names, "replicates": entry.replicates}
    target = RECORDED / entry.folder
    refuse_foreign(target, what)
    cache, started, code = Path(".dvc/cache").resolve(), time.monotonic(), revision()
    with temporary_copy(Path.cwd(), values) as (copy, environment):
        params.load(copy / "params.yaml")  # what it sets may be wrong: say so before any work
        (copy / ".dvc/config.local").write_text(f"[cache]\n    dir = {cache}\n", encoding="utf-8")
        done = subprocess.run([sys.executable, "-m", "kelvin", "repro", "--jobs", jobs], cwd=copy,
                              env=environment)
        if done.returncode:
            raise KelvinError(f"record {what}: the pipeline failed (see above); what was finished is in "
                              "DVC's cache, so that the next try goes on from there")
        before = earlier(target / "record.json", entry.set, names, entry.replicates)
        manifest = read_json(copy / DatasetFolders(values.get("dataset", config.house.dataset)).manifest)
        about = {
            "command": f"make record NAME={what}", "title": entry.title, "folder": entry.folder,
            "commit": code, "date": git("log", "-1", "--format=%cs"),
            "set": entry.set,
            "vary": entry.vary, "runs": names,
            "left_out": refused, "replicates": entry.replicates, "jobs": int(jobs),
            "data": {key: manifest[key] for key in ("image_shape", "sizes")},
            "hardware": hardware_of(read_json(copy / REPORTS / COST)),
            "minutes": [*before, round((time.monotonic() - started) / 60, 1)],
            "note": "minutes are those of each call with these settings, the last one last: stages that "
                    "DVC's cache held were not made again"}
        if not pack(copy, copy / REPORTS / ARCHIVE):
            print(f"left out: {ARCHIVE}, which is larger than {MOST >> 20} MB; its page cannot be "
                  "redrawn without the pipeline", flush=True)
        draw(copy, about, environment, what)
        if entry.weights:
            publish_best(params.load(copy / "params.yaml"), read_json(copy / REPORTS / METRICS), copy,
                         f"{entry.weights}-{{}}")
        replace(target, copy / REPORTS, about, what)
    return target


class About(TypedDict):
    """The keys of record.json that its page shows."""

    title: str
    command: str
    folder: str


def redraw(what: str) -> Path:
    """A record's page, tables and numbers by today's code, from the results that it keeps."""
    config = params.load()
    if what not in config.house.records:
        raise KelvinError(f"records has no entry {what!r}; known are {', '.join(config.house.records)}")
    target = RECORDED / config.house.records[what].folder
    refuse_foreign(target, what)
    if not (target / ARCHIVE).exists():
        raise KelvinError(f"{target} holds no {ARCHIVE}, which its page could be drawn from: make the "
                          f"record again (kelvin record {what})")
    about = reading.read_json(target / "record.json", f"git checkout {target}", About)
    with scratch_folder("kelvin-") as folder:
        unpack(target / ARCHIVE, folder)
        draw(folder, about, os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}, what)
        shutil.copy2(target / ARCHIVE, folder / REPORTS)
        replace(target, folder / REPORTS, about, what)
    return target


def draw(folder: Path, about: Mapping[str, Any], environment: Mapping[str, str], what: str) -> None:
    """The report of a folder's results as the record's, in its own process: results lie below the working
    directory."""
    (folder / REPORTS).mkdir(exist_ok=True)
    write_json(folder / REPORTS / "record.json", about)
    if subprocess.run([sys.executable, "-m", "kelvin.report", f"{REPORTS}/record.json"], cwd=folder,
                      env=environment).returncode:
        raise KelvinError(f"record {what}: its page could not be drawn (see above)")


def is_record_of(folder: Path, what: str) -> bool:
    try:
        return read_json(folder / "record.json")["command"].split("=")[-1].split()[-1] == what
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return False


def refuse_foreign(target: Path, what: str) -> None:
    """KelvinError where the folder holds anything but a record of that name: it would be deleted."""
    root = RECORDED.resolve()
    if root not in target.resolve().parents or target.is_symlink():
        raise KelvinError(f"records.{what}.folder: {target} leads to {target.resolve()}, outside "
                          f"{RECORDED}; remove the link")
    if target.exists() and not (target.is_dir() and (is_record_of(target, what)
                                                     or not any(target.iterdir()))):
        raise KelvinError(f"{target} holds no record of {what} and would be deleted: move it away, or "
                          f"set another records.{what}.folder")


def replace(target: Path, reports: Path, about: Mapping[str, Any], what: str) -> None:
    """The record in place of an earlier one; whole when it appears."""
    refuse_foreign(target, what)  # it may have come in the meantime
    target.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(f".{target.name}-", target.parent) as scratch:
        fresh = scratch / "fresh"
        fresh.mkdir()
        for name in CONTENTS:
            source = reports / name
            (shutil.copytree if source.is_dir() else shutil.copy2)(source, fresh / name)
        for name, copy_name in OPTIONAL.items():
            if (reports / name).exists():
                shutil.copy2(reports / name, fresh / copy_name)
        write_json(fresh / "record.json", about)
        if target.exists():
            target.rename(scratch / "old")
        fresh.rename(target)


def earlier(path: Path, settings: Mapping[str, Any], runs: list[str], replicates: list[int]
            ) -> list[float]:
    """Minutes of the calls that made the record so far; [] where it had other settings, or is missing."""
    try:
        record = read_json(path)
        minutes = record["minutes"]  # one number in records of before 0.4.0
    except (OSError, ValueError, LookupError, TypeError):  # damaged: this call writes it again
        return []
    if (record.get("set"), record.get("runs"), record.get("replicates")) != (settings, runs, replicates):
        return []
    return minutes if isinstance(minutes, list) else [minutes]


def hardware_of(costs: Mapping[str, Mapping[str, Any]]) -> str:
    """The machines that trained, where one of them is not this; then this one. costs: by run."""
    import torch

    here = hardware(torch.device("cpu"))
    trained = list(dict.fromkeys(cost["hardware"] for cost in costs.values() if "hardware" in cost))
    return "; ".join([*[f"trained on {' and '.join(trained)}"] * any(name != here for name in trained),
                      f"{here}, {os.cpu_count()} cores"])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", help="an entry of `records` in params.yaml")
    parser.add_argument("--jobs", default="2")
    parser.add_argument("--redraw", action="store_true", help="draw its page anew from what it keeps")
    options = parser.parse_args(arguments)
    signals.catch()
    try:
        with refused_by_system():
            if options.redraw:
                print(f"redrawn in {redraw(options.what)}")
            else:
                print(f"recorded in {record(options.what, options.jobs)}")
    except KelvinError as error:
        print(f"kelvin: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        signals.heard()
        print("\nStopped. What was finished is in DVC's cache: run it again to go on.")
        return signals.status()
    return 0


if __name__ == "__main__":
    sys.exit(main())
