"""Class embeddings: of every network, absent by default, null where no label is given."""

import copy

import pytest
import torch
from torch import nn

from kelvin.common.errors import KelvinError
from kelvin.networks import Conditioned, Shape, build, condition, flops_per_image, parameter_count

SHAPE = Shape(1, 8, 8)
EXAMPLES = [{"kind": "cnn", "hidden": [4, 6, 4], "kernel": 3},
            {"kind": "unet", "channels": 8, "multipliers": [1, 2], "blocks": 1}]
CLASSES = {"kind": "classes", "drop": 0.1}


def network(section, kind=CLASSES, classes=10):
    torch.manual_seed(0)
    made = condition(kind, build(section, SHAPE), classes)
    with torch.no_grad():  # layers that start at zero would hide the class
        for p in made.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(1)))
    return made


def inputs(n=4):
    source = torch.Generator().manual_seed(2)
    return torch.randn(n, 1, 8, 8, generator=source), torch.linspace(0.1, 1, n)


@pytest.mark.parametrize("section", EXAMPLES, ids=lambda s: s["kind"])
def test_none_changes_nothing(section):
    torch.manual_seed(0)
    plain = build(section, SHAPE)
    after = torch.rand(1)
    torch.manual_seed(0)
    none = condition({"kind": "none"}, build(section, SHAPE), 10)
    assert torch.equal(torch.rand(1), after)  # no draw was taken
    assert type(none) is type(plain) and list(none.state_dict()) == list(plain.state_dict())
    torch.manual_seed(0)
    told = condition(CLASSES, build(section, SHAPE), 10)
    for name, weight in plain.state_dict().items():
        assert torch.equal(none.state_dict()[name], weight)
        assert torch.equal(told.state_dict()[f"network.{name}"], weight)


@pytest.mark.parametrize("section", EXAMPLES, ids=lambda s: s["kind"])
def test_the_class_reaches_its_own_image_only(section):
    made, (x, time) = network(section), inputs()
    labels = torch.tensor([0, 3, 9, 10])
    out = made(x, time, labels)
    other = made(x, time, torch.tensor([1, 3, 9, 10]))
    assert not torch.allclose(out[0], other[0], atol=1e-4)
    torch.testing.assert_close(out[1:], other[1:])
    torch.testing.assert_close(out[3:], made(x[3:], time[3:]))  # no label is the null class
    out.square().sum().backward()
    seen = made.embedding.weight.grad.abs().sum(1) > 0
    assert seen.nonzero().flatten().tolist() == [0, 3, 9, 10]
    assert made.time.added is None  # nothing is left behind for the next call


@pytest.mark.parametrize("section", EXAMPLES, ids=lambda s: s["kind"])
def test_it_is_the_class_embedding_added_to_the_time_embedding(section):
    """A class vector put into the last bias of the time MLP by hand gives the same output."""
    made, (x, time) = network(section), inputs()
    by_hand = copy.deepcopy(made.network)
    with torch.no_grad():
        by_hand.time.mlp[-1].bias += made.embedding.weight[7]
    torch.testing.assert_close(made(x, time, torch.full((4,), 7)), by_hand(x, time))


def test_copies_are_independent_and_cost_is_that_of_the_network():
    made, (x, time) = network(EXAMPLES[1]), inputs()
    twin = copy.deepcopy(made)
    with torch.no_grad():
        twin.embedding.weight.zero_()
    assert not torch.allclose(made(x, time), twin(x, time))
    assert flops_per_image(made, SHAPE) == flops_per_image(made.network, SHAPE)
    assert parameter_count(made) == parameter_count(made.network) + 11 * 32
    assert network(EXAMPLES[0]).contiguous and not made.contiguous  # see kelvin.common.hardware


class Timeless(nn.Module):
    """A user's own network that takes the time in its own way."""

    def forward(self, x, time):
        return x * time[:, None, None, None]


def test_refusals():
    with pytest.raises(KelvinError, match="Timeless has no modules of the type .*TimeEmbedding; give"):
        Conditioned(Timeless(), 10, drop=0.1)
    two = nn.ModuleList([build(EXAMPLES[0], SHAPE), build(EXAMPLES[0], SHAPE)])
    with pytest.raises(KelvinError, match="ModuleList has 2 modules"):
        Conditioned(two, 10, drop=0.1)
    with pytest.raises(KelvinError, match="at least 2 classes, but this one has 1"):
        network(EXAMPLES[0], classes=1)
    for drop in (0.0, 1.0):
        with pytest.raises(KelvinError, match=r"runs.a.conditioning.drop = "):
            condition({"kind": "classes", "drop": drop}, build(EXAMPLES[0], SHAPE), 10,
                      "runs.a.conditioning")
    with pytest.raises(KelvinError, match="no such conditioning; known are classes, none"):
        condition({"kind": "text"}, build(EXAMPLES[0], SHAPE), 10)
