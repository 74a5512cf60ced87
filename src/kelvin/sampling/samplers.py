"""Samplers: pure functions of one signature that yield the states from x_T to x_0.

sampler(restorer, state, times, random, *, options): `times` decreases and ends in 0; the first
element yielded is the state at times[1], the last is the sample. `random` gives stochastic samplers
their noise; deterministic ones leave it alone. One line each names paper and algorithm.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import Field

from kelvin.common.errors import KelvinError
from kelvin.config.registry import Registry
from kelvin.degradations import GaussianProcess, HotProcess, State
from kelvin.degradations.base import Random
from kelvin.restoration.restorer import Restorer
from kelvin.restoration.variance import log_variance

samplers = Registry("sampler")
Subset = Annotated[int, Field(ge=1)] | Literal["all"]
Which = Literal["kept", "estimated"]  # the z that Algorithms 1 and 2 degrade x0_hat with


def times(T: int, steps: int | str, start: int | None = None, where: str = "steps") -> list[int]:
    """`steps` + 1 evenly spaced times from `start` (default T) down to 0; "all" visits every one.

    On a start below T the share of steps is kept: a run of 50 steps over T = 1000 takes 25 from 500.
    """
    start = T if start is None else start
    steps = T if steps == "all" else steps
    if steps > T:
        raise KelvinError(f"{where} = {steps} is more than the process has (T = {T}); "
                          "use 'all' or fewer")
    count = max(1, round(steps * start / T))
    grid = torch.linspace(start, 0, count + 1, dtype=torch.float64).round().long().tolist()
    return sorted(set(grid), reverse=True)


def pairs(restorer: Restorer, state: State, times: Sequence[int]) -> Iterator[tuple]:
    """(t, s) as long tensors (n,) for each step from t down to s."""
    n, device = len(state.x), state.x.device
    for t, s in zip(times, times[1:], strict=False):
        yield (torch.full((n,), t, device=device), torch.full((n,), s, device=device))


def known_z(restorer: Restorer, state: State, x0_hat: torch.Tensor, t: torch.Tensor
            ) -> torch.Tensor | None:
    """The z to keep: the state's own, or, where a part is hidden but follows from (x_t, x0_hat), that.

    A prior knows its z. A restoration is told `degradation.public(z)` alone: it estimates the rest at
    its first step and keeps that.
    """
    if state.hidden:
        return restorer.degradation.estimate_z(state.x, x0_hat, t, state.z)
    return state.z


def gaussian(restorer: Restorer, name: str, kind: type = GaussianProcess) -> Any:
    """The restorer's process; KelvinError where it is not Gaussian (or not hot, as `kind` wants)."""
    if not isinstance(restorer.degradation, kind):
        what = "a hot process (noise alone)" if kind is HotProcess else "a Gaussian process"
        raise KelvinError(f"sampler {name} needs {what}, but the degradation is "
                          f"{type(restorer.degradation).__name__}: use improved, naive or direct")
    return restorer.degradation


@samplers.register("ancestral")
def ancestral(restorer: Restorer, state: State, times: Sequence[int], random: Random, *,
              steps: Subset) -> Iterator[State]:
    """Ho et al. 2020, Algorithm 2: draw from the posterior q(x_s | x_t, x0_hat)."""
    yield from ddim(restorer, state, times, random, steps=steps, eta=1.0)


@samplers.register("ddim")
def ddim(restorer: Restorer, state: State, times: Sequence[int], random: Random, *,
         steps: Subset, eta: Annotated[float, Field(ge=0, le=1)]) -> Iterator[State]:
    """Song et al. 2021 (DDIM), eq. 12 and 16; eta = 0 is deterministic, eta = 1 ancestral.

    A learned variance takes the place of the posterior's at eta = 1 alone: sigma_eta is DDIM's own.
    """
    process = gaussian(restorer, "ddim")
    for t, s in pairs(restorer, state, times):
        restored = restorer(state.x, t)
        mean, std = process.posterior(state.x, restored.x0_hat, t, s, eta, state.z)
        if eta == 1 and restored.v is not None:
            std = (log_variance(process, restored.v, t, s) / 2).exp().to(mean.dtype)
        noisy = eta > 0 and int(s[0]) > 0
        x = mean + process.spread(std, random.normal(*mean.shape[1:]).to(mean)) if noisy else mean
        state = State(x, state.z, state.hidden)
        yield state


@samplers.register("fed-back")
def fed_back(restorer: Restorer, state: State, times: Sequence[int], random: Random, *,
             steps: Subset) -> Iterator[State]:
    """A mistake, kept to be shown: x_s is x0_hat itself plus the posterior's noise.

    A network told s meets an image without the noise of s, and a factor of the rule for x0_hat acts
    anew at every step. Suspected of study E's black samples; whether it sampled so is not known.
    """
    process = gaussian(restorer, "fed-back")
    for t, s in pairs(restorer, state, times):
        x = restorer(state.x, t).x0_hat
        if int(s[0]) > 0:
            _, std = process.posterior(state.x, x, t, s, 1.0, state.z)
            x = x + process.spread(std, random.normal(*x.shape[1:]).to(x))
        state = State(x, state.z, state.hidden)
        yield state


