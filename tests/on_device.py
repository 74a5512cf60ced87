"""A mode under which what would wait for a device, or bring something from the host to it, is refused."""

import torch
from torch.overrides import TorchFunctionMode

TALK = {"item", "cpu", "tolist", "numpy", "__int__", "__float__", "__bool__", "__index__", "nonzero",
        "masked_select", "unique", "tensor", "from_numpy", "as_tensor", "is_nonzero", "equal"}
MAKERS = {getattr(torch, name) for name in (
    "arange", "zeros", "ones", "full", "empty", "eye", "linspace", "rand", "randn", "randint", "randperm")
    } | {torch.fft.fftfreq, torch.fft.rfftfreq}


class OnDevice(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs, name = kwargs or {}, getattr(func, "__name__", "")
        if name in TALK:
            raise AssertionError(f"{name} talks to the host")
        if func in MAKERS and kwargs.get("device") is None:
            raise AssertionError(f"{name} makes a tensor on the host")
        if name in ("__getitem__", "__setitem__"):
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            if any(isinstance(i, torch.Tensor) and i.dtype == torch.bool for i in index):
                raise AssertionError("boolean indexing asks the device for a size")
        return func(*args, **kwargs)
