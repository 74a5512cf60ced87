"""Compiled networks, cached for the next process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

import torch

from kelvin.common.files import project_root

if TYPE_CHECKING:
    from torch import nn


def compiled(network: nn.Module, **options: Any) -> nn.Module:
    """The network, compiled at its first call. The code is cached in the project's scratch folder (or in
    TORCHINDUCTOR_CACHE_DIR), so that each shape is compiled once. options: those of torch.compile."""
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(project_root() / ".kelvin" / "inductor"))
    return cast("nn.Module", torch.compile(network, **options))
