"""Every network at every size: shapes, gradients, its parts against plain references, its refusals."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from kelvin import networks
from kelvin.common.errors import KelvinError
from kelvin.networks import Shape, build, flops_per_image, parameter_count
from kelvin.networks.blocks import ConvBlock, GroupNorm, ResBlock, SelfAttention, pad_to
from kelvin.training.ema import EMA

SMALL = {
    "cnn": {"hidden": [4, 6], "kernel": 3},
    "unet": {"channels": 4, "multipliers": [1, 2], "blocks": 1},
    "unet-simple": {"widths": [4, 6, 8, 5, 3]},
    "unet-conv": {"widths": [4, 6, 8, 5, 3], "convolutions": 3},
    "unet-resnet": {"channels": 4, "multipliers": [1, 2, 3], "blocks": [1, 2, 1],
                    "attention": "bottom", "heads": 2, "down": "strided"},
    "fruit-unet": {"channels": 4, "heads": 2},
    "ddpm-unet": {"channels": 4, "multipliers": [1, 2], "blocks": 1, "attention": "bottom"},
}
NEW = ["unet-simple", "unet-conv", "unet-resnet", "fruit-unet", "ddpm-unet"]


def make(kind, shape, **changes):
    torch.manual_seed(0)
    return build({"kind": kind, **SMALL[kind], **changes}, shape)


def inputs(shape, n=2):
    return torch.rand(n, shape.channels, shape.height, shape.width), torch.rand(n)


def test_every_network_is_here():
    assert sorted(SMALL) == networks.networks.kinds()


@pytest.mark.parametrize("kind", SMALL)
@settings(max_examples=6, deadline=None, derandomize=True)
@given(channels=st.sampled_from([1, 2, 3]), height=st.sampled_from([8, 9, 28, 32, 33]),
       width=st.sampled_from([8, 13, 28, 33]))
def test_shapes_and_gradients(kind, channels, height, width):
    """The output has the input's shape; after a step off the zero initialisation every weight learns."""
    shape = Shape(channels, height, width)
    network, (x, time) = make(kind, shape), inputs(shape)
    for p in network.parameters():
        with torch.no_grad():
            p.add_(0.05 * torch.randn_like(p))
    y = network(x, time)
    assert y.shape == x.shape
    (y - x).square().mean().backward()
    for name, p in network.named_parameters():
        assert p.grad is not None and torch.isfinite(p.grad).all(), name
        if shape.height > 8:  # on 8x8 a level may be of one value, whose norm is a constant
            assert p.grad.abs().sum() > 0, name


@pytest.mark.parametrize("kind", SMALL)
def test_at_100_pixels(kind):
    shape = Shape(3, 100, 100)
    network, (x, time) = make(kind, shape), inputs(shape, 1)
    assert network.eval()(x, time).shape == x.shape
    assert flops_per_image(network, shape) > 0


@pytest.mark.parametrize("kind", NEW)
def test_the_time_matters(kind):
    shape = Shape(1, 16, 16)
    network, (x, _) = make(kind, shape).eval(), inputs(shape)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.05 * torch.randn_like(p))
    assert not torch.allclose(network(x, torch.zeros(2)), network(x, torch.ones(2)), atol=1e-6)


@pytest.mark.parametrize("kind", NEW)
def test_dropout_is_off_in_evaluation_and_on_in_training(kind):
    shape = Shape(1, 16, 16)
    network, (x, time) = make(kind, shape, dropout=0.5), inputs(shape)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.05 * torch.randn_like(p))
        assert not torch.equal(network.train()(x, time), network(x, time))
        assert torch.equal(network.eval()(x, time), network(x, time))


def plain_attention(block, x):
    """Softmax of dot products, a pixel at a time."""
    n, c, height, width = x.shape
    rows = block.norm(x).flatten(2).transpose(1, 2)
    q, k, v = (rows @ w.T + b for w, b in zip(block.qkv.weight.chunk(3), block.qkv.bias.chunk(3),
                                              strict=True))
    d, out = c // block.heads, torch.zeros_like(rows)
    for image in range(n):
        for head in range(block.heads):
            part = slice(head * d, (head + 1) * d)
            for pixel in range(height * width):
                score = (k[image, :, part] * q[image, pixel, part]).sum(1) / d**0.5
                weight = score.exp() / score.exp().sum()
                out[image, pixel, part] = (weight[:, None] * v[image, :, part]).sum(0)
    return x + block.out(out).transpose(1, 2).reshape(x.shape)


