"""Times drawn by their costs: the definition in a slow loop, no bias, and a history that survives."""

from collections import defaultdict

import pytest
import torch

from kelvin.common.streams import generator
from kelvin.training.importance import BINS, HISTORY, ImportanceTimes, times_of


def fed(steps, batches=60, n=50, cost=lambda t: t.double()):
    """Importance times after some batches of costs, and every (t, cost) that it was shown."""
    times, source, shown = ImportanceTimes(steps), generator("fed", steps), []
    for _ in range(batches):
        t = times.draw(n, source)
        costs = cost(t) * (1 + torch.rand(n, generator=source, dtype=torch.float64))
        times.observe(t, costs)
        shown += zip(t.tolist(), costs.tolist(), strict=True)
    return times, shown


@pytest.mark.parametrize("steps", [7, 64, 100, 1000])
def test_probabilities_against_a_slow_loop(steps):
    """The root of the mean of the last ten squares of each bin (each t, where T <= 64); 1e-12."""
    times, shown = fed(steps)
    kept = defaultdict(list)
    for t, cost in shown:
        kept[(t - 1) * min(steps, BINS) // steps].append(cost)
    roots = {k: (sum(c * c for c in costs[-HISTORY:]) / HISTORY) ** 0.5 for k, costs in kept.items()}
    per_time = [roots[(t - 1) * min(steps, BINS) // steps] for t in range(1, steps + 1)]
    assert min(len(costs) for costs in kept.values()) >= HISTORY
    t = torch.arange(1, steps + 1)
    p = times.shares()[times.bin_of(t)] / times.size[times.bin_of(t)]
    expected = torch.tensor(per_time, dtype=torch.float64) / sum(per_time)
    torch.testing.assert_close(p, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(times.correction(t), (1 / (steps * expected)).float())
    assert float(p.max() / p.min()) > 2  # the costs count


def test_uniform_until_every_bin_has_its_history():
    times = ImportanceTimes(4)
    t = torch.tensor([1, 2, 3, 4] * (HISTORY - 1) + [1, 2, 3])
    times.observe(t, t.double())
    assert torch.equal(times.correction(t), torch.ones(len(t)))
    times.observe(torch.tensor([4]), torch.tensor([4.0]))
    assert times.correction(torch.tensor([1, 4])).tolist() == pytest.approx([2.5, 0.625])


def test_draws_follow_the_probabilities_and_the_corrected_mean_has_no_bias():
    """100,000 draws over T = 100: within five standard errors; every time of 1..T occurs."""
    times, _ = fed(100)
    t = times.draw(100_000, generator(5))
    assert set(t.tolist()) == set(range(1, 101))
    values = (t.double() / 10).cos() * times.correction(t)
    expected = (torch.arange(1, 101).double() / 10).cos().mean()
    assert abs(float(values.mean() - expected)) < 5 * float(values.std()) / 100_000**0.5
    shares = torch.bincount(times.bin_of(t), minlength=times.bins) / 100_000
    assert (shares - times.shares()).abs().max() < 5 * (times.shares().max() / 100_000) ** 0.5


def test_a_history_put_back_draws_the_same():
    times, _ = fed(100, batches=50)
    back = times_of("importance", 100)
    back.load({name: tensor.clone() for name, tensor in times.state().items()})
    for one in (times, back):
        one.observe(torch.arange(1, 101), torch.arange(100.0))
    assert torch.equal(times.draw(500, generator(2)), back.draw(500, generator(2)))
    fresh = times_of("importance", 100)
    assert not torch.equal(fresh.draw(500, generator(2)), back.draw(500, generator(2)))
    assert times_of("uniform", 100).state() == {} and times_of("uniform", 100).correction(None) is None
