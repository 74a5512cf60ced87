"""Time embeddings."""

from __future__ import annotations

import torch
from torch import nn


class TimeEmbedding(nn.Module):
    """time in [0, 1], shape (n,) -> (n, out): sines and cosines of exponentially spaced frequencies,
    then an MLP with two hidden layers (study C: 16 frequencies, hidden 128, GELU)."""

    added: torch.Tensor | None = None  # (n, out), what else a network is told: see conditioning.py

    def __init__(self, out: int, frequencies: int = 16, hidden: int = 128,
                 highest: float = 1000.0) -> None:
        super().__init__()
        # on the CPU: a network that is built for its shapes alone, on the meta device, would load torch's
        # compiler for the power
        octaves = torch.linspace(0, 1, frequencies, dtype=torch.float64, device="cpu")
        values = (highest**octaves).float().to(torch.get_default_device())
        self.register_buffer("frequencies", values, persistent=False)
        self.mlp = nn.Sequential(nn.Linear(2 * frequencies, hidden), nn.GELU(),
                                 nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, out))

    def forward(self, time: torch.Tensor) -> torch.Tensor:
        angles = time[:, None] * self.frequencies
        out = self.mlp(torch.cat([angles.sin(), angles.cos()], 1))
        return out if self.added is None else out + self.added
