"""Validate params.yaml, resolve every active run, and write what each stage instance reads."""

import os
from pathlib import Path

from kelvin.check import check
from kelvin.config.planning import write_plan
from kelvin.config.resolve import load
from kelvin.stage import log, reported


def work(script: Path, _: list[str]) -> None:
    params = load()
    check(params)
    changed = write_plan(params, script.parent, os.environ)
    log.info("plan: %s", f"{len(changed)} stage instances planned anew" if changed else "as it was")


reported(work)
