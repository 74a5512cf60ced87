"""What every degradation must do, whatever it is: the project's own runs, any size, any channels."""

from functools import cache

import pytest
import torch
from conftest import own_params
from helpers import blur, image
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from kelvin import degradations
from kelvin.common.errors import KelvinError
from kelvin.common.streams import BatchRandom, BlockRandom, generator

GREY = {"kind": "constant", "level": 0.5, "jitter": 0.0}
SIZES = [(1, 8, 8), (3, 9, 7), (1, 28, 28)]
UNBOUNDED = {"gaussian-noise", "interpolation", "blur-noise", "mask-noise", "heat-dissipation"}
WOBBLE = {"pixelate": 0.06, "motion-blur": 0.05}  # share of the largest distance; blocks and lobes


def cases(params):
    """kind and schedule -> the first run that has them; every registered kind is among them."""
    seen = {}
    for name, run in params.runs.items():
        seen.setdefault(str((run.degradation, run.schedule.kind)), name)
    kinds = {params.run(name).degradation.kind for name in seen.values()}
    assert kinds == set(degradations.degradations.kinds()), "a degradation without a run is not tested"
    return list(seen.values())


CASES = cases(own_params())


def smooth_images(n, spec, seed=0):
    """Blobs in the model's range: neighbouring pixels agree, as in images."""
    source = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, spec.channels, 4, 4, generator=source)
    fine = torch.nn.functional.interpolate(coarse, (spec.height, spec.width), mode="bicubic",
                                           align_corners=False)
    return spec.encode(fine.clamp(0, 1))


@cache
def build(name, size):
    """A run's process for images of this size, tied by some smooth ones; made once for all tests, which
    leave it as it is. Tying large images takes long: 5 times do."""
    run = own_params().run(name)
    schedule = run.schedule.model_dump()
    if size[-1] >= 28 and schedule["kind"] == "matched":
        schedule = {**schedule, "steps": 5}
    spec = image(*size, low=run.restorer.low, high=run.restorer.high)
    process = degradations.build(spec, run.degradation.model_dump(), schedule,
                                 run.prior.model_dump())
    x0 = smooth_images(40, spec)
    process.fit(x0, lambda: smooth_images(20, spec, seed=9))
    process.prior.fit(x0)
    return spec, process


def fitting(params, name, *size):
    """`size`, in colour where the process has no other."""
    return (3, *size) if params.run(name).degradation.kind == "desaturate" else (1, *size)


