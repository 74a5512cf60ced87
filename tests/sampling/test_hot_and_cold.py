"""What the experiment measures of a run besides samples: consistency, other starts, one-shot errors."""

import numpy as np
import pytest
import torch

from kelvin import degradations
from kelvin.artifacts.samples import Gaps, Gates
from kelvin.common.streams import BlockRandom
from kelvin.degradations import ImageSpec
from kelvin.evaluation.gate_rows import consistency_rows, gate_rows, process_rows
from kelvin.restoration.restorer import Restorer
from kelvin.sampling.consistency import applies, consistency
from kelvin.sampling.gates import one_shot_errors
from kelvin.sampling.trajectories import error_at_log_snr, generate

IMAGE = ImageSpec(1, 8, 8, -1.0, 1.0)
FADE = {"kind": "fade", "to": 0.5}
CONSTANT = {"kind": "constant", "level": 0.25, "jitter": 0.0}
OWN = {"kind": "own", "steps": 10}
NAIVE, IMPROVED = ({"kind": kind, "steps": 5, "z": "kept"} for kind in ("naive", "improved"))
UNITS = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def restorer(network, degradation=FADE, schedule=OWN, prior=CONSTANT, clip=False):
    process = degradations.build(IMAGE, degradation, schedule, prior)
    if isinstance(process, degradations.Graded):
        process.fit(IMAGE.encode(UNITS), None)
    return Restorer(network, "x0", process, IMAGE, clip)


def test_consistency_of_a_fade_in_closed_form():
    """x0_hat = c everywhere, x_t = (1 - u) x0 + u grey: Algorithm 1 returns to the line at once: its gap
    is 0 from its second step; Algorithm 2 carries the first gap on. To 1e-6."""
    c, start = 0.5, IMAGE.encode(torch.tensor(0.25))
    for section in (NAIVE, IMPROVED):
        # x_T = grey = 0 in the model's range whatever the image, moved by the first step alone
        r = restorer(lambda x, t: torch.full_like(x, c), {"kind": "fade", "to": 0.5},
                     {"kind": "power", "steps": 10, "power": 1.0})
        r.degradation.u = r.degradation.u * 0.8  # something of the start is left at T
        times, gaps = consistency(r, section, 3, (0, "c"))
        assert times == [10, 8, 6, 4, 2] and gaps.shape == (5, 3)
        first = (1 - 0.8) * abs(c - float(start)) / 2  # in [0, 1]
        expected = [first, *([0] * 4 if section is NAIVE else [first] * 4)]
        np.testing.assert_allclose(gaps, np.array(expected)[:, None].repeat(3, 1), atol=1e-6)


def test_a_perfect_restorer_is_consistent_and_noise_is_left_out():
    r = restorer(lambda x, t: torch.full_like(x, float(IMAGE.encode(torch.tensor(0.25)))))
    assert float(consistency(r, IMPROVED, 2, (0,))[1].max()) < 1e-6 and applies(r)
    noise = {"kind": "linear", "steps": 10, "beta_min": 0.01, "beta_max": 0.5}
    assert not applies(restorer(lambda x, t: x, {"kind": "gaussian-noise"}, noise, {"kind": "normal"}))


@pytest.mark.parametrize("batch", [7, 40])
def test_samples_start_from_the_images_they_are_told(batch):
    """A network that leaves x_t alone, no steps to speak of: one step of Algorithm 1 returns x_T itself,
    which is D(image, T, z) with image i's own z, whatever the batch."""
    r = restorer(lambda x, t: x, {"kind": "random-pixels", "fill": 0.0}, {"kind": "power", "steps": 4,
                                                                          "power": 1.0})
    r.degradation.follow(np.array([0, 0.1, 0.2, 0.3, 0.4]))
    got = generate(r, {"kind": "direct"}, 40, (0, "s"), batch, start=UNITS).images
    z = r.degradation.draw(BlockRandom(0, 40, 0, "s"))
    x_T = r.degradation.degrade(IMAGE.encode(UNITS), torch.full((40,), 4), z)
    torch.testing.assert_close(got, IMAGE.decode(x_T))
    one = generate(r, {"kind": "direct"}, 40, (0, "s"), batch, start=UNITS[:1]).images
    x_T = r.degradation.degrade(IMAGE.encode(UNITS[:1]).expand(40, -1, -1, -1), torch.full((40,), 4), z)
    torch.testing.assert_close(one, IMAGE.decode(x_T))


