"""Guidance: the paper's mixture, in predictions or in x0 alike, hot and cold, batch by batch."""

import pytest
import torch
from helpers import blur, image, noise, unit_images

from kelvin import degradations
from kelvin.common.errors import KelvinError
from kelvin.common.streams import generator
from kelvin.restoration.guidance import Guided, balanced_labels
from kelvin.restoration.restorer import Restorer
from kelvin.sampling.trajectories import decoding, generate

DDIM = {"kind": "ddim", "steps": 5, "eta": 0.0}
IMPROVED = {"kind": "improved", "steps": "all", "z": "kept"}


class Told:
    """A network of 3 classes in closed form: a nonlinear map shifted by the class; 3 is null."""

    classes = 3

    def __init__(self):
        self.batches = []

    def __call__(self, x, time, labels=None):
        self.batches.append(len(x))
        shift = torch.zeros(len(x)) if labels is None else torch.tensor([0.5, -0.4, 0.9, 0.0])[labels]
        return (x * (1 + time.view(-1, 1, 1, 1)) + shift.to(x.dtype).view(-1, 1, 1, 1)).sin()


def heat():
    return degradations.build(
        image(), {"kind": "heat-dissipation", "sigma": 0.5, "sigma_start": 0.05, "noise": 0.01},
        {"kind": "own", "steps": 10}, {"kind": "constant", "level": 0.0, "jitter": 0.0})


CASES = [(noise, "eps"), (noise, "x0"), (noise, "v"), (noise, "velocity"), (blur, "x0"),
         (heat, "previous")]


@pytest.mark.parametrize(("process", "target"), CASES, ids=[f"{p.__name__}-{t}" for p, t in CASES])
@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0, 3.0])
def test_mixing_predictions_is_mixing_x0_hat(process, target, weight):
    """x0_u + w (x0_c - x0_u) from two unclipped restorations: within 1e-9 in float64 (relative)."""
    made, labels = process(), torch.tensor([0, 1, 2, 2])
    restorer = Restorer(Told(), target, made, image(), clip=False)
    x = torch.randn(4, 1, 8, 8, generator=generator(0), dtype=torch.float64)
    t = torch.tensor([1, 2, made.steps // 2, made.steps])
    time = t.double() / made.steps
    without, given = (restorer.x0_hat(Told()(x, time, told), x, t) for told in (None, labels))
    guided = restorer.conditional(labels, weight)
    found = guided.x0_hat(guided.predict(x, t), x, t)
    torch.testing.assert_close(found, without + weight * (given - without), rtol=1e-9, atol=1e-9)


def test_clipping_comes_after_the_mixture():
    """At w = 3 mixtures of clipped and of unclipped x0_hat differ; the restorer gives the latter."""
    restorer = Restorer(Told(), "x0", blur(), image(low=-0.5, high=0.5), clip=True)
    x, t = torch.randn(2, 1, 8, 8, generator=generator(0)), torch.tensor([3, 8])
    labels = torch.tensor([0, 2])
    bare = [Told()(x, t / 8, told) for told in (None, labels)]
    after = (bare[0] + 3 * (bare[1] - bare[0])).clamp(-0.5, 0.5)
    clipped = [b.clamp(-0.5, 0.5) for b in bare]
    before = (clipped[0] + 3 * (clipped[1] - clipped[0])).clamp(-0.5, 0.5)
    found = restorer.conditional(labels, 3.0)(x, t).x0_hat
    torch.testing.assert_close(found, after)
    assert (after - before).abs().max() > 0.1


def test_one_call_of_2n_and_its_cost():
    for weight, batch, nfe in ((0, 4, 1), (1, 4, 1), (2, 8, 2)):
        network = Told()
        restorer = Restorer(network, "x0", blur(), image(), clip=True)
        guided = restorer.conditional(torch.tensor([0, 1, 2, 0]), weight)
        guided(torch.zeros(4, 1, 8, 8), torch.full((4,), 3))
        assert network.batches == [batch] and guided.evaluations == nfe and restorer.evaluations == 0
    drawn = generate(restorer_of(noise), DDIM, 6, (0,), 4, labels=balanced_labels(6, 3), guidance=2.0)
    assert drawn.nfe == 10
    assert generate(restorer_of(noise), DDIM, 6, (0,), 4).nfe == 5


def restorer_of(process):
    made = process()
    if process is blur:
        made.prior.fit(image().encode(unit_images(80, image())))
    return Restorer(Told(), "eps" if process is noise else "x0", made, image(), clip=True)


@pytest.mark.parametrize(("process", "section"), [(noise, DDIM), (blur, IMPROVED)], ids=["hot", "cold"])
@pytest.mark.parametrize("weight", [1.0, 2.5])
def test_samples_do_not_depend_on_the_batch(process, section, weight):
    labels = balanced_labels(20, 3)
    whole, parts = (generate(restorer_of(process), section, 20, (0,), batch, labels=labels,
                             guidance=weight).images for batch in (20, 7))
    torch.testing.assert_close(whole, parts, rtol=0, atol=1e-5)
    turned = generate(restorer_of(process), section, 20, (0,), 7, labels=(labels + 1) % 3,
                      guidance=weight).images
    heard = (turned - whole).abs().amax((1, 2, 3)) > 1e-3  # clipping makes a few images white alike
    assert heard.double().mean() > 0.75


def test_no_weight_is_no_class_and_a_strip_ends_in_the_sample():
    labels = balanced_labels(5, 3)
    plain = generate(restorer_of(noise), DDIM, 5, (0,), 5).images
    torch.testing.assert_close(generate(restorer_of(noise), DDIM, 5, (0,), 5, labels=labels,
                                        guidance=0.0).images, plain)
    given = generate(restorer_of(noise), DDIM, 5, (0,), 5, labels=labels).images
    states = decoding(restorer_of(noise).conditional(labels[:4]), DDIM, 4, (0,), 5)[1]
    torch.testing.assert_close(states[-1], given[:4])


def test_channels_beyond_the_image_are_those_of_the_class():
    def network(x, time, labels):
        return torch.cat([x + labels.view(-1, 1, 1, 1), 10.0 * labels.view(-1, 1, 1, 1) + 0 * x], 1)

    network.classes = 3
    out = Guided(network, torch.tensor([1, 2]), 2.0)(torch.zeros(2, 1, 1, 1), torch.ones(2))
    assert out.flatten(1).tolist() == [[3 + 2 * (1 - 3), 10], [3 + 2 * (2 - 3), 20]]


def test_labels_asked_are_balanced_and_the_first_stay():
    assert balanced_labels(7, 3).tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert torch.equal(balanced_labels(100, 10)[:30], balanced_labels(30, 10))


def test_refusals():
    plain = Restorer(lambda x, time: x, "x0", blur(), image(), clip=True)
    with pytest.raises(KelvinError, match="was trained without classes"):
        plain.conditional(torch.tensor([0]))
    told = restorer_of(noise)
    for labels in ([0, 3], [-1, 0]):
        with pytest.raises(KelvinError, match="knows the classes 0 to 2"):
            told.conditional(torch.tensor(labels))
    with pytest.raises(KelvinError, match="3 images were given to a restorer of 2 labels"):
        told.conditional(torch.tensor([0, 1]))(torch.zeros(3, 1, 8, 8), torch.ones(3, dtype=torch.long))


def test_given_leaves_the_restorer_as_it_was():
    restorer = restorer_of(noise)
    restorer.conditional(torch.tensor([0]), 2.0)
    assert isinstance(restorer.network, Told)