def test_desaturation_needs_colour(params):
    (name,) = [name for name in CASES if params.run(name).degradation.kind == "desaturate"]
    with pytest.raises(KelvinError, match="needs RGB images"):
        build(name, (1, 8, 8))


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", CASES)
def test_contract(params, name, size):
    if size[0] == 1:
        size = fitting(params, name, *size[1:])
    spec, process = build(name, size)
    kind, x0 = params.run(name).degradation.kind, smooth_images(5, spec, seed=3)
    z, T = process.draw(BatchRandom(5, generator("test"))), process.steps
    assert torch.equal(process.degrade(x0, torch.zeros(5).long(), z), x0), f"{name}: D(x, 0) is x"
    mixed = torch.tensor([1, T, T // 2 or 1, 1, T])
    x_t = process.degrade(x0, mixed, z)
    assert x_t.shape == x0.shape and torch.isfinite(x_t).all()
    assert torch.equal(x_t, process.degrade(x0, mixed, z)), f"{name}: same z, same result"
    for i in range(5):  # a batch of mixed times is each image at its own time
        alone = process.degrade(x0[i:i + 1], mixed[i:i + 1], None if z is None else z[i:i + 1])
        torch.testing.assert_close(x_t[i:i + 1], alone, rtol=1e-5, atol=1e-5)
    if kind not in UNBOUNDED:
        slack = 2e-3  # the heat kernel is band-limited: it rings a little at an edge
        assert x_t.min() >= spec.low - slack and x_t.max() <= spec.high + slack, f"{name}: range"
    if process.can_estimate_z:
        back = process.estimate_z(x_t, x0, mixed, z)
        strong = mixed > T // 2 if kind == "morph" else mixed > 0
        torch.testing.assert_close(back[strong], z[strong], rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", CASES)
def test_dtype_follows_and_gradients_flow(params, name, dtype):
    spec, process = build(name, fitting(params, name, 8, 8))
    x0 = smooth_images(3, spec, seed=4).to(dtype).requires_grad_()
    t = torch.tensor([1, max(1, process.steps // 4), max(1, process.steps // 2)])
    z = process.draw(BatchRandom(3, generator(0)))
    x_t = process.degrade(x0, t, z if z is None else z.to(dtype))
    assert x_t.dtype == dtype
    x_t.sum().backward()
    assert torch.isfinite(x0.grad).all() and x0.grad[0].abs().sum() > 0


@pytest.mark.parametrize("name", CASES)
def test_severity_grows(params, name):
    """The mean distance from x0 never falls by more than the wobble stated above."""
    run = params.run(name)
    if run.degradation.model_dump().get("reading") == "single" or name == "blur-weak":
        pytest.skip("each kernel on its own, and the identity")
    spec, process = build(name, fitting(params, name, 8, 8))
    x0 = smooth_images(64, spec, seed=5)
    z = process.draw(BatchRandom(64, generator(1)))
    times = sorted({max(1, round(process.steps * k / 20)) for k in range(1, 21)})
    far = torch.stack([(process.degrade(x0, torch.full((64,), t), z) - x0).square().mean()
                       for t in times]).sqrt()
    fall = (torch.cummax(far, 0).values - far).max() / far.max()
    assert fall <= WOBBLE.get(run.degradation.kind, 0.01), f"{name} falls by {fall:.3f}"
    left = process.signal_variance()
    assert left[0] == pytest.approx(1, abs=1e-5) and left[-1] < 1


@settings(max_examples=12, deadline=None, derandomize=True)
@given(steps=st.sampled_from([1, 2, 7, 100]), seed=st.integers(0, 99),
       name=st.sampled_from(["random-pixels", "salt-and-pepper"]))
def test_what_is_gone_stays_gone(steps, seed, name):
    """Nested masks: D(D(x, s; z), t; z) = D(x, t; z) for s <= t."""
    spec = image()
    options = {"random-pixels": {"fill": 0.0}, "salt-and-pepper": {"salt": 0.5}}[name]
    process = degradations.build(spec, {"kind": name, **options}, {"kind": "own", "steps": steps},
                                 {"kind": "constant", "level": 0.0, "jitter": 0.0})
    x0 = smooth_images(6, spec, seed)
    z = process.draw(BatchRandom(6, generator(seed)))
    s = torch.randint(0, steps + 1, (6,), generator=torch.Generator().manual_seed(seed))
    t = torch.full((6,), steps)
    torch.testing.assert_close(process.degrade(process.degrade(x0, s, z), t, z),
                               process.degrade(x0, t, z), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_priors_generate_from_a_seed_alone(params, name):
    _, process = build(name, fitting(params, name, 8, 8))
    whole = process.prior.draw(BlockRandom(0, 40, 7))
    part = process.prior.draw(BlockRandom(13, 29, 7))
    torch.testing.assert_close(whole.x[13:29], part.x, rtol=1e-5, atol=1e-5)
    other = process.prior.draw(BlockRandom(0, 40, 8))
    assert not torch.equal(whole.x, other.x) or not torch.equal(whole.z, other.z), name


def own_section(run, steps):
    """The run's degradation at T = steps under its own growth (a noise schedule where it has none)."""
    noise = {"kind": "cosine", "steps": steps, "offset": 0.008, "beta_cap": 0.999}
    own = {"kind": "own", "steps": steps}
    return run.degradation.model_dump(), noise if run.degradation.kind == "gaussian-noise" else own


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data(), steps=st.integers(1, 12), height=st.integers(4, 11), width=st.integers(4, 11),
       channels=st.sampled_from([1, 3]), seed=st.integers(0, 999))
def test_contract_at_any_size_and_time(params, data, steps, height, width, channels, seed):
    """D(x, 0) = x, same z same result, batch = one by one, shape, dtype: whatever is drawn."""
    run = params.run(data.draw(st.sampled_from(CASES)))
    channels = 3 if run.degradation.kind == "desaturate" else channels
    spec = image(channels, height, width, low=run.restorer.low, high=run.restorer.high)
    process = degradations.build(spec, *own_section(run, steps), GREY)
    x0 = smooth_images(4, spec, seed)
    process.fit(x0, lambda: smooth_images(3, spec, seed + 1))
    z = process.draw(BatchRandom(4, generator(seed)))
    t = torch.tensor([0, *data.draw(st.lists(st.integers(0, steps), min_size=3, max_size=3))])
    x_t = process.degrade(x0, t, z)
    assert x_t.shape == x0.shape and x_t.dtype == x0.dtype and torch.isfinite(x_t).all()
    assert torch.equal(x_t[t == 0], x0[t == 0]) and torch.equal(x_t, process.degrade(x0, t, z))
    alone = torch.cat([process.degrade(x0[i:i + 1], t[i:i + 1], None if z is None else z[i:i + 1])
                       for i in range(4)])
    torch.testing.assert_close(x_t, alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("border", ["circular", "reflect", "zero", "heat"])
@settings(max_examples=8, deadline=None, derandomize=True)
@given(steps=st.integers(1, 8), growth=st.sampled_from(["constant", "proportional", "additive"]),
       seed=st.integers(0, 99))
def test_composed_steps_are_single_steps_in_turn(border, steps, growth, seed):
    """x_t of the iterated blur is t single kernels applied one after the other, to 1e-5."""
    spec, t = image(1, 9, 7), torch.full((2,), steps)
    whole, each = (blur(spec, steps, border=border, growth=growth, reading=reading)
                   for reading in ("composed", "single"))
    slow = x0 = smooth_images(2, spec, seed)
    for step in range(1, steps + 1):
        slow = each.degrade(slow, torch.full((2,), step), None)
    torch.testing.assert_close(whole.degrade(x0, t, None), slow, rtol=0, atol=1e-5)


def test_gaussian_mask_is_its_strokes_in_turn():
    """Bansal's step i multiplies by 1 - exp(-d^2 / 2 s_i^2), black filling, to 1e-5."""
    spec = image(1, 6, 5, low=0.0)
    section = {"kind": "gaussian-mask", "fill": 0.0, "width": 0.1, "strokes": 4, "centre": "drawn"}
    process = degradations.build(spec, section, {"kind": "own", "steps": 4},
                                 {"kind": "constant", "level": 0.0, "jitter": 0.0})
    slow = x0 = smooth_images(1, spec)
    rows, columns = torch.meshgrid(torch.arange(6), torch.arange(5), indexing="ij")
    for i in range(1, 5):  # z = (0.7, 0.3): pixel 4 of 6, 1 of 5
        slow = slow * (1 - torch.exp(-((rows - 4) ** 2 + (columns - 1) ** 2) / (2 * (0.5 * i) ** 2)))
        x_t = process.degrade(x0, torch.tensor([i]), torch.tensor([[0.7, 0.3]]))
        torch.testing.assert_close(x_t, slow, rtol=0, atol=1e-5)


class Count(TorchDispatchMode):
    """How many operations were dispatched."""

    calls = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.calls += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", CASES)
def test_no_loop_over_images_or_times_and_the_device_follows(params, name):
    """As many operations for 24 images at 12 times as for 2; all of them on the input's device (meta)."""
    run = params.run(name)
    spec = image(3, 8, 8, low=run.restorer.low, high=run.restorer.high)
    process = degradations.build(spec, *own_section(run, 12), GREY)
    process.fit(smooth_images(8, spec), lambda: smooth_images(3, spec, 9))
    counts = []
    for n in (2, 24):
        x0, t = smooth_images(n, spec), torch.arange(n) % 12 + 1
        z = process.draw(BatchRandom(n, generator(0)))
        with Count() as seen:
            process.degrade(x0, t, z)
        counts.append(seen.calls)
    assert counts[0] == counts[1], f"{name}: {counts}"
    z = None if z is None else z.to("meta")
    assert process.to("meta").degrade(x0.to("meta"), t.to("meta"), z).device.type == "meta", name
