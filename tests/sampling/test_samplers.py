"""Samplers against diffusers, against the analytic restorer of a Gaussian, and each other."""

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler
from helpers import NORMAL, blur, image, noise, unit_images

from kelvin import degradations
from kelvin.common.errors import KelvinError
from kelvin.common.streams import BlockRandom
from kelvin.degradations import State
from kelvin.restoration.restorer import Restorer
from kelvin.sampling.samplers import check, samplers, times
from kelvin.sampling.trajectories import degrader, generate, last, restore, trajectory

SPEC = image()
MEAN, SD = 0.3, 0.5  # of the Gaussian data below
FIXED = "direct", "dissipation"  # their entries have no option `steps`


def eps_network(x, time):
    """Any fixed smooth function will do as a network."""
    return torch.tanh(x.roll(1, -1) * 0.7 + time.view(-1, 1, 1, 1) - 0.2)


def gaussian_restorer(process, spec=SPEC, mean=MEAN, sd=SD):
    """The optimal x0_hat for data N(mean, sd^2 I), by conditioning."""
    def network(x, time):
        t = (time * process.steps).round().long()
        a, s = process.gain(t, None).to(x.dtype), process.std(t).to(x.dtype)
        return mean + a * sd**2 / (a**2 * sd**2 + s**2) * (x - a * mean)

    return Restorer(network, "x0", process, spec, clip=False)


def run(restorer, kind, steps="all", n=64, seed=0, **options):
    section = {"kind": kind, **({} if kind in FIXED else {"steps": steps}), **options}
    random = BlockRandom(0, n, seed)
    state = restorer.degradation.prior.draw(random)
    return trajectory(restorer, section, state, restorer.degradation.steps, random)[1]


