"""Classifier-free guidance (Ho and Salimans 2022): a conditional network steered by a weight."""

from __future__ import annotations

import torch

from kelvin.common.errors import KelvinError


class Guided:
    """A network (x, time) -> prediction of images of the fixed classes `labels` (n,).

    prediction = u + w (c - u), u without and c with the class: w = 0 unconditional, 1 conditional,
    above 1 guided (1 + w in the paper's eq. 6). Predictions are mixed, as the paper does with eps:
    every parameterisation's x0_hat is affine in its prediction and the weights 1 - w and w sum
    to 1, so that mixing unclipped x0_hat would be the same, for hot and for cold processes. Clipping
    comes after it. u and c are one call of the network on a batch of 2n; w = 0 and w = 1 need only
    one of them. Channels beyond the image's (a learned variance) are those of c.
    """

    def __init__(self, network: torch.nn.Module, labels: torch.Tensor, weight: float) -> None:
        classes = getattr(network, "classes", 0)
        if not classes:
            raise KelvinError("this network was trained without classes, so it cannot be asked for one; "
                              "train a run with conditioning.kind = classes")
        if len(labels) and not (int(labels.min()) >= 0 and int(labels.max()) < classes):
            raise KelvinError(f"labels run from {int(labels.min())} to {int(labels.max())}, but the "
                              f"network knows the classes 0 to {classes - 1}")
        self.network, self.weight = network, weight
        null = torch.full_like(labels, classes)
        both = [null] if weight == 0 else [labels] if weight == 1 else [null, labels]
        self.labels, self.n, self.evaluations = torch.cat(both), len(labels), len(both)

    def __call__(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        if len(x) != self.n:
            raise KelvinError(f"{len(x)} images were given to a restorer of {self.n} labels")
        if self.evaluations == 1:
            return self.network(x, time, self.labels)
        out = self.network(torch.cat([x, x]), torch.cat([time, time]), self.labels)
        u, c = out.chunk(2)
        image = x.shape[1]
        mixed = u[:, :image] + self.weight * (c - u)[:, :image]
        return torch.cat([mixed, c[:, image:]], 1)


def balanced_labels(n: int, classes: int) -> torch.Tensor:
    """Labels (n,) of samples: i mod classes, so balanced, and independent of the batch size."""
    return torch.arange(n) % classes
