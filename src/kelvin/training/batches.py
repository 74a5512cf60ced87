"""What a batch draws besides its images: the time of each, and whether it is mirrored."""

from __future__ import annotations

import torch


def draw_times(kind: str, n: int, steps: int, source: torch.Generator) -> torch.Tensor:
    """Times of n images, (n,) int64 in 1..T, T included; each image's own is uniform either way.

    uniform: independent. stratified: one uniform shift of n even spacings, so that every batch
    covers 1..T evenly (Kingma et al. 2021, appendix I.1), in a drawn order. On the device of `source`.
    """
    device = source.device
    if kind == "uniform":
        return torch.randint(1, steps + 1, (n,), generator=source, device=device)
    shift = torch.rand(1, generator=source, dtype=torch.float64, device=device)
    even = (torch.arange(n, dtype=torch.float64, device=device) + shift) / n
    times = 1 + (even * steps).long().clamp(max=steps - 1)
    return times[torch.randperm(n, generator=source, device=device)]


def mirrored(images: torch.Tensor, flip: torch.Tensor) -> torch.Tensor:
    """Images (n, C, H, W), left and right exchanged where flip (n,) is true."""
    return torch.where(flip.view(-1, 1, 1, 1), images.flip(-1), images)
