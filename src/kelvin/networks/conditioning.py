"""Conditioning of a network, besides image and time: none, or a class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import nn

from kelvin.common.errors import KelvinError
from kelvin.config.registry import Registry
from kelvin.networks.embeddings import TimeEmbedding

conditionings = Registry("conditioning")


def condition(section: Mapping[str, Any], network: nn.Module, classes: int,
              where: str = "conditioning") -> nn.Module:
    """The network as a section of params.yaml conditions it, for a data set of that many classes."""
    return conditionings.build(section, network, classes, where=where)


@conditionings.register("none")
def unconditional(network: nn.Module, classes: int) -> nn.Module:
    """The network itself."""
    return network


@conditionings.register("classes")
class Conditioned(nn.Module):
    """Any network with one TimeEmbedding: an embedding of the class is added to that of the time.

    forward(x (n, C, H, W), time (n,), labels (n,) in 0..classes); the label `classes` is the null
    class, and stands where labels are absent: called as (x, time) it is the unconditional network
    (Ho and Salimans 2022, section 3.2). drop: the share of training labels replaced by the null class
    (kelvin.training.labels). KelvinError where the network has no TimeEmbedding, or several.
    """

    def __init__(self, network: nn.Module, classes: int, *,
                 drop: Annotated[float, Field(gt=0, lt=1)]) -> None:
        super().__init__()
        places = [name for name, m in network.named_modules() if isinstance(m, TimeEmbedding)]
        if len(places) != 1:
            raise KelvinError(
                f"conditioning.kind = 'classes' adds the class to a network's time embedding, but "
                f"{type(network).__name__} has {len(places) or 'no'} modules of the type "
                "kelvin.networks.embeddings.TimeEmbedding; give it one, or set conditioning.kind to none")
        if classes < 2:
            raise KelvinError("conditioning.kind = 'classes' needs a data set of at least 2 classes, but "
                              f"this one has {classes}; set conditioning.kind to none")
        self.network, self.classes, self.drop, self.place = network, classes, drop, places[0]
        self.contiguous = getattr(network, "contiguous", False)  # see kelvin.common.hardware
        self.embedding = nn.Embedding(classes + 1, self.time.mlp[-1].out_features)

    @property
    def time(self) -> TimeEmbedding:
        return self.network.get_submodule(self.place)

    def forward(self, x: torch.Tensor, time: torch.Tensor,
                labels: torch.Tensor | None = None) -> torch.Tensor:
        if labels is None:
            labels = torch.full((len(x),), self.classes, device=x.device)
        embedding = self.time
        embedding.added = self.embedding(labels)
        try:
            return self.network(x, time)
        finally:
            embedding.added = None
