"""Severity tied to a noise schedule: the signal variance left is alpha-bar_t, or the process says not."""

from itertools import combinations

import numpy as np
import pytest
import torch
from helpers import image
from safetensors.torch import load, save
from sklearn.datasets import load_digits, load_sample_images

from kelvin import degradations
from kelvin.common.errors import KelvinError
from kelvin.common.streams import BatchRandom, generator
from kelvin.degradations import Graded, graded, signal

SCHEDULE = {"kind": "matched", "steps": 12, "beta_min": 1e-4, "alpha_bar_end": 0.02}
CONSTANT = {"kind": "constant", "level": 0.5, "jitter": 0.0}
CLOSED = ("random-pixels", "salt-and-pepper", "mask-noise", "morph")  # S is the same for all images
KINDS = [k for k in degradations.degradations.kinds() if k not in ("gaussian-noise", "interpolation")]


def digits():
    return torch.from_numpy(load_digits().images).float()[:400, None] / 16


def tiles():
    """8x8 RGB tiles of scikit-learn's two photographs, averaged over 8x8 pixels first, (~520, ...)."""
    photos = np.stack(load_sample_images().images)[:, :424, :640].astype(np.float32) / 255
    small = photos.reshape(2, 53, 8, 80, 8, 3).mean((2, 4))[:, :48]
    parts = small.reshape(2, 6, 8, 10, 8, 3).transpose(0, 1, 3, 5, 2, 4)
    return torch.from_numpy(np.ascontiguousarray(parts.reshape(-1, 3, 8, 8)))


SETS = {"digits": digits(), "tiles": tiles()}
CASES = [(kind, name) for kind in KINDS for name in SETS if (kind, name) != ("desaturate", "digits")]


def options(params, kind):
    """The options of the run that ties this kind in params.yaml; there is one for each."""
    runs = (params.run(name) for name in params.runs)
    return next(run.degradation.model_dump() for run in runs
                if run.degradation.kind == kind and run.schedule.kind == "matched")


def make(section, units, schedule=SCHEDULE, fit=True):
    spec = image(*units.shape[1:])
    process = degradations.build(spec, section, schedule, CONSTANT)
    x0 = spec.encode(units)
    if fit:
        process.fit(x0, lambda: -x0[:50])
    return process, x0


@pytest.fixture(scope="module")
def fitted(params):
    class Fitted(dict):
        """Each case when it is first asked for."""

        def __missing__(self, case):
            self[case] = make(options(params, case[0]), SETS[case[1]])
            return self[case]

    return Fitted()


def ratios(process, x, y, z):
    """Lost over whole, image pair by image pair and t by t: two lists of (T + 1) x pairs."""
    left, whole = np.zeros((process.steps + 1, len(x))), np.zeros(len(x))
    for i in range(len(x)):
        one = slice(i, i + 1)
        whole[i] = ((x[i] - y[i]).double() ** 2).sum()
        for t in range(process.steps + 1):
            at, own = torch.tensor([t]), None if z is None else z[one]
            gap = process.degrade(x[one], at, own) - process.degrade(y[one], at, own)
            left[t, i] = (gap.double() ** 2).sum()
    return left, whole


def test_every_graded_kind_is_here():
    found = {k for k in degradations.degradations.kinds()
             if issubclass(degradations.degradations.find(k), Graded)}
    assert found == set(KINDS)


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_the_signal_left_is_alpha_bar(fitted, case):
    """To a thousandth of signal left or lost wherever it is reached."""
    process, _ = fitted[case]
    left, wanted, u = (v.numpy() for v in (process.signal_variance(), process.alpha_bar, process.u))
    reached = slice(0, process.clamped_from())
    error, allowed = (left - wanted)[reached], 1.1 * np.maximum(
        1e-3 * np.minimum(wanted, 1 - wanted), 1e-6)[reached]
    assert (error <= allowed).all(), "never more is left than is wanted"
    assert (error >= -allowed).all()
    assert u[0] == 0 and u.dtype == np.float64 and (np.diff(u) >= 0).all() and u[-1] <= 1


@pytest.mark.parametrize("kind", ["gaussian-blur", "heat-dissipation"])
def test_a_blur_reaches_the_first_times_of_its_own_run(params, kind):
    """Where a least sigma used to lose thirteen times the signal that was to be lost: 50 steps, 1e-4."""
    run = next(run for name in params.runs if (run := params.run(name)).degradation.kind == kind
               and run.schedule.kind == "matched")
    process, _ = make(run.degradation.model_dump(), SETS["digits"], run.schedule.model_dump())
    wanted, left = process.alpha_bar, process.signal_variance()
    assert wanted[1] == pytest.approx(0.9999, abs=1e-6) and process.u[1] > 0
    assert ((1 - left)[1:5] == pytest.approx((1 - wanted)[1:5], rel=0.02))


