"""Samplers: pure functions of one signature that yield the states from x_T to x_0.

sampler(restorer, state, times, random, *, options): `times` decreases and ends in 0; the first state is
that at times[1], the last is the sample. `random` gives stochastic samplers their noise; deterministic
ones leave it alone. One line each names paper and algorithm, whose letters the code keeps. What a sampler
does is one step from t to s; kelvin.sampling.walk runs it over the times. `@sampler` enters one, with the
process it needs and, where they are fixed, its steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

import torch
from pydantic import Field

from kelvin.common.errors import KelvinError
from kelvin.config.registry import Registry
from kelvin.degradations import Degradation, GaussianProcess, HotProcess, State
from kelvin.degradations.base import Stream
from kelvin.restoration.restorer import Restorer
from kelvin.restoration.variance import log_variance
from kelvin.sampling.walk import Walk

samplers = Registry("sampler")
Steps = Annotated[int, Field(ge=1)] | Literal["all"]
Which = Literal["kept", "estimated"]  # the z that Algorithms 1 and 2 degrade x0_hat with
MEANS = {GaussianProcess: "a process with Gaussian noise", HotProcess: "a hot process (noise alone)"}


def sampler(kind: str, process: type = Degradation, steps: Steps | None = None) -> Callable:
    """Decorator: enter a sampler under `kind`.

    process: the class of degradations that it needs. steps: how many it takes whatever its entry in
    params.yaml; None where the entry says so by an option `steps`.
    """
    def enter(function: Callable) -> Callable:
        function.process, function.steps = process, steps
        return samplers.register(kind)(function)
    return enter


class Sampler(NamedTuple):
    """What a section of `samplers` names: the function, its steps ("all": T of them), its options."""

    function: Callable
    steps: Steps
    options: dict[str, Any]


def check(section: Mapping[str, Any], where: str) -> Sampler:
    """The sampler of a section; KelvinError with a line for every option that is wrong."""
    fixed = getattr(samplers.find(section["kind"], where), "steps", None)
    function, options = samplers.check(section, where, {} if fixed else {"steps": Steps})
    return Sampler(function, fixed or options.pop("steps"), options)


def unfit(function: Callable, process: type) -> str | None:
    """What the sampler needs, in words, where a process of that class is something else."""
    needed = getattr(function, "process", Degradation)
    return None if issubclass(process, needed) else MEANS[needed]


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


def visits(section: Mapping[str, Any], T: int) -> int:
    """Steps that the sampler of a section takes from T."""
    return len(times(T, check(section, f"samplers.{section['kind']}").steps)) - 1


def known_z(restorer: Restorer, state: State, x0_hat: torch.Tensor, t: torch.Tensor
            ) -> torch.Tensor | None:
    """The z to keep: the state's own, or, where a part is hidden but follows from (x_t, x0_hat), that.

    A state from the prior has its z. A restoration has `degradation.public(z)` alone: the rest is
    estimated at its first step and then kept.
    """
    if state.hidden:
        return restorer.degradation.estimate_z(state.x, x0_hat, t, state.z)
    return state.z


@sampler("ancestral", GaussianProcess)
def ancestral(restorer: Restorer, state: State, times: Sequence[int], random: Stream
              ) -> Iterator[State]:
    """Ho et al. 2020, Algorithm 2: draw from the posterior q(x_s | x_t, x0_hat)."""
    return ddim(restorer, state, times, random, eta=1.0)


@sampler("ddim", GaussianProcess)
def ddim(restorer: Restorer, state: State, times: Sequence[int], random: Stream, *,
         eta: Annotated[float, Field(ge=0, le=1)]) -> Iterator[State]:
    """Song et al. 2021 (DDIM), eq. 12 and 16; eta = 0 is deterministic, eta = 1 ancestral.

    A learned variance takes the place of the posterior's at eta = 1 alone: sigma_eta is DDIM's own.
    """
    process = restorer.degradation

    def step(state: State, t: torch.Tensor, s: torch.Tensor, is_last: bool) -> State:
        restored = restorer(state.x, t)
        mean, std = process.posterior(state.x, restored.x0_hat, t, s, eta, state.z)
        if eta == 1 and restored.v is not None:
            std = (log_variance(process, restored.v, t, s) / 2).exp().to(mean.dtype)
        noisy = eta > 0 and not is_last
        x = mean + process.spread(std, random.normal(*mean.shape[1:]).to(mean)) if noisy else mean
        return State(x, state.z, state.hidden)

    return Walk(restorer, state, times, random, step)


@sampler("heun", HotProcess)
def heun(restorer: Restorer, state: State, times: Sequence[int], random: Stream) -> Iterator[State]:
    """Karras et al. 2022, Algorithm 1 (deterministic), on the straight line from image to noise.

    With sigma the share of noise / (signal + noise), from at most 1 down to 0 and finite where no
    signal is left, y = x / (signal + noise) moves along dy/dsigma = (y - x0_hat) / sigma. Two
    evaluations a step, one the last.
    """
    process = restorer.degradation

    def line(t: torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        signal, noise = process.gain(t, None), process.std(t)
        return (signal + noise).to(x.dtype), (noise / (signal + noise)).to(x.dtype)

    def step(state: State, t: torch.Tensor, s: torch.Tensor, is_last: bool) -> State:
        (scale_t, sigma_t), (scale_s, sigma_s) = line(t, state.x), line(s, state.x)
        y = state.x / scale_t
        d = (y - restorer(state.x, t).x0_hat) / sigma_t
        y_s = y + (sigma_s - sigma_t) * d  # Euler
        if not is_last:  # second-order correction
            d_prime = (y_s - restorer(scale_s * y_s, s).x0_hat) / sigma_s
            y_s = y + (sigma_s - sigma_t) * (d + d_prime) / 2
        return State(scale_s * y_s, state.z, state.hidden)

    return Walk(restorer, state, times, random, step)


@dataclass(frozen=True)
class AfterStep(State):
    """A state and, of the step to it, x0_hat (n, C, H, W) and h, the step of log-SNR (n, 1, 1, 1)."""

    x0_hat: torch.Tensor | None = None
    h: torch.Tensor | None = None


@sampler("dpm-solver++", HotProcess)
def dpm_solver_2m(restorer: Restorer, state: State, times: Sequence[int], random: Stream
                  ) -> Iterator[State]:
    """Lu et al. 2022 (DPM-Solver++), Algorithm 2 (2M): x0_hat extrapolated in log-SNR.

    lambda = log(alpha / sigma), h its step, r = h_before / h, D the x0_hat that a step uses. The first
    and the last step are of first order (DDIM), as the paper does for few steps.
    """
    process = restorer.degradation

    def step(state: State, t: torch.Tensor, s: torch.Tensor, is_last: bool) -> State:
        alpha_t, alpha_s = process.gain(t, None), process.gain(s, None)
        sigma_t, sigma_s = process.std(t), process.std(s)
        D = x0_hat = restorer(state.x, t).x0_hat
        h = (alpha_s / sigma_s).log() - (alpha_t / sigma_t).log()
        if isinstance(state, AfterStep) and not is_last:
            half_r = (h / state.h / 2).to(x0_hat.dtype)  # 1 / 2r; 0 after a step from no signal
            D = x0_hat + half_r * (x0_hat - state.x0_hat)
        ratio = sigma_s / sigma_t
        x = ratio.to(D.dtype) * state.x + (alpha_s - ratio * alpha_t).to(D.dtype) * D
        return AfterStep(x, state.z, state.hidden, x0_hat, h)

    return Walk(restorer, state, times, random, step)


@sampler("dissipation", steps="all")
def dissipation(restorer: Restorer, state: State, times: Sequence[int], random: Stream, *,
                noise: Annotated[float, Field(ge=0)]) -> Iterator[State]:
    """Rissanen et al. 2023, Algorithm 2: the predicted mean of x_{t-1}, plus `noise` (in [0, 1])."""
    level = noise * (restorer.image.high - restorer.image.low)

    def step(state: State, t: torch.Tensor, s: torch.Tensor, is_last: bool) -> State:
        x = restorer(state.x, t).previous
        if x is None:
            raise KelvinError("sampler dissipation needs a network that predicts the previous state: "
                              "set restorer.parameterisation = previous")
        if not is_last:
            x = x + level * random.normal(*x.shape[1:]).to(x)
        return State(x, state.z, state.hidden)

    return Walk(restorer, state, times, random, step)


@sampler("naive")
def naive(restorer: Restorer, state: State, times: Sequence[int], random: Stream, *,
          z: Which | Literal["fresh"]) -> Iterator[State]:
    """Bansal et al. 2022, Algorithm 1: x_s = D(x0_hat, s, z).

    z `kept` from the start, `estimated` anew from (x_t, x0_hat), or drawn `fresh` at every step.
    """
    process = restorer.degradation

    def step(state: State, t: torch.Tensor, s: torch.Tensor, is_last: bool) -> State:
        x0_hat = restorer(state.x, t).x0_hat
        if z == "fresh":
            fresh = process.draw(random)
            used = None if fresh is None else fresh.to(x0_hat.device)
        else:
            used = chosen_z(restorer, state, x0_hat, t, z)
        return State(process.degrade(x0_hat, s, used), used)

    return Walk(restorer, state, times, random, step)


@sampler("improved")
def improved(restorer: Restorer, state: State, times: Sequence[int], random: Stream, *,
             z: Which) -> Iterator[State]:
    """Bansal et al. 2022, Algorithm 2: x_s = x_t - D(x0_hat, t, z) + D(x0_hat, s, z).

    z `kept` from the start, or `estimated` anew from (x_t, x0_hat) at every step; the latter under
    Gaussian noise is DDIM with eta = 0.
    """
    D = restorer.degradation.degrade

    def step(state: State, t: torch.Tensor, s: torch.Tensor, is_last: bool) -> State:
        x0_hat = restorer(state.x, t).x0_hat
        used = chosen_z(restorer, state, x0_hat, t, z)
        return State(state.x - D(x0_hat, t, used) + D(x0_hat, s, used), used)

    return Walk(restorer, state, times, random, step)


def chosen_z(restorer: Restorer, state: State, x0_hat: torch.Tensor, t: torch.Tensor, which: str
             ) -> torch.Tensor | None:
    if which == "estimated":
        return restorer.degradation.estimate_z(state.x, x0_hat, t, state.z)
    return known_z(restorer, state, x0_hat, t)


@sampler("direct", steps=1)
def direct(restorer: Restorer, state: State, times: Sequence[int], random: Stream) -> Iterator[State]:
    """One shot: x0_hat from x_T, whatever the times in between."""
    def step(state: State, t: torch.Tensor, s: torch.Tensor, is_last: bool) -> State:
        return State(restorer(state.x, t).x0_hat, state.z)

    return Walk(restorer, state, [times[0], 0], random, step)
