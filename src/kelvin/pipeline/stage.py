"""What every stage script shares: its plan, its threads, and errors that are one sentence."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path

from kelvin.common.errors import KelvinError, refused_by_system
from kelvin.config.plan import Plan, read_plan


def main(work: Callable[..., None], model: type[Plan], *arguments: str) -> None:
    """Run `work(plan)`, with the plan of the stage instance that the command line names.

    A KelvinError ends the stage with its sentence and exit status 1; anything else is a defect of
    Kelvin and keeps its traceback.
    """
    reported(lambda script, item: work(read_plan(model, script, *item)), *arguments)


def reported(work: Callable[[Path, list[str]], None], *arguments: str) -> None:
    """Run `work(script, command line)`; a KelvinError ends the process with its sentence."""
    logging.basicConfig(format="kelvin: %(message)s", level=logging.INFO, stream=sys.stderr)
    sys.path[0] = str(Path.cwd())  # a user's own parts are importable from the project's root
    script, values = Path(sys.argv[0]), sys.argv[1:]
    try:
        if len(values) != len(arguments):
            raise KelvinError(f"usage: python {script} {' '.join(f'<{a}>' for a in arguments)}")
        with refused_by_system():
            work(script, values)
    except KelvinError as error:
        print(f"kelvin: {error}", file=sys.stderr)
        sys.exit(1)
