"""Kelvin: one scale for hot and cold diffusion.

    import kelvin
    kelvin.load("weights/hot.safetensors").sample(16).save("digits.png")
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing's, which takes time to import
if TYPE_CHECKING:
    from kelvin.weights import Published


def load(path: str) -> Published:
    """A published weight file, ready to draw images from; see kelvin.weights."""
    from kelvin.weights import load

    return load(path)