@samplers.register("heun")
def heun(restorer: Restorer, state: State, times: Sequence[int], random: Random, *,
         steps: Subset) -> Iterator[State]:
    """Karras et al. 2022, Algorithm 1 (deterministic), on the straight line from image to noise.

    y = x / (signal + noise) moves along dy/dr = (y - x0_hat) / r, r = noise / (signal + noise) from
    at most 1 down to 0: finite where the signal is gone. Two evaluations a step, one the last.
    """
    process = gaussian(restorer, "heun", HotProcess)

    def line(t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        signal, noise = process.gain(t, None), process.std(t)
        return (signal + noise).to(state.x.dtype), (noise / (signal + noise)).to(state.x.dtype)

    for t, s in pairs(restorer, state, times):
        (size_t, r_t), (size_s, r_s) = line(t), line(s)
        y = state.x / size_t
        slope = (y - restorer(state.x, t).x0_hat) / r_t
        ahead = y + (r_s - r_t) * slope
        if int(s[0]) > 0:
            slope_s = (ahead - restorer(size_s * ahead, s).x0_hat) / r_s
            ahead = y + (r_s - r_t) * (slope + slope_s) / 2
        state = State(size_s * ahead, state.z, state.hidden)
        yield state


@samplers.register("dpm-solver++")
def dpm_solver_2m(restorer: Restorer, state: State, times: Sequence[int], random: Random, *,
                  steps: Subset) -> Iterator[State]:
    """Lu et al. 2022 (DPM-Solver++), Algorithm 2 (2M): x0_hat extrapolated in log-SNR.

    The first and the last step are of first order (DDIM), as the paper does for few steps.
    """
    process = gaussian(restorer, "dpm-solver++", HotProcess)
    before = None  # the last step's x0_hat and its width in half log-SNR
    for t, s in pairs(restorer, state, times):
        a_t, a_s = process.gain(t, None), process.gain(s, None)
        noise_t, noise_s = process.std(t), process.std(s)
        x0_hat = restorer(state.x, t).x0_hat
        width = (a_s / noise_s).log() - (a_t / noise_t).log()
        used = x0_hat
        if before is not None and int(s[0]) > 0:
            share = (width / before[1] / 2).to(x0_hat.dtype)  # 1 / 2r; 0 after a step from no signal
            used = x0_hat + share * (x0_hat - before[0])
        shrink = noise_s / noise_t
        x = shrink.to(used.dtype) * state.x + (a_s - shrink * a_t).to(used.dtype) * used
        before, state = (x0_hat, width), State(x, state.z, state.hidden)
        yield state


@samplers.register("dissipation")
def dissipation(restorer: Restorer, state: State, times: Sequence[int], random: Random, *,
                steps: Literal["all"], noise: Annotated[float, Field(ge=0)]) -> Iterator[State]:
    """Rissanen et al. 2023, Algorithm 2: the predicted mean of x_{t-1}, plus `noise` (in [0, 1])."""
    level = noise * (restorer.image.high - restorer.image.low)
    for t, s in pairs(restorer, state, times):
        x = restorer(state.x, t).previous
        if x is None:
            raise KelvinError("sampler dissipation needs a network that predicts the previous state: "
                              "set restorer.parameterisation = previous")
        if int(s[0]) > 0:
            x = x + level * random.normal(*x.shape[1:]).to(x)
        state = State(x, state.z, state.hidden)
        yield state


@samplers.register("naive")
def naive(restorer: Restorer, state: State, times: Sequence[int], random: Random, *,
          steps: Subset, z: Which | Literal["fresh"]) -> Iterator[State]:
    """Bansal et al. 2022, Algorithm 1: x_s = D(x0_hat, s, z).

    z `kept` from the start, `estimated` anew from (x_t, x0_hat), or drawn `fresh` at every step.
    """
    process = restorer.degradation
    for t, s in pairs(restorer, state, times):
        x0_hat = restorer(state.x, t).x0_hat
        if z == "fresh":
            drawn = process.draw(random)
            used = None if drawn is None else drawn.to(x0_hat.device)
        else:
            used = chosen_z(restorer, state, x0_hat, t, z)
        state = State(process.degrade(x0_hat, s, used), used)
        yield state


@samplers.register("improved")
def improved(restorer: Restorer, state: State, times: Sequence[int], random: Random, *,
             steps: Subset, z: Which) -> Iterator[State]:
    """Bansal et al. 2022, Algorithm 2: x_s = x_t - D(x0_hat, t, z) + D(x0_hat, s, z).

    z `kept` from the start, or `estimated` anew from (x_t, x0_hat) at every step; the latter under
    Gaussian noise is DDIM with eta = 0.
    """
    D = restorer.degradation.degrade
    for t, s in pairs(restorer, state, times):
        x0_hat = restorer(state.x, t).x0_hat
        used = chosen_z(restorer, state, x0_hat, t, z)
        state = State(state.x - D(x0_hat, t, used) + D(x0_hat, s, used), used)
        yield state


def chosen_z(restorer: Restorer, state: State, x0_hat: torch.Tensor, t: torch.Tensor, which: str
             ) -> torch.Tensor | None:
    if which == "estimated":
        return restorer.degradation.estimate_z(state.x, x0_hat, t, state.z)
    return known_z(restorer, state, x0_hat, t)


@samplers.register("direct")
def direct(restorer: Restorer, state: State, times: Sequence[int], random: Random) -> Iterator[State]:
    """One shot: x0_hat from x_T, whatever the times in between."""
    t, _ = next(pairs(restorer, state, times))
    yield State(restorer(state.x, t).x0_hat, state.z)
