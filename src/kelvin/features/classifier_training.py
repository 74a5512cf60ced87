"""Training of the classifier that FMD is measured with (study A)."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from kelvin.common.divergence import diverged, not_finite
from kelvin.common.errors import KelvinError
from kelvin.common.progress import progress_bar
from kelvin.common.streams import derive_seed, generator
from kelvin.config.schema import ClassifierConfig
from kelvin.features.classifier_network import Classifier


def train_classifier(config: ClassifierConfig, network: Classifier, images: np.ndarray,
                     labels: np.ndarray, seed: int) -> list[float]:
    """Cross-entropy, Adam, full batches in a seeded order; returns the mean loss of each epoch.

    images uint8 (n, C, H, W); the first `config.images` of them are used. KelvinError where losses,
    weights or, at the end, features are not finite.
    """
    device = next(network.parameters()).device
    images = torch.from_numpy(np.ascontiguousarray(images[: config.images])).to(device)
    labels = torch.from_numpy(np.ascontiguousarray(labels[: config.images])).long().to(device)
    torch.manual_seed(derive_seed(seed, "classifier"))
    for module in network.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    optimizer = torch.optim.Adam(network.parameters(), config.lr, fused=True)
    batch, history = min(config.batch, len(images)), []
    network.to(memory_format=torch.channels_last).train()
    with progress_bar(config.epochs, "classifier", "epoch") as bar:
        for epoch in range(1, config.epochs + 1):
            order = torch.randperm(len(images), generator=generator(seed, "classifier", epoch))
            losses = []
            for first in range(0, len(images) - batch + 1, batch):
                index = order[first:first + batch].to(device)
                loss = F.cross_entropy(network(images[index].float() / 255), labels[index])
                loss.backward()
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                losses.append(loss.detach())
            history.append(float(torch.stack(losses).mean()))
            if what := not_finite({"running_loss": history[-1]}, network):
                raise failed(config, f"{what} after epoch {epoch} of {config.epochs}")
            bar.set_postfix(loss=f"{history[-1]:.4f}", refresh=False)
            bar.update()
    network.eval()
    for part in features_and_probabilities(network, images[:batch].cpu().numpy()):
        if not np.isfinite(part * part).all():  # every distance squares them
            raise failed(config, "its features or their squares are not finite after the last epoch")
    return history


def failed(config: ClassifierConfig, what: str) -> KelvinError:
    return diverged("training of the classifier", what, f"a lower classifier.lr (now {config.lr:g})")


@torch.no_grad()
def features_and_probabilities(network: Classifier, images: np.ndarray, batch: int = 256
                               ) -> tuple[np.ndarray, np.ndarray]:
    """Penultimate features (n, d) and class probabilities (n, K) of uint8 or [0, 1] images."""
    device, features, probabilities = next(network.parameters()).device, [], []
    for first in range(0, len(images), batch):
        chunk = torch.from_numpy(np.ascontiguousarray(images[first:first + batch])).to(device)
        chunk = chunk.float() / 255 if chunk.dtype == torch.uint8 else chunk.float()
        f = network.features(chunk)
        features.append(f)
        probabilities.append(network.head(f).softmax(1))
    # to the host once, not at every batch
    return torch.cat(features).cpu().numpy(), torch.cat(probabilities).cpu().numpy()
