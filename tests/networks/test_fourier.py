"""FourierConv2d is nn.Conv2d: values and gradients against it, and the rule that says where it runs."""

import pytest
import torch
from torch import nn

from kelvin.common.errors import KelvinError
from kelvin.networks import fourier
from kelvin.networks.fourier import CHUNK, FourierConv2d, pays

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def always(monkeypatch):
    """The product of spectra at every size, and a count of how often it ran."""
    calls = []
    apply = fourier.Convolve.apply
    monkeypatch.setattr(fourier, "pays", lambda *_: True)
    monkeypatch.setattr(fourier.Convolve, "apply", lambda *a: calls.append(1) or apply(*a))
    return calls


def evaluate(conv, x, weighting):
    """Value, and gradients for input, weight and bias."""
    x = x.detach().clone().requires_grad_()
    y = conv(x)
    (y * weighting).sum().backward()
    return [y.detach(), x.grad] + [p.grad for p in conv.parameters()]


def pair(inputs, outputs, kernel, **options):
    plain = nn.Conv2d(inputs, outputs, kernel, padding="same", **options)
    ours = FourierConv2d(inputs, outputs, kernel, padding="same", **options)
    ours.load_state_dict(plain.state_dict())
    return plain, ours


SIZES = [(1, 3, 5, 28, 28, 7), (CHUNK + 3, 2, 3, 9, 6, 3), (2, 1, 2, 8, 11, (5, 3)),
         (2, 2, 1, 3, 4, 9), (3, 4, 4, 1, 1, 1), (2, 2, 2, 7, 8, 13)]


@pytest.mark.parametrize("n, c, o, h, w, kernel", SIZES)
@pytest.mark.parametrize("bias", [True, False])
def test_equals_conv2d_in_float64(always, n, c, o, h, w, kernel, bias):
    torch.manual_seed(0)
    plain, ours = pair(c, o, kernel, bias=bias, dtype=torch.float64)
    x = torch.randn(n, c, h, w, dtype=torch.float64)
    weighting = torch.randn(n, o, h, w, dtype=torch.float64)
    for a, b in zip(evaluate(ours, x, weighting), evaluate(plain, x, weighting), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12 * max(1, b.abs().max().item()))
    assert always


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_float32_is_within_1e5_of_float64(always, memory_format):
    """Relative to the largest value, also in the gradients; the study's widest layer."""
    torch.manual_seed(0)
    plain, ours = pair(32, 64, 7)
    x, weighting = torch.rand(5, 32, 28, 28), torch.randn(5, 64, 28, 28)
    found = evaluate(ours, x.to(memory_format=memory_format), weighting)
    exact = evaluate(plain.double(), x.double(), weighting.double())
    for a, b in zip(found, exact, strict=True):
        assert a.dtype == torch.float32 and a.shape == b.shape
        assert (a - b).abs().max() < 1e-5 * b.abs().max()
    assert always


def test_gradcheck(always):
    conv = FourierConv2d(2, 3, (3, 5), padding=(1, 2), dtype=torch.float64)
    x = torch.randn(2, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x, *p: fourier.Convolve.apply(x, *p), (x, conv.weight, conv.bias))


def test_gradients_only_where_asked(always):
    _, ours = pair(2, 3, 3)
    ours.weight.requires_grad_(False)
    ours(torch.randn(2, 2, 6, 6)).sum().backward()
    assert ours.weight.grad is None
    torch.testing.assert_close(ours.bias.grad, torch.full((3,), 72.0))


def test_without_gradients_and_without_images(always):
    plain, ours = pair(2, 3, 5)
    x = torch.randn(4, 2, 9, 9)
    with torch.no_grad():
        y = ours.eval()(x)
        torch.testing.assert_close(y, plain(x), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(ours(x[1:2]), y[1:2], rtol=1e-5, atol=1e-6)
        assert ours(x[:0]).shape == (0, 3, 9, 9)
    assert not y.requires_grad


def test_autocast_defers_to_conv2d(always):
    plain, ours = pair(8, 8, 7)
    x = torch.randn(2, 8, 12, 12)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(ours(x), plain(x)) and ours(x).dtype == torch.bfloat16
    assert not always


def test_where_it_does_not_pay_it_is_conv2d():
    plain, ours = pair(4, 4, 3)
    x = torch.randn(2, 4, 8, 8)
    assert torch.equal(ours(x), plain(x))


def test_the_rule():
    """Yes for the study's wide layers, no for its ends, small images, small kernels, other devices."""
    def at(c, o, k, n, device=CPU, dtype=torch.float32):
        return pays(c, o, (k, k), n, n, device, dtype)

    assert all(at(c, o, 7, 28) for c, o in [(16, 32), (32, 64), (64, 32), (32, 16)])
    assert not at(1, 16, 7, 28) and not at(16, 1, 3, 28)
    assert not at(32, 32, 3, 8) and not at(64, 64, 3, 28) and not at(64, 64, 1, 28)
    assert not at(32, 64, 7, 28, CUDA) and not at(32, 64, 7, 28, dtype=torch.bfloat16)


@pytest.mark.parametrize("options", [{"stride": 2, "padding": 1}, {"padding": 0}, {"padding": 2},
                                     {"padding": 1, "groups": 2}, {"padding": 2, "dilation": 2},
                                     {"padding": 1, "padding_mode": "circular"}])
def test_other_convolutions_are_refused(options):
    with pytest.raises(KelvinError, match="use nn.Conv2d"):
        FourierConv2d(2, 2, 3, **options)
    with pytest.raises(KelvinError, match="odd kernels"):
        FourierConv2d(2, 2, 4, padding=2)
