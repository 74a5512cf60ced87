"""Kelvin: one scale for hot and cold diffusion.

    import kelvin
    kelvin.load("weights/hot.safetensors").sample(16).save("digits.png")
    print(kelvin.score("mine/", "real/"))
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing's, which takes time to import
if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any

    from kelvin.scoring.results import Scores
    from kelvin.weights import Published


def load(path: str | Path, *, own_parts: bool = False) -> Published:
    """A weight file, ready to sample, degrade and restore; see kelvin.weights.published."""
    from kelvin.weights import load

    return load(path, own_parts=own_parts)


def score(theirs: Any, real: Any, resize: int | tuple[int, int] | None = None,
          features: Sequence[str] | None = None, seed: int = 0, cache: str | Path | None = None
          ) -> Scores:
    """Score images that somebody made against real ones; see kelvin.scoring.score."""
    from kelvin.scoring.score import score

    return score(theirs, real, resize, features, seed, cache)
