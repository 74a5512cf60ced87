"""Ways to consume a sampler: samples, strips and restorations; none depends on the batch size."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from kelvin.common.errors import KelvinError
from kelvin.common.files import finite
from kelvin.common.streams import BlockRandom
from kelvin.degradations import State
from kelvin.restoration.restorer import Restorer
from kelvin.sampling.linear import LinearRestorer
from kelvin.sampling.samplers import check, times, unfit
from kelvin.sampling.walk import Walk

Progress = Callable[[int], Any]
NEAR = 0.1  # nats of log-SNR: values farther from every time are left out


def silent(_: int) -> None:
    """No progress to show."""


@dataclass(frozen=True)
class Images:
    """Images in [0, 1], shape (n, C, H, W), and the network evaluations that each of them took."""

    images: torch.Tensor
    nfe: int


def trajectory(restorer: Restorer, section: Mapping[str, Any], state: State, start: int,
               random: BlockRandom) -> tuple[list[int], Iterator[State]]:
    """The times a sampler visits from `start` down to 0, and its states at times[1:].

    KelvinError where the sampler cannot take the restorer's process.
    """
    where, process = f"samplers.{section['kind']}", restorer.degradation
    function, steps, options = check(section, where)
    if needed := unfit(function, type(process)):
        raise KelvinError(f"sampler {section['kind']} needs {needed}, but the degradation is "
                          f"{type(process).__name__}: use improved, naive or direct")
    visited = times(process.steps, steps, start, f"{where}.steps")
    return visited, function(restorer, state, visited, random.on(state.x.device), **options)


def last(states: Iterator[State]) -> State:
    if isinstance(states, Walk):
        return states.to(states.times[-1])
    for state in states:  # noqa: B007 - only the last is wanted
        pass
    return state


def at(wanted: Collection[int], visited: Sequence[int], states: Iterator[State]
       ) -> Iterator[tuple[int, State]]:
    """The wanted ones of the times visited[1:], and the states there."""
    if isinstance(states, Walk):
        yield from ((t, states.to(t)) for t in visited[1:] if t in wanted)
    else:
        yield from ((t, s) for t, s in zip(visited[1:], states, strict=True) if t in wanted)


@torch.no_grad()
def generate(restorer: Restorer, section: Mapping[str, Any], n: int, seed: tuple, batch: int,
             device: str | torch.device = "cpu", progress: Progress = silent,
             labels: torch.Tensor | None = None, guidance: float = 1.0,
             start: torch.Tensor | None = None) -> Images:
    """n new images from a seed alone; of the classes labels (n,), where there are any.

    start: in place of the prior, images (n, C, H, W) in [0, 1], degraded to T; one image serves all.
    """
    out, evaluations = [], 0
    for first in range(0, n, batch):
        random = BlockRandom(first, min(first + batch, n), *seed)
        own = start if start is None or len(start) == 1 else start[first:]
        state = to(restorer.degradation.prior.draw(random) if own is None
                   else degraded_start(restorer, own, random), device)
        batch_restorer = restorer if labels is None else restorer.conditional(
            labels[first:first + random.n].to(device), guidance)
        before = batch_restorer.evaluations
        _, states = trajectory(batch_restorer, section, state, restorer.degradation.steps, random)
        out.append(restorer.image.decode(finite(last(states).x)).cpu())  # decoding hides infinity
        evaluations += batch_restorer.evaluations - before
        progress(len(out[-1]))
    return Images(torch.cat(out), evaluations // len(out))


def degraded_start(restorer: Restorer, images: torch.Tensor, random: BlockRandom) -> State:
    """x_T of the first random.n of images (n, C, H, W) in [0, 1], or of a single one for all; each has
    its own z, as from a prior."""
    process = restorer.degradation
    x0 = restorer.image.encode(images[:random.n].to(process.device))
    x0 = x0.expand(random.n, -1, -1, -1)
    z = process.draw(random)
    z = None if z is None else z.to(process.device)
    T = torch.full((random.n,), process.steps, device=process.device)
    return State(process.degrade(x0, T, z), z)


def to(state: State, device: str | torch.device) -> State:
    return State(state.x.to(device), None if state.z is None else state.z.to(device), state.hidden)


def grid(T: int, count: int) -> list[int]:
    """`count` + 1 evenly spaced times from 0 to T (fewer where T is small)."""
    return sorted(set(torch.linspace(0, T, count + 1, dtype=torch.float64).round().long().tolist()))


def decoding(restorer: Restorer, section: Mapping[str, Any], n: int, seed: tuple, count: int,
             device: str | torch.device = "cpu") -> tuple[list[int], torch.Tensor]:
    """Times from T to 0 and the states there, (times, n, C, H, W) in [0, 1], of samples 0..n-1."""
    visited, x = traced(restorer, section, n, seed, count, device)
    return visited, restorer.image.decode(x)


@torch.no_grad()
def traced(restorer: Restorer, section: Mapping[str, Any], n: int, seed: tuple, count: int,
           device: str | torch.device = "cpu") -> tuple[list[int], torch.Tensor]:
    """As `decoding`, but in the model's range and not clipped."""
    random = BlockRandom(0, n, *seed)
    state = to(restorer.degradation.prior.draw(random), device)
    visited, states = trajectory(restorer, section, state, restorer.degradation.steps, random)
    wanted = {min(visited, key=lambda v, t=t: abs(v - t))
              for t in grid(restorer.degradation.steps, count)}
    frames = [(visited[0], state.x), *((t, s.x) for t, s in at(wanted, visited, states))]
    return [t for t, _ in frames], torch.stack([x for _, x in frames]).cpu()


