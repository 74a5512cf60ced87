"""What every stage script shares: parameters, threads, and errors that are one sentence."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

from kelvin.config.resolve import Params, load
from kelvin.errors import KelvinError

log = logging.getLogger("kelvin")


def main(work: Callable[..., None], *arguments: str) -> None:
    """Run `work(params, *argv)` where argv must match the names in `arguments`.

    A KelvinError ends the stage with its sentence and exit status 1; anything else is a defect of
    Kelvin and keeps its traceback.
    """
    logging.basicConfig(format="kelvin: %(message)s", level=logging.INFO, stream=sys.stderr)
    given = sys.argv[1:]
    try:
        if len(given) != len(arguments):
            raise KelvinError(f"usage: python {sys.argv[0]} {' '.join(f'<{a}>' for a in arguments)}")
        work(load(), *given)
    except KelvinError as error:
        print(f"kelvin: {error}", file=sys.stderr)
        sys.exit(1)


def set_threads(params: Params) -> None:
    """Threads of this process; results are repeatable for the same number of them."""
    import torch

    from kelvin.training.memory import keep_freed_memory

    keep_freed_memory()
    torch.set_num_threads(params.house.threads)


def replicate_of(params: Params, text: str) -> int:
    """The replicate that an argument names; KelvinError unless params.yaml lists it."""
    if not text.isdigit() or int(text) not in params.house.replicates:
        raise KelvinError(f"replicate {text!r} is not in replicates = {params.house.replicates}")
    return int(text)
