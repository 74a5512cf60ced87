"""The bare nets."""

from kelvin.networks import (  # noqa: F401 - they enter themselves in the registry
    cnn,
    ddpm_unet,
    fruit_unet,
    unet,
    unet_conv,
    unet_resnet,
    unet_simple,
)
from kelvin.networks.base import Shape, build, flops_per_image, networks, parameter_count
from kelvin.networks.conditioning import Conditioned, condition, conditionings

__all__ = ["Conditioned", "Shape", "build", "condition", "conditionings", "flops_per_image", "networks",
           "parameter_count"]