@torch.no_grad()
def encoding(restorer: Restorer, images: torch.Tensor, seed: tuple, count: int
             ) -> tuple[list[int], torch.Tensor]:
    """Times from 0 to T and D(x0, t; z) there, (times, n, C, H, W) in [0, 1], z kept over t."""
    chosen = grid(restorer.degradation.steps, count)
    degrade = degrader(restorer, images, seed)
    return chosen, torch.stack([restorer.image.decode(degrade(t)[0].x) for t in chosen]).cpu()


def degrader(restorer: Restorer, images: torch.Tensor, seed: tuple
             ) -> Callable[[int], tuple[State, BlockRandom]]:
    """degrade(t) -> (State, stream for a sampler) of images in [0, 1]; the same z at every t."""
    x0, random = restorer.image.encode(images), BlockRandom(0, len(images), *seed)
    z = restorer.degradation.draw(random)
    z, stream = None if z is None else z.to(x0.device), random.state()

    def degrade(t: int) -> tuple[State, BlockRandom]:
        random = BlockRandom(0, len(x0), *seed)
        random.load(stream)
        at = torch.full((len(x0),), t, device=x0.device)
        return State(restorer.degradation.degrade(x0, at, z), z), random

    return degrade


@dataclass(frozen=True)
class Restorations:
    """Restorations of real degraded images: `times` (R,), images (R, n, C, H, W) by method."""

    times: list[int]
    degraded: torch.Tensor
    methods: dict[str, torch.Tensor]


@torch.no_grad()
def restore(restorer: Restorer, sections: Mapping[str, Mapping[str, Any]], images: torch.Tensor,
            fit_images: torch.Tensor, seed: tuple, count: int, progress: Progress = silent
            ) -> Restorations:
    """Degrade real images to `count` times and restore them: one-shot, by each sampler, linearly
    (also from x_t rounded to 8 bits, as it would lie in a file).

    images: held-out, [0, 1]; fit_images: training images that the linear restorer learns from.
    """
    chosen = grid(restorer.degradation.steps, count)[1:]
    degrade = degrader(restorer, images, seed)
    degrade_fit = degrader(restorer, fit_images, (*seed, "linear"))
    decode = restorer.image.decode
    methods: dict[str, list[torch.Tensor]] = {}
    degraded = []
    for t in chosen:
        state, random = degrade(t)
        degraded.append(decode(state.x))
        at = torch.full((len(images),), t, device=images.device)
        pairs = degrade_fit(t)[0].x, restorer.image.encode(fit_images)
        restorations = {
            "one-shot": restorer(state.x, at).x0_hat, "linear": LinearRestorer(*pairs)(state.x),
            "linear-8-bit": LinearRestorer(*pairs, restorer.image)(state.x)}
        process = restorer.degradation  # a restoration must not know the noise of its image
        state = State(state.x, process.public(state.z), hidden=process.can_estimate_z)
        stream = random.state()
        for name, section in sections.items():
            if section["kind"] != "direct":  # direct is the one-shot restoration
                random.load(stream)  # no sampler's draws depend on which others there are
                restorations[name] = last(trajectory(restorer, section, state, t, random)[1]).x
        for name, x in restorations.items():
            methods.setdefault(name, []).append(x)
        progress(1)
    return Restorations(chosen, torch.stack(degraded).cpu(), {
        name: decode(finite(torch.stack(x))).cpu() for name, x in methods.items()})


@torch.no_grad()
def error_at_log_snr(restorer: Restorer, images: torch.Tensor, log_snr: list[float], seed: tuple
                     ) -> tuple[list[float], torch.Tensor]:
    """Squared x0 error per pixel and image at common log-SNR values, between the times around each.

    What makes losses of different parameterisations and schedules comparable: the error of the
    unclipped x0_hat, in [0, 1] units, at equal signal-to-noise ratio, linear in log-SNR between the
    two neighbouring times. A value farther than NEAR from every time is left out. Returns the values
    that are left and errors (values, n). Only for hot processes.
    """
    table = restorer.degradation.log_snr().cpu()[1:]  # falls with t
    degrade, scale = degrader(restorer, images, seed), restorer.image.high - restorer.image.low
    x0 = restorer.image.encode(images)

    @cache
    def error(time: int) -> torch.Tensor:
        t = torch.full((len(images),), time, device=images.device)
        state, _ = degrade(time)
        x0_hat = restorer.x0_hat(restorer.predict(state.x, t).float(), state.x, t)
        return (((x0_hat - x0) / scale) ** 2).flatten(1).mean(1)

    reach, errors = [], []
    for value in log_snr:
        if not table.min() <= value <= table.max() or (table - value).abs().min() > NEAR:
            continue
        after = int((table > value).sum()) + 1  # the first time whose log-SNR is not above the value
        high, low = float(table[max(after - 2, 0)]), float(table[after - 1])
        share = (high - value) / (high - low) if high > low else 1.0
        errors.append(torch.lerp(error(max(after - 1, 1)), error(after), share) if share < 1
                      else error(after))
        reach.append(value)
    return reach, torch.stack(errors).cpu() if errors else torch.empty(0, len(images))
