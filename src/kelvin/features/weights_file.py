"""A network of published weights: the file checked before anything reads it, and why it is not used."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch


class Published(NamedTuple):
    """name: what a sentence calls the file; holds: what should be in it; null: how the sentence begins,
    with what is null without it; remedy: how it ends."""

    name: str
    holds: str
    sha256: str
    null: str
    remedy: str


def load_network(path: Path, published: Published,
                 build: Callable[[Mapping[str, Any]], torch.nn.Module]) -> torch.nn.Module | str:
    """The network that `build` makes of the file's tensors, or why there is none: one sentence.

    A file with another sha256 is refused before it is unpickled.
    """
    name, null, remedy = published.name, published.null, published.remedy
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return f"{null}{name} cannot be read ({error.strerror}); {remedy}"
    if digest != published.sha256:
        return f"{null}{name} has sha256 {digest}, not {published.sha256}; {remedy}"
    import torch

    try:
        return build(torch.load(path, map_location="cpu", weights_only=True))
    except Exception:  # bytes that are no such file make the unpickler raise anything
        return f"{null}{name} does not hold {published.holds}; {remedy}"
