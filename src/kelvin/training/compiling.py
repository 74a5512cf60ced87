"""Whether a network is compiled: a rule of device and length, never of a clock."""

from __future__ import annotations

import torch

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
