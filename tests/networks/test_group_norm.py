"""Group norm that keeps channels_last: equal to torch's, taken on CUDA alone, and no copy of an image."""

import pytest
import torch
import torch.nn.functional as F
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from kelvin.networks import Shape, blocks, build
from kelvin.networks.blocks import GroupNorm, group_norm_in_place, is_channels_last


@pytest.mark.parametrize(("shape", "groups"), [
    ((4, 64, 28, 28), 8), ((3, 12, 7, 5), 4), ((2, 8, 8, 8), 1), ((2, 6, 4, 4), 6)])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16], ids=str)
def test_it_is_group_norm(shape, groups, kind):
    """Values to 1e-5 of the largest, gradients too, of images with a mean; in the layout of the image."""
    source = torch.Generator().manual_seed(0)
    x = (2 * torch.randn(shape, generator=source) + 3).to(kind).to(memory_format=torch.channels_last)
    weight, bias = torch.randn(2, shape[1], generator=source).unbind()
    given = [x.float().requires_grad_(), weight.requires_grad_(), bias.requires_grad_()]
    expected = F.group_norm(given[0], groups, weight, bias, 1e-5)
    found = group_norm_in_place(given[0] if kind is torch.float32 else x, groups, weight, bias, 1e-5)
    assert is_channels_last(found) and found.dtype is torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))
    if kind is torch.float32:
        slope = torch.randn(shape, generator=source)
        for a, b in zip(*(torch.autograd.grad(y, given, slope) for y in (found, expected)), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5 * float(b.abs().max()))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_on_a_cpu_it_is_torchs_own_to_the_last_bit(layout):
    torch.manual_seed(0)
    x, norm = torch.randn(2, 8, 6, 6).to(memory_format=layout), GroupNorm(2, 8)
    assert torch.equal(norm(x), F.group_norm(x, 2, norm.weight, norm.bias, norm.eps))


class Norms(TorchDispatchMode):
    """Counts torch's own group norms, and copies of images into another layout."""

    def __init__(self):
        super().__init__()
        self.own = self.copies = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.own += func is torch.ops.aten.native_group_norm.default
        if func in (torch.ops.aten.clone.default, torch.ops.aten._to_copy.default):
            moved = is_channels_last(args[0]) != is_channels_last(out)
            self.copies += out.dim() == 4 and out.shape[-1] > 1 and moved
        return out


@pytest.mark.parametrize("is_ours", [True, False])
def test_a_unet_in_channels_last_on_cuda_copies_no_image(monkeypatch, is_ours):
    """On tensors without a device behind them: every norm is ours, and nothing changes its layout."""
    if not is_ours:
        monkeypatch.setattr(blocks, "is_channels_last", lambda x: False)
    network = build({"kind": "unet", "channels": 8, "multipliers": [1, 2], "blocks": 1}, Shape(1, 8, 8))
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        there = network.to("cuda", memory_format=torch.channels_last)
        x = torch.empty(2, 1, 8, 8, device="cuda").to(memory_format=torch.channels_last)
        with Norms() as counted:
            out = there(x, torch.empty(2, device="cuda"))
    assert out.device.type == "cuda"
    assert (counted.own == 0 and counted.copies == 0) if is_ours else counted.own > 5
