"""A throw-away copy of the checkout, in which a pipeline may run without touching the real one."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kelvin.common.errors import KelvinError
from kelvin.common.scratch import scratch_folder

# Every stage, both families and every study, but not every run: starting a stage takes longer than
# its work at this scale.
SMOKE = ["ddpm-best", "ddpm-default", "bad-lr-high", "blur-strong", "tied-noise", "tied-blur",
         "pretrain-10", "guided", "fold-leaky"]
IGNORED = shutil.ignore_patterns(".git", ".venv", ".kelvin", "cache", "tmp", "data", "mlflow.db*",
                                 "mlartifacts", "__pycache__")


def set_values(path: Path, values: Mapping[str, Any]) -> None:
    """Set keys of a YAML file, nested ones by dots; KelvinError names one that is not written there."""
    from ruamel.yaml import YAML

    yaml = YAML()  # round trip: comments and order stay
    yaml.width, tree = 10_000, yaml.load(path.read_text(encoding="utf-8"))
    for key, value in values.items():
        *above, last = key.split(".")
        node = tree
        for name in above:
            node = node.get(name, {}) if isinstance(node, Mapping) else {}
        if not isinstance(node, Mapping) or last not in node:
            raise KelvinError(f"{path.name} has no key {key!r} to set")
        node[last] = value
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(tree, file)


def make_copy(source: Path, target: Path, values: Mapping[str, Any]) -> dict[str, str]:
    """Copy what git would commit, set `values` in its params.yaml (see `set_values`), commit it;
    returns the environment in which its pipeline runs."""
    shutil.copytree(source, target, ignore=IGNORED, ignore_dangling_symlinks=True)
    set_values(target / "params.yaml", values)
    # the copy starts as a fresh project: results of another scale are none of its business
    (target / "dvc.lock").unlink(missing_ok=True)
    shutil.rmtree(target / "reports", ignore_errors=True)
    environment = os.environ | {"PYTHONPATH": str(target / "src"), "OMP_NUM_THREADS": "1",
                                "MLFLOW_DISABLE_TELEMETRY": "true",
                                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for name in ("DVC_ROOT", "DVC_STAGE", "MLFLOW_TRACKING_URI"):
        environment.pop(name, None)
    if "KELVIN_DATA" in environment:
        environment["KELVIN_DATA"] = str(Path(environment["KELVIN_DATA"]).resolve())
    for command in (["init", "-q", "-b", "main"], ["add", "-A"],
                    ["-c", "user.name=kelvin", "-c", "user.email=kelvin@localhost", "commit", "-qm",
                     "a throw-away copy"]):
        subprocess.run(["git", *command], cwd=target, check=True, env=environment)
    return environment


@contextmanager
def temporary_copy(source: Path, values: Mapping[str, Any]) -> Iterator[tuple[Path, dict[str, str]]]:
    """A copy in a temporary folder, removed at the end."""
    with scratch_folder("kelvin-") as folder:
        target = folder / "copy"
        yield target, make_copy(source, target, values)


def main() -> int:
    parser = argparse.ArgumentParser(description="run the pipeline at smoke scale in a copy")
    parser.add_argument("--jobs", default="2")
    jobs, started = parser.parse_args().jobs, time.monotonic()
    with temporary_copy(Path.cwd(), {"scale": "smoke", "active": SMOKE}) as (target, environment):
        done = subprocess.run([sys.executable, "-m", "kelvin", "repro", "--jobs", jobs],
                              cwd=target, env=environment)
    seconds = time.monotonic() - started
    print(f"smoke: {'passed' if done.returncode == 0 else 'FAILED'} in {seconds:.0f} s; the copy it ran "
          "in is gone, this checkout is as it was")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
