"""Which device a process works on, and accelerate's part in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from kelvin.errors import KelvinError

if TYPE_CHECKING:
    from accelerate import Accelerator


def pick_device() -> torch.device:
    """accelerate's choice. It is made once for the process, with the number of processes: CPUs are
    taken where ACCELERATE_USE_CPU is set, or where there is nothing else."""
    from accelerate import PartialState
    from accelerate.utils import parse_flag_from_env

    # PartialState does not read the variable, and finds no other process unless it is told `cpu`
    on_cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
    return PartialState(cpu=on_cpu).device


def make_accelerator() -> Accelerator:
    """What moves a training to its device and its processes, without a precision of its own.

    KelvinError where other code of this process made accelerate's state with mixed precision.
    """
    from accelerate import Accelerator

    pick_device()
    try:
        return Accelerator(mixed_precision="no")
    except ValueError as error:
        if "already been initialized" not in str(error):
            raise
        raise KelvinError("accelerate's mixed precision is on in this process, but training.precision "
                          "decides it here: make its Accelerator with mixed_precision='no'") from error
