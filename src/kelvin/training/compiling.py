"""Whether a network is compiled: a rule of device and length, never of a clock."""

from __future__ import annotations

import torch

# A network's first compilation takes 50 to 80 s on a GPU, a cached one 10. From here on the cached one
# comes back; the first comes back in a pipeline of several runs, or after some 10,000 updates.
UPDATES = 2000


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