@pytest.mark.parametrize("from_zero", [True, False])
@pytest.mark.parametrize("u", [0.0, 0.3, 1.0])
def test_geometric_widths_are_those_of_arrays_and_of_tensors(u, from_zero):
    array, tensor = np.array([u]), torch.tensor([u], dtype=torch.float64)
    assert graded.geometric(array, 0.02, 6.0, from_zero)[0] == pytest.approx(
        float(graded.geometric(tensor, 0.02, 6.0, from_zero)[0]), rel=1e-12)


def test_both_geometric_widths_end_alike_and_one_begins_at_nothing():
    assert graded.geometric(1.0, 0.02, 6.0, True) == pytest.approx(6.0)
    assert graded.geometric(1.0, 0.02, 6.0, False) == pytest.approx(6.0)
    assert graded.geometric(0.0, 0.02, 6.0, True) == 0 and graded.geometric(
        0.0, 0.02, 6.0, False) == 0.02


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_it_is_so_on_fresh_pairs_and_fresh_z(fitted, case):
    """A slow loop over 40 new pairs: S_t to 5 standard errors of a ratio of means, and 0.01."""
    process, x0 = fitted[case]
    order = torch.randperm(len(x0), generator=generator("fresh", *case))
    x, y = x0[order[:40]], x0[order[40:80]]
    left, whole = ratios(process, x, y, process.draw(BatchRandom(40, generator("fresh z"))))
    found = left.sum(1) / whole.sum()
    spread = (left - found[:, None] * whole).std(1, ddof=1) / whole.mean()
    error = 5 * (spread**2 / 40 + (signal.ERROR * found) ** 2) ** 0.5 + 0.01
    assert (np.abs(found - process.signal_variance().numpy()) <= error).all()


@pytest.mark.parametrize("kind", ["fade", "desaturate", "gaussian-blur", "pixelate", "averaging"])
def test_without_z_it_is_of_all_pairs(params, kind):
    """A double loop over all pairs of 12 images, to 1e-5 (float32 images)."""
    process, x0 = make(options(params, kind), SETS["tiles"][:12])
    pairs = list(combinations(range(12), 2))
    x, y = (x0[[pair[side] for pair in pairs]] for side in (0, 1))
    left, whole = ratios(process, x, y, None)
    assert process.signal_variance().numpy() == pytest.approx(left.sum(1) / whole.sum(), rel=1e-5)


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_many_pairs_of_images_say_the_same(fitted, case):
    """2,048 pairs of images, each with z of its own: within 5 standard errors of both, and 1e-4: where
    few pixels are lost or left, so few that matter may be drawn that their spread is not seen."""
    process, x0 = fitted[case]
    n, source = 2048, generator("other pairs", *case)
    first, step = (torch.randint(a, b, (n,), generator=source) for a, b in ((0, len(x0)), (1, len(x0))))
    x, y, z = x0[first], x0[(first + step) % len(x0)], process.draw(BatchRandom(n, source))
    left, whole = (v.numpy() for v in signal.gaps(process, x, y, z))
    found = left.sum(1) / whole.sum()
    own = ((left - found[:, None] * whole) ** 2).sum(1) ** 0.5 / whole.sum()
    given = 0.0 if z is None or case[0] in CLOSED else signal.ERROR
    error = np.abs(process.signal_variance().numpy() - found)
    assert (error <= 5 * np.hypot(own, given * found) + 1e-4).all()
    assert np.median(own / found) < 0.05, "a bound that says something"


@pytest.mark.parametrize("of, basis", [
    (signal.of_pixels, None), (signal.of_cosines, "dct"), (signal.of_waves, "fft")])
def test_one_difference_stands_for_all_images(of, basis):
    """sum |A d|^2 = mean |A (x - mean)|^2 for random diagonal A in three bases, to 1e-5."""
    from scipy.fft import dctn

    x = SETS["tiles"][:60]
    d = of(x).float()
    assert d.shape == (1, *x.shape[1:])
    forward = {None: lambda v: v.numpy(), "dct": lambda v: dctn(v.numpy(), axes=(2, 3), norm="ortho"),
               "fft": lambda v: np.fft.fft2(v.numpy())}[basis]
    one, every = np.abs(forward(d)) ** 2, (np.abs(forward(x - x.mean(0))) ** 2).mean(0)
    np.testing.assert_allclose(one[0], every, rtol=1e-3, atol=1e-5 * every.max())


def test_components_of_large_images_stand_for_all(monkeypatch):
    """Half of the variance-bearing directions and a few images for the rest: to 2 % for any matrix."""
    x = SETS["tiles"]
    exact = signal.of_components(x).flatten(1)
    for name, value in (("PIXELS", 10), ("COMPONENTS", 60), ("SOME", 300)):
        monkeypatch.setattr(signal, name, value)
    few = signal.of_components(x).flatten(1)
    assert len(few) == 60 + signal.REST < len(exact)
    assert few.square().sum() == pytest.approx(float(exact.square().sum()), rel=1e-5)
    blur = torch.eye(8).repeat_interleave(3, 0)[:8].double() / 3 + torch.eye(8).double() / 2
    for A in (torch.kron(torch.eye(24).double(), blur),
              torch.randn(20, 192, generator=generator("A")).double()):
        assert (few @ A.T).square().sum() == pytest.approx(float((exact @ A.T).square().sum()), rel=0.02)


