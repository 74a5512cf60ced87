"""The backward side: parameterisation, objectives, samplers."""

from kelvin.restoration.restorer import Restoration, Restorer
from kelvin.restoration.samplers import samplers, times

__all__ = ["Restoration", "Restorer", "samplers", "times"]
