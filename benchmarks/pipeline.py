"""Seconds of DVC's commands on the whole pipeline, in throw-away copies; the peer is a budget.

dvc-exp-one-run and dvc-exp-one-lr run one run at scale smoke, as in the README. dvc-exp-floor is what the
first of them would take if no stage had any work: DVC with commands that copy results, and
torch imported once by each of the seven stages that need it. The two noop rows ask about the pipeline of
params.yaml as it stands, made once at scale smoke.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from ruamel.yaml import YAML

from kelvin.pipeline.throwaway import temporary_copy

ROOT = Path(__file__).resolve().parents[1]
EXP = ("dvc", "exp", "run", "-S", "scale=smoke", "-S", "active=[ddpm-default]")
WITH_TORCH = 7  # stages
BUDGETS = {"dvc-exp-one-run": 35.0, "dvc-exp-floor": 35.0, "dvc-exp-one-lr": 20.0, "dvc-repro-noop": 3.0,
           "kelvin-repro-noop": 2.5}  # seconds


def seconds(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> float:
    started = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return time.perf_counter() - started


def without_work(made: Path) -> float:
    """Seconds of the experiment where every command copies what stands in the folder `made`."""
    yaml = YAML()
    with temporary_copy(ROOT, {}) as (folder, environment):
        story = yaml.load((folder / "dvc.yaml").read_text(encoding="utf-8"))
        for stage in story["stages"].values():
            outs = [out if isinstance(out, str) else next(iter(out)) for out in stage.get("outs", ())]
            stage["cmd"] = " && ".join(f"mkdir -p $(dirname {out}) && cp -rT {made}/{out} {out}"
                                       for out in outs) or "true"
        with (folder / "dvc.yaml").open("w", encoding="utf-8") as file:
            yaml.dump(story, file)
        seconds(("git", "-c", "user.name=kelvin", "-c", "user.email=kelvin@localhost", "commit", "-qam",
                 "commands that copy"), folder, environment)
        return seconds(EXP, folder, environment)


@cache
def measured() -> dict[str, float]:
    """Seconds of every row: experiments once, noops by the median of three."""
    out = {}
    with temporary_copy(ROOT, {}) as (folder, environment):
        out["dvc-exp-one-run"] = seconds(EXP, folder, environment)
        out["dvc-exp-floor"] = without_work(folder) + WITH_TORCH * seconds(
            (sys.executable, "-c", "import torch"), folder, environment)
        out["dvc-exp-one-lr"] = seconds([*EXP, "-S", "runs.ddpm-default.training.lr=1e-3"], folder,
                                        environment)
    with temporary_copy(ROOT, {"scale": "smoke"}) as (folder, environment):
        kelvin = (sys.executable, "-m", "kelvin", "repro")
        seconds(kelvin, folder, environment)
        for name, command in (("dvc-repro-noop", ("dvc", "repro")), ("kelvin-repro-noop", kelvin)):
            out[name] = sorted(seconds(command, folder, environment) for _ in range(3))[1]
    return out


def row(name: str) -> tuple[float, float, str]:
    """(Ours and the budget in calls an hour, what was measured in words)."""
    took, budget = measured()[name], BUDGETS[name]
    return 3600 / took, 3600 / budget, f"{took:.1f} s, of which the budget allows {budget:g}"
