"""The bare nets."""

from kelvin.networks import cnn, unet  # noqa: F401 - they enter themselves in the registry
from kelvin.networks.base import Shape, build, flops_per_image, networks, parameter_count
from kelvin.networks.conditioning import Conditioned, condition, conditionings

__all__ = ["Conditioned", "Shape", "build", "condition", "conditionings", "flops_per_image", "networks",
           "parameter_count"]
