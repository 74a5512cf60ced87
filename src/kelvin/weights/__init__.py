"""Published weights, in use: draw, degrade, restore."""

from kelvin.weights.images import Degraded, Samples, Trajectory
from kelvin.weights.published import Published, load, publish

__all__ = ["Degraded", "Published", "Samples", "Trajectory", "load", "publish"]
