"""Compiled networks, kept for the next process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

import torch

from kelvin.common.files import project_root

if TYPE_CHECKING:
    from torch import nn


def compiled(network: nn.Module, **options: Any) -> nn.Module:
    """The network compiled at its first call; what was compiled is kept in the project's scratch folder,
    so that it is done once for a shape (TORCHINDUCTOR_CACHE_DIR names another). options: those of
    torch.compile."""
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(project_root() / ".kelvin" / "inductor"))
    return cast("nn.Module", torch.compile(network, **options))
