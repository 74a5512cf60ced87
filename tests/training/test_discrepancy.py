"""The MMD term against a double loop; its gradient brings two sets together."""

import math
from itertools import permutations
from statistics import median_low

import pytest
import torch

from kelvin.common.streams import generator
from kelvin.training.objective import batch_mmd


def slow(x, y, multiples):
    def squared(a, b):
        return sum((p - q) ** 2 for p, q in zip(a, b, strict=True))

    x, y = x.flatten(1).tolist(), y.flatten(1).tolist()
    median = median_low(squared(a, b) for a, b in permutations(y, 2))
    total = 0.0
    for c in multiples:
        def k(a, b, c=c):
            return math.exp(-squared(a, b) / (2 * c * c * median))

        total += sum(k(a, b) for a, b in permutations(x, 2)) / (len(x) * (len(x) - 1))
        total += sum(k(a, b) for a, b in permutations(y, 2)) / (len(y) * (len(y) - 1))
        total -= 2 * sum(k(a, b) for a in x for b in y) / (len(x) * len(y))
    return total / len(multiples)


@pytest.mark.parametrize("multiples", [[1.0], [0.25, 0.5, 1.0, 2.0]])
def test_against_a_double_loop(multiples):
    """1e-5: float32 distances."""
    x, y = (torch.randn(n, 1, 3, 3, generator=generator(n)) + n / 10 for n in (5, 7))
    assert float(batch_mmd(x, y, multiples)) == pytest.approx(slow(x, y, multiples), abs=1e-5)


def test_unbiased_over_draws_of_one_law():
    """Mean of 300 draws within four standard errors of 0, where the biased one is above 0.05."""
    source = generator(1)
    found = torch.stack([batch_mmd(*torch.randn(2, 10, 4, generator=source), [1.0]) for _ in range(300)])
    assert abs(float(found.mean())) < 4 * float(found.std()) / 300**0.5 and float(found.min()) < 0


def test_its_gradient_is_finite_for_equal_images_and_brings_sets_together():
    y = torch.randn(16, 4, generator=generator(2))
    x = torch.zeros(16, 4, requires_grad=True)
    batch_mmd(x, y, [1.0]).backward()
    assert x.grad.isfinite().all()
    x = (torch.randn(16, 4, generator=generator(4)) + 1.0).requires_grad_()
    before = float(batch_mmd(x, y, [0.5, 1.0, 2.0]).detach())
    optimizer = torch.optim.Adam([x], 0.05)
    for _ in range(100):
        optimizer.zero_grad()
        batch_mmd(x, y, [0.5, 1.0, 2.0]).backward()
        optimizer.step()
    assert float(batch_mmd(x, y, [0.5, 1.0, 2.0]).detach()) < 0.1 * before
