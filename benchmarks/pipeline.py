"""Seconds of DVC's commands on the whole pipeline, in throw-away copies; the peer is a budget.

dvc-exp-one-run and dvc-exp-one-lr run one run at scale smoke, as in the README; the two noop rows ask
about the pipeline of params.yaml as it stands, made once at scale smoke.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from kelvin.pipeline.throwaway import temporary_copy

ROOT = Path(__file__).resolve().parents[1]
EXP = ("dvc", "exp", "run", "-S", "scale=smoke", "-S", "active=[ddpm-default]")
BUDGETS = {"dvc-exp-one-run": 35.0, "dvc-exp-one-lr": 20.0, "dvc-repro-noop": 3.0,
           "kelvin-repro-noop": 2.5}  # seconds


def seconds(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> float:
    started = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return time.perf_counter() - started


@cache
def measured() -> dict[str, float]:
    """Seconds of every row: experiments once, noops by the median of three."""
    out = {}
    with temporary_copy(ROOT, {}) as (folder, environment):
        out["dvc-exp-one-run"] = seconds(EXP, folder, environment)
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
