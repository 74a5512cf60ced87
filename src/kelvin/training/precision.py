"""Precision and memory layout: bf16 and channels_last where measurements say so (docs/devices.md)."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from kelvin.networks import Shape

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
        """What the network's forward pass runs under; it changes nothing in fp32."""
        return torch.autocast(device.type, torch.bfloat16) if self.mixed == "bf16" else nullcontext()


def has_bf16(device: torch.device) -> bool:
    """Does the hardware multiply bf16 natively? Emulated bf16 is many times slower than fp32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and (torch.cpu._is_avx512_bf16_supported()
                                     or torch.cpu._is_amx_tile_supported())


def rule(wanted: str, device: str, native: bool, shape: Shape, contiguous: bool = False) -> Precision:
    """Precision and layout by device and shape, from the table in docs/devices.md.

    wanted: training.precision; fp32 and bf16 are taken at their word. `auto` takes bf16 where the
    hardware multiplies it (`native`), on CPUs for images of 28x28 pixels or more. channels_last is for
    CUDA alone, and not for a network in fp32 that wants `contiguous` images.
    """
    large = device == "cuda" or shape.height * shape.width >= BF16_PIXELS
    mixed = "bf16" if wanted == "bf16" or (wanted == "auto" and native and large) else "no"
    return Precision(mixed, device == "cuda" and not (contiguous and mixed == "no"))


def resolve(wanted: str, device: torch.device, network: torch.nn.Module, shape: Shape) -> Precision:
    """What the rule says of a network on images of a shape.

    A network that computes its convolutions itself in contiguous layout says so by an attribute
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
