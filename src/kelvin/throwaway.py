"""A throw-away copy of the checkout, in which a pipeline may run without touching the real one."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Every stage, both families and every study, but not every run: starting a stage takes longer than
# its work at this scale.
SMOKE = "[ddpm-best, ddpm-default, bad-lr-high, blur-strong, blur-narrow, tied-noise, tied-blur]"
IGNORED = shutil.ignore_patterns(".git", ".venv", ".kelvin", "cache", "tmp", "data", "mlflow.db*",
                                 "mlartifacts", "__pycache__")


def make_copy(source: Path, target: Path, **replaced: str) -> dict[str, str]:
    """Copy what git would commit, set top-level keys of params.yaml, commit; returns the environment.

    `replaced` maps a key to its new value as YAML text, e.g. scale="smoke".
    """
    shutil.copytree(source, target, ignore=IGNORED)
    text = (target / "params.yaml").read_text(encoding="utf-8")
    for key, value in replaced.items():
        # a block list below the key belongs to its old value
        text, n = re.subn(rf"^{key}:.*\n(?:  - .*\n)*", f"{key}: {value}\n", text, flags=re.M)
        if n != 1:
            raise KeyError(key)
    (target / "params.yaml").write_text(text, encoding="utf-8")
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
def temporary_copy(source: Path, **replaced: str) -> Iterator[tuple[Path, dict[str, str]]]:
    """A copy in a temporary folder, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="kelvin-") as folder:
        target = Path(folder) / "copy"
        yield target, make_copy(source, target, **replaced)


def main() -> int:
    parser = argparse.ArgumentParser(description="run the pipeline at smoke scale in a copy")
    parser.add_argument("--jobs", default="2")
    jobs, started = parser.parse_args().jobs, time.monotonic()
    with temporary_copy(Path.cwd(), scale="smoke", active=SMOKE) as (target, environment):
        done = subprocess.run([sys.executable, "-m", "kelvin.pipeline", "--jobs", jobs],
                              cwd=target, env=environment)
    seconds = time.monotonic() - started
    print(f"smoke: {'passed' if done.returncode == 0 else 'FAILED'} in {seconds:.0f} s; the copy it ran "
          "in is gone, this checkout is as it was")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
