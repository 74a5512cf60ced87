"""Every network: same shape out as in, gradients everywhere, time and input both matter."""

import pytest
import torch
from torch import nn

from kelvin.common.errors import KelvinError
from kelvin.features.classifier_network import Classifier
from kelvin.networks import Shape, build, flops_per_image, networks, parameter_count
from kelvin.networks.embeddings import TimeEmbedding

EXAMPLES = [{"kind": "cnn", "hidden": [4, 6, 4], "kernel": 7},
            {"kind": "unet", "channels": 8, "multipliers": [1, 2, 2], "blocks": 2},
            {"kind": "unet-simple", "widths": [8, 12, 16, 8, 6]},
            {"kind": "unet-conv", "widths": [8, 12, 16, 8, 6]},
            {"kind": "unet-resnet", "channels": 8, "multipliers": [1, 2], "blocks": [1, 2],
             "attention": "bottom"},
            {"kind": "fruit-unet", "channels": 8},
            {"kind": "ddpm-unet", "channels": 8, "multipliers": [1, 2], "blocks": 1,
             "attention": "bottom"}]
SHAPES = [Shape(1, 8, 8), Shape(3, 13, 10), Shape(1, 28, 28)]


def awake(network):
    """Zero-initialised layers filled, so that every path is alive."""
    torch.manual_seed(0)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.1 * torch.randn(p.shape))
    return network


def test_every_network_has_an_example():
    assert {e["kind"] for e in EXAMPLES} == set(networks.kinds())


@pytest.mark.parametrize("section", EXAMPLES, ids=lambda s: s["kind"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shape_gradients_and_inputs(section, shape):
    network = awake(build(section, shape)).eval()  # batch norm by its statistics, no dropout
    x = torch.randn(3, shape.channels, shape.height, shape.width, requires_grad=True)
    out = network(x, torch.tensor([0.1, 0.5, 1.0]))
    assert out.shape == x.shape
    (out * torch.randn_like(out)).sum().backward()
    assert x.grad.abs().sum() > 0
    for name, p in network.named_parameters():
        assert p.grad is not None and p.grad.abs().sum() > 0, name
    other = network(x, torch.tensor([0.9, 0.5, 1.0]))
    assert not torch.allclose(out[0], other[0]) and torch.allclose(out[1:], other[1:], atol=1e-5)
    alone = network(x[1:2], torch.tensor([0.5]))
    torch.testing.assert_close(alone, out[1:2], rtol=1e-4, atol=1e-5)  # no mixing over the batch


def test_cnn_is_the_studys_network():
    """The parameter count by hand: convolutions, LayerNorm over (C, H, W), embedding, last 3x3."""
    widths = [1, 16, 32, 64, 32, 16]
    count = sum(a * b * 49 + b + 2 * b * 28 * 28 for a, b in zip(widths, widths[1:], strict=False))
    count += 32 * 128 + 128 + 128 * 128 + 128 + 128 * 16 + 16 + 16 * 9 + 1
    network = build({"kind": "cnn", "hidden": widths[1:], "kernel": 7}, Shape(1, 28, 28))
    assert parameter_count(network) == count
    assert [type(m).__name__ for m in network.blocks[0]] == ["FourierConv2d", "LayerNorm", "GELU"]
    assert network.blocks[2][1].normalized_shape == (64, 28, 28)


def test_flops_of_one_convolution():
    network = build({"kind": "cnn", "hidden": [1], "kernel": 1}, Shape(1, 8, 8))
    embedding = 2 * (32 * 128 + 128 * 128 + 128)
    assert flops_per_image(network, Shape(1, 8, 8)) == 2 * 64 * (1 + 9) + embedding


def test_flops_do_not_depend_on_how_a_convolution_is_computed():
    network = build({"kind": "cnn", "hidden": [16, 32, 64, 32, 16], "kernel": 7}, Shape(1, 28, 28))
    pairs = [1 * 16, 16 * 32, 32 * 64, 64 * 32, 32 * 16]
    embedding = 2 * (32 * 128 + 128 * 128 + 128 * 16)
    expected = 2 * 784 * (49 * sum(pairs) + 9 * 16) + embedding
    assert flops_per_image(network, Shape(1, 28, 28)) == expected


def test_embedding_is_32_sines_and_cosines():
    embedding = TimeEmbedding(5)
    assert len(embedding.frequencies) == 16
    ratios = embedding.frequencies[1:] / embedding.frequencies[:-1]
    torch.testing.assert_close(ratios, ratios[:1].expand(15), rtol=1e-4, atol=0)
    assert embedding.mlp[0].in_features == 32 and embedding(torch.rand(7)).shape == (7, 5)


@pytest.mark.parametrize(("shape", "features"), [(Shape(1, 8, 8), 64), (Shape(1, 28, 28), 1024),
                                                 (Shape(3, 32, 32), 256)], ids=str)
def test_classifier_features(shape, features):
    network = Classifier(shape, [32, 64, 128, 64], features, 10).eval()
    x = torch.rand(4, shape.channels, shape.height, shape.width)
    assert network.features(x).shape == (4, features) and network(x).shape == (4, 10)
    torch.testing.assert_close(network.head(network.features(x)), network(x))
    assert sum(isinstance(m, nn.Conv2d) for m in network.body) == 4


def test_impossible_parts_are_refused():
    with pytest.raises(KelvinError, match="times a square number"):
        Classifier(Shape(1, 8, 8), [32, 64], 100, 10)
    with pytest.raises(KelvinError, match="no such network; known are cnn, ddpm-unet, fruit-unet, unet"):
        build({"kind": "resnet"}, Shape(1, 8, 8))
    with pytest.raises(KelvinError, match="network.kernel = 0"):
        build({"kind": "cnn", "hidden": [4], "kernel": 0}, Shape(1, 8, 8))