def test_pairs_are_as_many_as_the_error_asks_for(params):
    """Snow takes more pairs than the least, and their standard error is 2 % at most, by a bootstrap."""
    process, x0 = make(options(params, "snow"), SETS["digits"], fit=False)
    pairs = process.pairs(x0)
    process.follow(np.array([0.0, 0.3, 0.6]))
    left, whole = signal.gaps(process, *pairs)
    n = len(whole)
    again = torch.randint(n, (200, n), generator=generator("bootstrap"))
    spread = torch.stack([left[:, i].sum(1) / whole[i].sum() for i in again]).std(0)
    share = left.sum(1) / whole.sum()
    assert signal.PAIRS[0] <= n < signal.PAIRS[1]
    assert (spread[1:] <= 1.2 * signal.ERROR * share[1:]).all()
    known = signal.relative_error(left, whole, signal.LEAST)[1:]
    assert known.numpy() == pytest.approx((spread / share)[1:].numpy(), rel=0.2)


def test_images_that_are_all_alike_leave_nothing_to_measure(params):
    process, _ = make(options(params, "cut-out"), SETS["digits"][:1].expand(9, -1, -1, -1))
    assert (process.signal_variance() == 0).all()


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_clamped_from_is_the_first_value_out_of_reach(fitted, params, case):
    """The least signal variance on a grid of severities says which t cannot be reached."""
    process, x0 = fitted[case]
    probe, _ = make(options(params, case[0]), SETS[case[1]], fit=False)
    pairs = probe.pairs(x0)
    probe.follow(np.linspace(0, 1, 101))
    least = probe.left(pairs).min().item()
    short = np.flatnonzero(process.alpha_bar.numpy() * (1 + 2e-3) < least)
    assert process.clamped_from() == (short[0] if len(short) else None)
    if len(short):
        still = process.u[short[0]:]
        assert (still == still[0]).all() and process.variance[-1] <= least * 1.002


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_a_loaded_process_gives_the_same_bits(fitted, params, case):
    process, x0 = fitted[case]
    fresh, _ = make(options(params, case[0]), SETS[case[1]], fit=False)
    fresh.load(load(save(process.tensors())))
    t, z = torch.arange(13), process.draw(BatchRandom(13, generator(1)))
    assert torch.equal(fresh.to("cpu").degrade(x0[:13], t, z), process.degrade(x0[:13], t, z))
    assert torch.equal(fresh.u, process.u) and fresh.clamped_from() == process.clamped_from()


def test_bits_survive_where_a_blocks_centre_hangs_on_them():
    """Width 64, not antialiased: float32 severities used to move a centre; and the same fit twice."""
    section = {"kind": "pixelate", "blocks": 1, "antialiased": False}
    wide = torch.nn.functional.interpolate(SETS["digits"][:40], (64, 64), mode="bicubic").clamp(0, 1)
    (process, x0), (again, _) = make(section, wide), make(section, wide)
    assert torch.equal(process.u, again.u)
    low, high = 0.3, 0.7  # a severity at which a centre moves, to the last bit of float64
    while np.nextafter(low, 1) < high:
        middle = (low + high) / 2
        same = np.array_equal(*process.matrices(64, np.array([low, middle]), "rows"))
        low, high = (middle, high) if same else (low, middle)
    process.follow(np.array([0.0, low, high]))
    fresh, _ = make(section, wide, fit=False)
    fresh.load(load(save(process.tensors())))
    assert not torch.equal(process.rows[1], process.rows[2]) and torch.equal(fresh.rows, process.rows)
    t = torch.arange(3)
    assert torch.equal(fresh.degrade(x0[:3], t, None), process.degrade(x0[:3], t, None))


def test_solve_takes_the_first_passage():
    """A rise, a jump and a plateau: the mildest u that leaves no more than is wanted, to 1e-3."""
    def left(u):  # rises to 1.1, falls, jumps from 0.55 to 0.3 at u = 0.5, is flat from 0.8 on
        smooth = np.where(u < 0.1, 1 + u, 1.1 - 1.375 * (u - 0.1))
        return np.where(u < 0.5, smooth, np.where(u < 0.8, 0.3 - 0.5 * (u - 0.5), 0.15))

    u = graded.solve(left, np.array([1.0, 0.9, 0.6, 0.45, 0.2, 0.1]))
    np.testing.assert_allclose(u, [0, 0.1 + 0.2 / 1.375, 0.1 + 0.5 / 1.375, 0.5, 0.7, 1], atol=1e-3)
    assert u[3] >= 0.5, "the far side of a jump"


def test_own_growth_ignores_the_tie(params):
    process, _ = make(options(params, "fade"), SETS["digits"], {"kind": "own", "steps": 7})
    np.testing.assert_array_equal(process.u, np.arange(8) / 7)
    assert process.clamped_from() is None and not process.tied


@pytest.mark.parametrize("n", [0, 1])
def test_fit_needs_two_images(params, n):
    with pytest.raises(KelvinError, match="needs two training images at least"):
        make(options(params, "fade"), SETS["digits"][:n])
