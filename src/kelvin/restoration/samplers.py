"""Samplers: pure functions of one signature that yield the states from x_T to x_0.

sampler(restorer, state, times, random, *, options): `times` decreases and ends in 0; the first
element yielded is the state at times[1], the last is the sample. `random` gives stochastic samplers
their noise; deterministic ones leave it alone. One line each names paper and algorithm.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field

from kelvin.degradations import GaussianProcess, State
from kelvin.degradations.base import Random
from kelvin.errors import KelvinError
from kelvin.registry import Registry
from kelvin.restoration.restorer import Restorer

samplers = Registry("sampler")
Subset = Annotated[int, Field(ge=1)] | Literal["all"]


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
    """The z to keep: the state's own, or, where it is hidden but follows from (x_t, x0_hat), that.

    A prior knows its z. A restoration must not be told the noise that spoilt the image: it estimates
    z at its first step and keeps that.
    """
    if state.z is None and restorer.degradation.can_estimate_z:
        return restorer.degradation.estimate_z(state.x, x0_hat, t)
    return state.z


def gaussian(restorer: Restorer, name: str) -> GaussianProcess:
    """The restorer's process; KelvinError where it is not Gaussian."""
    if not isinstance(restorer.degradation, GaussianProcess):
        raise KelvinError(f"sampler {name} needs a Gaussian process, but the degradation is "
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
    """Song et al. 2021 (DDIM), eq. 12 and 16; eta = 0 is deterministic, eta = 1 ancestral."""
    process = gaussian(restorer, "ddim")
    for t, s in pairs(restorer, state, times):
        mean, std = process.posterior(state.x, restorer(state.x, t).x0_hat, t, s, eta)
        noisy = eta > 0 and int(s[0]) > 0
        x = mean + std * random.normal(*mean.shape[1:]).to(mean) if noisy else mean
        state = State(x, state.z)
        yield state


@samplers.register("naive")
def naive(restorer: Restorer, state: State, times: Sequence[int], random: Random, *,
          steps: Subset) -> Iterator[State]:
    """Bansal et al. 2022, Algorithm 1: x_s = D(x0_hat, s, z), z kept."""
    for t, s in pairs(restorer, state, times):
        x0_hat = restorer(state.x, t).x0_hat
        z = known_z(restorer, state, x0_hat, t)
        state = State(restorer.degradation.degrade(x0_hat, s, z), z)
        yield state


@samplers.register("improved")
def improved(restorer: Restorer, state: State, times: Sequence[int], random: Random, *,
             steps: Subset, z: Literal["kept", "estimated"]) -> Iterator[State]:
    """Bansal et al. 2022, Algorithm 2: x_s = x_t - D(x0_hat, t, z) + D(x0_hat, s, z).

    z `kept` from the start, or `estimated` anew from (x_t, x0_hat) at every step; the latter under
    Gaussian noise is DDIM with eta = 0.
    """
    D = restorer.degradation.degrade
    for t, s in pairs(restorer, state, times):
        x0_hat = restorer(state.x, t).x0_hat
        noise = (known_z(restorer, state, x0_hat, t) if z == "kept"
                 else restorer.degradation.estimate_z(state.x, x0_hat, t))
        state = State(state.x - D(x0_hat, t, noise) + D(x0_hat, s, noise), noise)
        yield state


@samplers.register("direct")
def direct(restorer: Restorer, state: State, times: Sequence[int], random: Random) -> Iterator[State]:
    """One shot: x0_hat from x_T, whatever the times in between."""
    t, _ = next(pairs(restorer, state, times))
    yield State(restorer(state.x, t).x0_hat, state.z)
