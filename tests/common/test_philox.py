"""Counted random numbers: the published vectors, their laws, and no part played by the batch."""

import pytest
import torch
from scipy import stats

from kelvin.common.philox import MASK, ImageRandom, philox
from kelvin.common.streams import BlockRandom

# Random123's kat_vectors, philox4x32 10: counter, key, words
VECTORS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((MASK,) * 4, (MASK,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0),
     (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1))]


@pytest.mark.parametrize(("counter", "key", "words"), VECTORS)
def test_the_published_vectors(counter, key, words):
    found = philox(tuple(torch.tensor([word]) for word in counter), key)
    assert tuple(int(word) for word in found) == words


def test_normal_and_uniform_numbers_follow_their_laws():
    """Kolmogorov and Smirnov over 60,000 numbers, and no correlation between draws, images or places."""
    random = ImageRandom(0, 200, 7, "cpu")
    first, second = random.normal(3, 10, 10), random.normal(3, 10, 10)
    uniform = random.uniform(300)
    assert stats.kstest(first.flatten(), "norm").pvalue > 1e-3
    assert stats.kstest(uniform.flatten(), "uniform").pvalue > 1e-3
    assert float(uniform.min()) >= 0 and float(uniform.max()) < 1
    flat = first.flatten(1)
    for a, b in ((first, second), (flat[:-1], flat[1:]), (flat[:, :-1], flat[:, 1:])):
        assert abs(stats.pearsonr(a.flatten(), b.flatten()).statistic) < 4 / a.numel() ** 0.5


@pytest.mark.parametrize("shape", [(1,), (5,), (2, 3), (1, 8, 8)])
def test_an_image_has_its_numbers_in_any_batch(shape):
    whole, parts = ImageRandom(0, 7, 3, "cpu"), [ImageRandom(0, 2, 3, "cpu"), ImageRandom(2, 7, 3, "cpu")]
    for _ in range(3):
        for draw in ("normal", "uniform"):
            expected = getattr(whole, draw)(*shape)
            found = torch.cat([getattr(part, draw)(*shape) for part in parts])
            assert expected.shape == (7, *shape) and torch.equal(found, expected)
    other = ImageRandom(0, 7, 4, "cpu")
    assert not torch.equal(other.normal(*shape), ImageRandom(0, 7, 3, "cpu").normal(*shape))


def test_only_cuda_has_a_stream_of_its_own(monkeypatch):
    random = BlockRandom(3, 9, 0, "samples")
    assert random.on(torch.device("cpu")) is random
    made = []
    monkeypatch.setattr("kelvin.common.streams.ImageRandom", lambda *given: made.append(given))
    random.on(torch.device("cuda"))
    BlockRandom(0, 9, 0, "samples").on(torch.device("cuda"))
    assert [given[:2] for given in made] == [(3, 9), (0, 9)] and made[0][2] == made[1][2]