@pytest.mark.parametrize("heads", [1, 2, 4])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_attention_equals_a_plain_one(heads, memory_format):
    torch.manual_seed(heads)
    block, x = SelfAttention(8, heads), torch.randn(2, 8, 5, 3)
    torch.testing.assert_close(block(x), x, rtol=0, atol=0)  # it starts as the identity
    torch.nn.init.normal_(block.out.weight)
    torch.testing.assert_close(block(x.contiguous(memory_format=memory_format)),
                               plain_attention(block, x), rtol=0, atol=1e-5)


def test_the_paper_network_has_the_papers_parameters():
    """Ho et al.'s CIFAR-10 network as diffusers builds it, but for the time embeddings."""
    diffusers = pytest.importorskip("diffusers")
    with torch.device("meta"):
        ours = build({"kind": "ddpm-unet"}, Shape(3, 32, 32))
        theirs = diffusers.UNet2DModel(
            sample_size=32, block_out_channels=(128, 256, 256, 256), layers_per_block=2,
            down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=None)
    assert parameter_count(theirs) == 35_746_307
    assert (parameter_count(ours) - parameter_count(ours.time)
            == parameter_count(theirs) - parameter_count(theirs.time_embedding))


def test_batch_norm_statistics_are_copied_by_ema():
    shape = Shape(1, 8, 8)
    network, (x, time) = make("unet-simple", shape).train(), inputs(shape, 8)
    ema = EMA(network, 0.99)
    network(x + 3, time)
    ema.update(network, torch.tensor(0.5))
    pairs = list(zip(ema.network.named_buffers(), network.buffers(), strict=True))
    assert any("running_mean" in name for (name, _), _ in pairs)
    assert all(torch.equal(a, b) for (_, a), b in pairs)
    assert next(b for (n, b), _ in pairs if n.endswith("running_mean")).abs().sum() > 0


def test_norms_are_the_studys():
    assert any(isinstance(m, torch.nn.BatchNorm2d) for m in make("unet-simple", Shape(1, 8, 8)).modules())
    for kind in NEW[1:]:
        kinds = {type(m) for m in make(kind, Shape(1, 8, 8)).modules()}
        assert GroupNorm in kinds and torch.nn.BatchNorm2d not in kinds


def test_widths_are_read_as_in_the_study():
    """Down 64, 128, bottom 128, up 64, 32."""
    network = build({"kind": "unet-simple", "widths": [64, 128, 128, 64, 32]}, Shape(1, 28, 28))
    seen = []
    for block in network.modules():
        if isinstance(block, ConvBlock):
            block.register_forward_hook(lambda *a: seen.append(tuple(a[2].shape[1:])))
    network.eval()(*inputs(Shape(1, 28, 28), 1))
    assert seen == [(64, 28, 28), (128, 14, 14), (128, 7, 7), (64, 14, 14), (32, 28, 28)]


def test_fruit_unet_has_fewer_levels_on_small_images():
    levels = {side: len(build({"kind": "fruit-unet"}, Shape(3, side, side)).down)
              for side in (4, 8, 28, 100)}
    assert levels == {4: 1, 8: 2, 28: 3, 100: 3}


def test_a_block_without_dropout_draws_nothing():
    block, x = ResBlock(4, 4, 8).train(), torch.randn(2, 4, 6, 6)
    before = torch.get_rng_state()
    block(x, torch.randn(2, 8, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(torch.get_rng_state(), before)


def test_padding_to_a_skip_repeats_the_edge():
    x = torch.arange(4.0).view(1, 1, 2, 2)
    assert torch.equal(pad_to(x, torch.empty(1, 1, 3, 3)),
                       torch.tensor([[[[0, 1, 1], [2, 3, 3], [2, 3, 3]]]]).float())
    assert pad_to(x, F.pad(x, (0, 0))) is x


@pytest.mark.parametrize("kind, side, changes, words", [
    ("unet-simple", 8, {"widths": [4, 4, 4, 4]}, "odd number"),
    ("unet-simple", 2, {}, "give fewer"),
    ("unet-resnet", 8, {"attention": [16]}, "sides of 8, 4, 2 pixels"),
    ("unet-resnet", 8, {"blocks": [1]}, "an entry for each of the 3"),
    ("unet-resnet", 8, {"heads": 5}, "must divide the 12 channels"),
    ("ddpm-unet", 8, {"attention": [16]}, "sides of 8, 4 pixels"),
    ("ddpm-unet", 2, {"multipliers": [1, 1, 1]}, "give fewer"),
    ("fruit-unet", 3, {}, "at least 4x4"),
    ("fruit-unet", 8, {"dropout": 1.0}, "network.dropout = 1.0"),
])
def test_refusals(kind, side, changes, words):
    with pytest.raises(KelvinError, match=words):
        make(kind, Shape(1, side, side), **changes)
