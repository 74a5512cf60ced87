"""Which device a stage without accelerate's loop runs on."""

import torch


def pick_device() -> torch.device:
    """accelerate's choice (it honours ACCELERATE_USE_CPU and its own configuration)."""
    from accelerate import PartialState

    return PartialState().device
