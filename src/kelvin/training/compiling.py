"""Whether and how a network is compiled: a rule of device and length, never of a clock."""

from __future__ import annotations

import os
from typing import cast

import torch
from torch import nn

from kelvin.common.files import project_root

UPDATES = 2000  # from here on the 44 to 80 s of a first compilation come back on a GPU


def why_not_compiled(wanted: str, device: torch.device, updates: int) -> str | None:
    """Why a network is run as it is; None where it is compiled. wanted: training.compile."""
    if wanted == "always":
        return None
    if wanted == "never":
        return "training.compile is never"
    if device.type != "cuda":
        return f"it pays on CUDA, and this is a {device.type.upper()}"
    if updates < UPDATES:
        return f"{updates} updates are fewer than {UPDATES}"
    return None


def compiled(network: nn.Module) -> nn.Module:
    """The network compiled at its first call; what was compiled is kept in the project's scratch folder,
    so that it is done once for a shape (TORCHINDUCTOR_CACHE_DIR names another)."""
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(project_root() / ".kelvin" / "inductor"))
    return cast(nn.Module, torch.compile(network))
