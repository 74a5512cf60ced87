"""Validate params.yaml, resolve every active run, and write what each stage instance reads."""

import os
from pathlib import Path

from kelvin.common.progress import log
from kelvin.pipeline.planning import write_plan
from kelvin.pipeline.stage import reported


def work(script: Path, _: list[str]) -> None:
    changed = write_plan(script, os.environ)
    log.info("plan: %s", f"{len(changed)} stage instances planned anew" if changed else "as it was")


reported(work)