@pytest.mark.parametrize(("T", "steps"), [(1000, 50), (20, "all"), (7, 3), (5, 5), (1, 1)])
def test_times_start_at_T_end_in_0_and_were_trained(T, steps):
    visited = times(T, steps)
    assert visited[0] == T and visited[-1] == 0 and sorted(set(visited), reverse=True) == visited
    assert all(1 <= t <= T for t in visited[:-1])  # training draws t from 1..T, both included
    assert len(visited) - 1 == (T if steps == "all" else steps)
    half = times(T, steps, max(1, T // 2))
    assert half[0] == max(1, T // 2) and half[-1] == 0


def test_too_many_steps_are_refused():
    with pytest.raises(KelvinError, match="= 50 is more than the process has"):
        times(20, 50)


@pytest.mark.parametrize("eta", [0.0, 0.6])
@pytest.mark.parametrize("clip", [False, True])
def test_ddim_equals_diffusers(eta, clip):
    """Twenty steps over T = 1000 to 1e-4; with clipping, eps is derived from the clipped x0_hat."""
    restorer = Restorer(eps_network, "eps", noise(), SPEC, clip)
    theirs = DDIMScheduler(1000, 1e-4, 0.02, "linear", clip_sample=clip, set_alpha_to_one=True)
    theirs.set_timesteps(20)
    x = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    ours, visited = State(x, x), [*(int(t) + 1 for t in theirs.timesteps), 0]  # theirs counts from 0
    theirs.config.prediction_type = "epsilon"
    for t, s in zip(visited, visited[1:], strict=False):
        stream = BlockRandom(0, 3, t)
        draw = BlockRandom(0, 3, t).normal(1, 8, 8)
        eps = eps_network(x, torch.full((3,), t / 1000))
        x = theirs.step(eps, t - 1, x, eta=eta, use_clipped_model_output=True,
                        variance_noise=draw if s > 0 else torch.zeros_like(draw)).prev_sample
        ours = next(iter(samplers.find("ddim")(restorer, ours, [t, s], stream, eta=eta)))
        torch.testing.assert_close(ours.x, x, rtol=1e-4, atol=1e-4)


def test_ancestral_equals_diffusers():
    """Posterior mean and variance of first, middle and last steps, to 1e-4: theirs is float32."""
    restorer = Restorer(eps_network, "eps", noise(), SPEC, clip=True)
    theirs = DDPMScheduler(1000, 1e-4, 0.02, "linear", clip_sample=True)
    x = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    for t in [1000, 999, 500, 2, 1]:
        time, before = torch.full((3,), t), torch.full((3,), t - 1)
        mean, std = restorer.degradation.posterior(x, restorer(x, time).x0_hat, time, before)
        generator = torch.Generator().manual_seed(5)
        step = theirs.step(eps_network(x, time / 1000), t - 1, x, generator=generator).prev_sample
        draw = torch.randn(x.shape, generator=torch.Generator().manual_seed(5))
        torch.testing.assert_close(mean + (std * draw if t > 1 else 0), step, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("kind", "steps", "options"), [
    ("ancestral", "all", {}), ("ddim", "all", {"eta": 0.0}), ("ddim", "all", {"eta": 0.5}),
    ("ddim", 250, {"eta": 0.0}), ("improved", "all", {"z": "estimated"}), ("heun", 100, {}),
    ("dpm-solver++", 100, {}), ("naive", "all", {"z": "estimated"})],
    ids=lambda v: str(v))
def test_gaussian_data_come_back(kind, steps, options):
    """Mean and variance of 20,480 pixels: to 4 standard errors and 2.5 % of discretisation."""
    out = last(run(gaussian_restorer(noise()), kind, steps, n=320, **options)).x
    assert abs(out.mean() - MEAN) < 4 * SD / out.numel() ** 0.5
    assert abs(out.std() / SD - 1) < 0.025 + 4 * (0.5 / out.numel()) ** 0.5


@pytest.mark.parametrize("process", [noise(), degradations.build(
    SPEC, {"kind": "interpolation"}, {"kind": "own", "steps": 1000}, NORMAL)], ids=["noise", "flow"])
@pytest.mark.parametrize(("kind", "order"), [("ddim", 1), ("heun", 2), ("dpm-solver++", 2)])
def test_order_of_convergence_to_the_exact_flow(process, kind, order):
    """On Gaussian data the probability-flow ODE has a solution; its error falls as steps^-order.

    Also for the straight line, whose x_T holds no signal at all. Down to T/10: the last step to 0 is
    of first order by design.
    """
    restorer, start = gaussian_restorer(process), process.prior.draw(BlockRandom(0, 64, 0)).x.double()
    def spread(t):
        return (process.signal[t] ** 2 * SD**2 + process.noise[t] ** 2).sqrt()

    exact = (process.signal[100] * MEAN
             + (start - process.signal[1000] * MEAN) * spread(100) / spread(1000))
    options = {"eta": 0.0} if kind == "ddim" else {}

    def error(steps):
        visited = list(range(1000, 99, -900 // steps))
        state = State(start, start)
        out = last(samplers.find(kind)(restorer, state, visited, BlockRandom(0, 64, 0),
                                       **options)).x
        return float((out - exact).abs().mean())

    rate = np.log2(error(25) / error(100)) / 2
    assert rate > order - 0.35, f"error falls as steps^-{rate:.2f}"


def test_dpm_solver_equals_diffusers():
    """DPM-Solver++(2M) over twenty steps to 1e-4 (theirs is float32)."""
    restorer = Restorer(eps_network, "eps", noise(), SPEC, clip=False)
    theirs = DPMSolverMultistepScheduler(1000, 1e-4, 0.02, "linear", algorithm_type="dpmsolver++",
                                         solver_order=2, final_sigmas_type="zero")
    theirs.set_timesteps(20)
    x = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    visited = [*(int(t) + 1 for t in theirs.timesteps), 0]  # theirs counts from 0
    ours = samplers.find("dpm-solver++")(restorer, State(x, x), visited, BlockRandom(0, 3, 0))
    for t, state in zip(visited, ours, strict=False):
        x = theirs.step(eps_network(x, torch.full((3,), t / 1000)), t - 1, x).prev_sample
        torch.testing.assert_close(state.x, x, rtol=1e-4, atol=1e-4)


def test_dissipation_is_its_prediction_plus_noise():
    """With a perfect network the mean of x_{t-1} is A_{t-1} x0; the noise has the asked deviation."""
    process = degradations.build(
        SPEC, {"kind": "heat-dissipation", "sigma": 0.5, "sigma_start": 0.05, "noise": 0.01},
        {"kind": "own", "steps": 10}, {"kind": "constant", "level": 0.0, "jitter": 0.0})
    x0 = 2 * unit_images(320, SPEC) - 1

    def network(x, time):
        t = (time * 10).round().long()
        return process.mean(x0, t - 1, None) - x

    restorer = Restorer(network, "previous", process, SPEC, clip=False)
    section = {"kind": "dissipation", "noise": 0.02}
    state = State(process.degrade(x0, torch.full((320,), 10), torch.zeros_like(x0)), None)
    visited, states = trajectory(restorer, section, state, 10, BlockRandom(0, 320, 0))
    for s, found in zip(visited[1:], states, strict=True):
        gap = found.x - process.mean(x0, torch.full((320,), s), None)
        assert abs(gap.std() - (0.04 if s else 0.0)) < 1e-3  # 0.02 of [0, 1] is 0.04 of [-1, 1]


def test_dissipation_and_solvers_refuse_what_they_cannot_do():
    with pytest.raises(KelvinError, match="parameterisation = previous"):
        last(run(gaussian_restorer(noise(steps=5)), "dissipation", noise=0.01))
    restorer = Restorer(lambda x, time: x, "x0", blur(), SPEC, clip=False)
    with pytest.raises(KelvinError, match="needs a hot process"):
        refused(restorer, {"kind": "heun", "steps": 1})


@pytest.mark.parametrize("kind", ["naive", "improved", "direct"])
def test_kept_noise_follows_its_recursion(kind):
    """With z kept the samplers are linear in z: x_t = c_t z + d_t, by a scalar recursion, to 1e-4."""
    process = noise(steps=50, beta_max=0.3)
    a, s = np.sqrt(process.schedule.alpha_bar), np.sqrt(1 - process.schedule.alpha_bar)
    c, d = 1.0, 0.0
    for t in ([50] if kind == "direct" else range(50, 0, -1)):
        gain = a[t] * SD**2 / (a[t] ** 2 * SD**2 + s[t] ** 2)
        x0 = (gain * c, MEAN + gain * (d - a[t] * MEAN))
        if kind == "naive":
            c, d = a[t - 1] * x0[0] + s[t - 1], a[t - 1] * x0[1]
        elif kind == "improved":
            c, d = c + (a[t - 1] - a[t]) * x0[0] + s[t - 1] - s[t], d + (a[t - 1] - a[t]) * x0[1]
        else:
            c, d = x0
    options = {} if kind == "direct" else {"z": "kept"}
    out = last(run(gaussian_restorer(process), kind, n=32, **options)).x
    z = process.prior.draw(BlockRandom(0, 32, 0)).z
    torch.testing.assert_close(out, (c * z + d).float(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("steps", ["all", 50])
def test_improved_with_z_estimated_is_ddim_without_clipping(steps):
    """The identity of Algorithm 2 and DDIM (eta 0), to 1e-5 along the whole trajectory."""
    restorer = Restorer(eps_network, "eps", noise(steps=200, beta_max=0.05), SPEC, clip=False)
    one = run(restorer, "improved", steps, z="estimated")
    two = run(restorer, "ddim", steps, eta=0.0)
    for a, b in zip(one, two, strict=True):
        torch.testing.assert_close(a.x, b.x, rtol=1e-5, atol=1e-5 * float(b.x.abs().max()))


@pytest.mark.parametrize("kind", ["naive", "improved", "direct"])
def test_cold_samplers_with_a_perfect_restorer_are_exact(kind):
    """A restorer that knows x0 makes every cold sampler end in x0, from any t."""
    process, x0 = blur(), 2 * unit_images(4, SPEC) - 1
    restorer = Restorer(lambda x, time: x0, "x0", process, SPEC, clip=False)
    section = {"kind": kind, **({} if kind == "direct" else {"steps": "all", "z": "kept"})}
    for t in (1, 4, 8):
        state, random = degrader(restorer, unit_images(4, SPEC), (0,))(t)
        _, states = trajectory(restorer, section, state, t, random)
        torch.testing.assert_close(last(states).x, x0, rtol=0, atol=1e-5)


def test_algorithm_2_forgives_a_wrong_restorer_where_algorithm_1_does_not():
    """Bansal et al. 2022, section 3.2: a constant error in x0_hat cancels to first order."""
    process, x0 = blur(border="reflect"), 2 * unit_images(4, SPEC) - 1
    restorer = Restorer(lambda x, time: x0 + 0.3, "x0", process, SPEC, clip=False)
    state, random = degrader(restorer, unit_images(4, SPEC), (0,))(8)
    off = {}
    for kind, options in (("naive", {"z": "kept"}), ("improved", {"z": "kept"})):
        section = {"kind": kind, "steps": "all", **options}
        off[kind] = float((last(trajectory(restorer, section, state, 8, random)[1]).x - x0).abs().max())
    assert off["naive"] == pytest.approx(0.3, abs=1e-3) and off["improved"] < 1e-4


@pytest.mark.parametrize(("kind", "options"), [("naive", {"z": "kept"}), ("improved", {"z": "kept"})])
def test_a_restoration_is_not_told_the_noise(kind, options):
    """Restoring is a function of x_t alone: with z hidden, the z of the first x0_hat is kept."""
    restorer = gaussian_restorer(noise(steps=20, beta_max=0.5))
    section = {"s": {"kind": kind, "steps": "all", **options}}
    unit = unit_images(6, SPEC)
    found = restore(restorer, section, unit, unit, (0,), 1)
    state, random = degrader(restorer, unit, (0,))(20)
    x0_hat = restorer(state.x, torch.full((6,), 20)).x0_hat
    z = restorer.degradation.estimate_z(state.x, x0_hat, torch.full((6,), 20))
    _, states = trajectory(restorer, section["s"], State(state.x, z), 20, random)
    torch.testing.assert_close(found.methods["s"][0], SPEC.decode(last(states).x))
    _, told = trajectory(restorer, section["s"], state, 20, random)
    assert not torch.allclose(found.methods["s"][0], SPEC.decode(last(told).x), atol=1e-2)


def test_a_restoration_does_not_depend_on_the_samplers_beside_it():
    """Two that draw noise at every step: each alone, both, and in the other order."""
    restorer = gaussian_restorer(noise(steps=20, beta_max=0.5))
    unit, sections = unit_images(6, SPEC), {
        "ancestral": {"kind": "ancestral", "steps": "all"},
        "ddim": {"kind": "ddim", "steps": 10, "eta": 1.0}}

    def restored(*names):
        return restore(restorer, {n: sections[n] for n in names}, unit, unit, (0,), 2).methods

    for names in (("ancestral", "ddim"), ("ddim", "ancestral")):
        both = restored(*names)
        assert not torch.equal(both["ancestral"], both["ddim"])
        for name in names:
            assert torch.equal(both[name], restored(name)[name]), (names, name)


def test_gaussian_samplers_refuse_a_blur():
    restorer = Restorer(lambda x, time: x, "x0", blur(), SPEC, clip=False)
    with pytest.raises(KelvinError, match="needs a process with Gaussian noise"):
        refused(restorer, {"kind": "ddim", "steps": 1, "eta": 0.0})


def refused(restorer, section):
    trajectory(restorer, section, State(torch.zeros(2, 1, 8, 8), None), 8, BlockRandom(0, 2, 0))


@pytest.mark.parametrize("kind", FIXED)
def test_a_sampler_of_fixed_steps_takes_no_option_steps(kind):
    options = {"noise": 0.01} if kind == "dissipation" else {}
    with pytest.raises(KelvinError, match="steps is not a known parameter"):
        check({"kind": kind, "steps": 5, **options}, "samplers.mine")
    assert check({"kind": kind, **options}, "samplers.mine").steps == (1 if kind == "direct" else "all")


def test_other_samplers_must_say_their_steps():
    with pytest.raises(KelvinError, match="samplers.mine.steps is missing; ddim takes eta, steps"):
        check({"kind": "ddim", "eta": 0.0}, "samplers.mine")


def test_blur_cannot_estimate_z():
    restorer = Restorer(lambda x, time: x, "x0", blur(), SPEC, clip=False)
    with pytest.raises(KelvinError, match="use the sampler option z = kept"):
        x = torch.zeros(2, 1, 8, 8)
        last(samplers.find("improved")(restorer, State(x, None), [8, 0], BlockRandom(0, 2, 0),
                                       z="estimated"))


@pytest.mark.parametrize("section", [{"kind": "ancestral", "steps": 20},
                                     {"kind": "ddim", "steps": 10, "eta": 0.0}], ids=str)
def test_samples_do_not_depend_on_the_batch(section):
    restorer = Restorer(eps_network, "eps", noise(), SPEC, clip=True)
    whole = generate(restorer, section, 37, (3, "x"), 37)
    parts = generate(restorer, section, 37, (3, "x"), 11)
    torch.testing.assert_close(whole.images, parts.images, rtol=0, atol=1e-6)
    assert whole.nfe == parts.nfe == section["steps"]
    more = generate(restorer, section, 60, (3, "x"), 60)
    torch.testing.assert_close(more.images[:37], whole.images, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("kind", "options"), [
    ("ancestral", {}), ("ddim", {"eta": 0.0}), ("heun", {}), ("dpm-solver++", {}),
    ("improved", {"z": "estimated"}), ("naive", {"z": "estimated"})])
def test_every_sampler_starts_from_no_signal_at_all(kind, options):
    """zero_terminal_snr: with the optimal restorer of Gaussian data its mean within five standard
    errors and its deviation within 5 % come out of 64 images, of 400 steps."""
    restorer = gaussian_restorer(noise(steps=400, beta_max=0.05, zero_terminal_snr=True))
    x = last(run(restorer, kind, **options)).x
    assert torch.isfinite(x).all()
    assert abs(float(x.mean()) - MEAN) < 5 * SD / x.numel() ** 0.5
    assert float(x.std()) == pytest.approx(SD, rel=0.05)