def test_one_shot_errors_are_those_of_a_slow_loop():
    """Network x_t itself; least squares gets a mild fade back to half a grey level."""
    r = restorer(lambda x, t: x)
    times, network, linear = one_shot_errors(r, UNITS[:8], UNITS, (0,))
    assert times == list(range(1, 11))
    for k, t in enumerate(times):
        faded = (1 - t / 10) * UNITS[:8] + t / 10 * 0.5
        np.testing.assert_allclose(network[k], (faded - UNITS[:8]).square().mean((1, 2, 3)), atol=1e-6)
    assert float(linear[0].max()) < (0.5 / 255)**2 and float(linear[-1].mean()) > 0.01


def test_rows_of_the_gates_flag_clamped_times_and_compare_what_can_be_seen():
    gates = Gates(np.array([1, 2]), np.array([[1e-6, 3e-6], [0.04, 0.04]]),
                  np.array([[1e-6, 1e-6], [0.01, 0.03]]))
    process = {"clamped_from": 2, "signal_variance": [1.0, 0.5, 0.1], "wanted": [1.0, 0.5, 0.05],
               "recoverability_times": [0, 2], "recoverability": [1.0, 0.2],
               "wanted_recoverability": None}
    first, second = gate_rows(gates, process, 256)
    assert first["ratio"] is None and not first["clamped"] and second["clamped"]
    assert second["ratio"] == pytest.approx((0.04 / 0.02) ** 0.5)
    assert gate_rows(gates, process, 3)[1]["ratio"] is None
    assert process_rows(process) == [
        {"t": 0, "signal_variance": 1.0, "recoverability": 1.0, "wanted": 1.0, "clamped": False},
        {"t": 2, "signal_variance": 0.1, "recoverability": 0.2, "wanted": 0.05, "clamped": True}]
    row, = consistency_rows({"naive-5": Gaps(np.array([4]), np.array([[0.1, 0.3]]))})
    assert (row["sampler"], row["t"], row["n"]) == ("naive-5", 4, 2)
    assert (row["rmse"], row["rmse_se"]) == (pytest.approx(0.2), pytest.approx(0.1))


def hot(steps):
    noise = {"kind": "linear", "steps": steps, "beta_min": 1e-4, "beta_max": min(0.9, 20 / steps)}
    process = degradations.build(IMAGE, {"kind": "gaussian-noise"}, noise, {"kind": "normal"})
    return Restorer(lambda x, t: torch.zeros_like(x), "eps", process, IMAGE, False)


def test_errors_at_a_log_snr_lie_between_the_times_around_it():
    """A network that sees no noise: x0_hat = x_t / a, so that the error is z^2 / SNR, known at any SNR.
    With 1,000 steps it is met to 2 %; a value far from all of few times is left out."""
    grid = [-4.0, -2.0, 0.0, 2.0, 4.0]
    reach, errors = error_at_log_snr(hot(1000), UNITS, grid, (0,))
    assert reach == grid
    z = hot(1000).degradation.draw(BlockRandom(0, 40, 0))
    for value, error in zip(reach, errors, strict=True):
        expected = float(z.square().mean()) * np.exp(-value) / 4
        assert float(error.mean()) == pytest.approx(expected, rel=0.02)
    few = hot(5)
    table = few.degradation.log_snr()[1:]
    near = float(table[2]) + 0.09
    reach, errors = error_at_log_snr(few, UNITS, [float(table[2]), near, float(table[2]) + 0.2], (0,))
    assert reach == [float(table[2]), near]
    at, before = errors[0], error_at_log_snr(few, UNITS, [float(table[1])], (0,))[1][0]
    share = 0.09 / float(table[1] - table[2])
    torch.testing.assert_close(errors[1], at + share * (before - at), rtol=1e-4, atol=0)
