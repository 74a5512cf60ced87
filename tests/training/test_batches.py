"""Draws of a batch: times stratified and uniform, mirrored images."""

import pytest
import torch

from kelvin.common.streams import generator
from kelvin.training.batches import draw_times, mirrored


def test_uniform_times_are_the_plain_draw():
    assert torch.equal(draw_times("uniform", 50, 9, generator(1)),
                       torch.randint(1, 10, (50,), generator=generator(1)))


@pytest.mark.parametrize(("n", "steps"), [(8, 8), (32, 8), (5, 40), (7, 3), (1, 6)])
def test_stratified_times_fill_every_stratum_once(n, steps):
    """Sorted, the i-th of n lies in [i, i + 1) T / n; where n = k T every time comes k times."""
    source = generator(0)
    for _ in range(20):
        t = draw_times("stratified", n, steps, source).sort().values
        for i, time in enumerate(t.tolist()):
            assert i * steps // n <= time - 1 <= min((i + 1) * steps / n, steps - 1)
        if n % steps == 0:
            assert torch.equal(t.bincount(minlength=steps + 1)[1:], torch.full((steps,), n // steps))


def test_each_images_stratified_time_is_uniform():
    """4000 batches of 5 over T = 8: shares of the first image within five standard errors of 1/8."""
    source, n = generator(3), 4000
    first = torch.tensor([int(draw_times("stratified", 5, 8, source)[0]) for _ in range(n)])
    shares = first.bincount(minlength=9)[1:] / n
    assert (shares - 1 / 8).abs().max() < 5 * (1 / 8 * 7 / 8 / n) ** 0.5 and first.min() == 1


def test_only_chosen_images_are_mirrored():
    images = torch.arange(12).view(2, 1, 2, 3)
    assert mirrored(images, torch.tensor([True, False])).tolist() == [
        [[[2, 1, 0], [5, 4, 3]]], images[1].tolist()]
