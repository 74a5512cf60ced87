"""Device, precision, memory layout and threads of a process.

bf16 and channels_last are used where measurements showed a gain (docs/devices.md).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from kelvin.common.errors import KelvinError

if TYPE_CHECKING:
    from accelerate import Accelerator

    from kelvin.networks import Shape

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
BF16_PIXELS = 28 * 28  # on smaller images fp32 is as fast on CPUs with bf16, and the same on all


@dataclass(frozen=True)
class Precision:
    """`mixed` as accelerate names it ("bf16" or "no"), and the memory format of images.

    It belongs to one training: accelerate is kept out of it, since its own mixed precision is a state
    of the whole process.
    """

    mixed: str
    channels_last: bool

    @property
    def name(self) -> str:
        """As training.precision has it."""
        return "bf16" if self.mixed == "bf16" else "fp32"

    @property
    def memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def autocast(self, device: torch.device) -> AbstractContextManager:
        """The context of the network's forward pass; it changes nothing in fp32."""
        return torch.autocast(device.type, torch.bfloat16) if self.mixed == "bf16" else nullcontext()


def has_bf16(device: torch.device) -> bool:
    """Does the hardware multiply bf16 natively? Emulated bf16 is many times slower than fp32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and (torch.cpu._is_avx512_bf16_supported()
                                     or torch.cpu._is_amx_tile_supported())


def rule(wanted: str, device: str, native: bool, shape: Shape, contiguous: bool = False) -> Precision:
    """Precision and layout by device and shape, from the table in docs/devices.md.

    wanted: training.precision; fp32 and bf16 mean themselves. `auto` is bf16 where the
    hardware multiplies it (`native`), on CPUs for images of 28x28 pixels or more. channels_last is for
    CUDA alone, and not for a network in fp32 that wants `contiguous` images.
    """
    large = device == "cuda" or shape.height * shape.width >= BF16_PIXELS
    mixed = "bf16" if wanted == "bf16" or (wanted == "auto" and native and large) else "no"
    return Precision(mixed, device == "cuda" and not (contiguous and mixed == "no"))


def resolve(wanted: str, device: torch.device, network: torch.nn.Module, shape: Shape) -> Precision:
    """The rule's precision for a network on images of a shape.

    A network that computes its convolutions itself in contiguous layout has an attribute
    `contiguous = True`.
    """
    return rule(wanted, device.type, has_bf16(device), shape, getattr(network, "contiguous", False))


def hardware(device: torch.device) -> str:
    """The device's name, for records of cost."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
        return f"CPU {names[0]}" if names else "CPU"
    except FileNotFoundError:
        import platform

        return f"CPU {platform.processor() or platform.machine()}"


def pick_device() -> torch.device:
    """accelerate's choice. It is made once for the process, with the number of processes: CPUs are
    taken where ACCELERATE_USE_CPU is set, or where there is nothing else."""
    from accelerate import PartialState
    from accelerate.utils import parse_flag_from_env

    # PartialState does not read the variable, and finds other CPU processes only with `cpu`
    refuse_lone_launch(os.environ)
    on_cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
    return PartialState(cpu=on_cpu).device


def refuse_lone_launch(environ: Mapping[str, str]) -> None:
    """KelvinError where `accelerate launch --cpu --num_processes N` started one process of N: it names a
    meeting place, as for several, but nobody to meet."""
    alone = not any(name in environ for name in (
        "WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE"))
    if alone and "ACCELERATE_MIXED_PRECISION" in environ and "MASTER_PORT" in environ:
        raise KelvinError("`accelerate launch --cpu` starts one process, however many --num_processes "
                          "asks for; start several by `ACCELERATE_USE_CPU=1 torchrun --nproc_per_node N "
                          "stages/train.py RUN REPLICATE`")


def make_accelerator() -> Accelerator:
    """accelerate's object that moves a training to its device and processes, without mixed precision.

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


def keep_freed_memory() -> bool:
    """Ask glibc to keep freed blocks for the next request; False where there is no glibc.

    By default it hands large ones back to the kernel, which then zeroes their pages anew for every
    large tensor of every step. The process keeps its peak size. Call it once,
    before the first large tensor.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, 2**30)) and bool(mallopt(M_TRIM_THRESHOLD, 2**31 - 1))


def set_threads(threads: int) -> None:
    """Threads of this process; results are repeatable for the same number of them."""
    keep_freed_memory()
    torch.set_num_threads(threads)
