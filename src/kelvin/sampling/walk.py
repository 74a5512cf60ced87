"""The way of a sampler from x_T to x_0: one step, run operation by operation, or recorded once as a CUDA
graph and replayed. Device and number of steps decide; the log says which, once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any

import torch

from kelvin.common.errors import KelvinError
from kelvin.common.graphs import mark, note_lost, recorded, works
from kelvin.common.progress import log
from kelvin.degradations import State
from kelvin.degradations.base import Stream
from kelvin.restoration.restorer import Restorer

Step = Callable[[State, torch.Tensor, torch.Tensor, bool], State]  # (state at t, t, s, s is 0) -> at s
LEAST = 8  # steps to be replayed: a recording costs about as much as five of them


def why_not_recorded(device: torch.device, steps: int) -> str | None:
    """Why steps are launched operation by operation; None where they are replayed as one graph. steps:
    those of one kind, without the first and the last."""
    if device.type != "cuda":
        return f"graphs are recorded on CUDA, and this is a {device.type.upper()}"
    if steps < LEAST:
        return f"{steps} steps are fewer than {LEAST}"
    if mark().exists():
        return f"a graph lost the device before: delete {mark()} to try again"
    return None


@cache  # a sentence once in a process
def say(sentence: str) -> None:
    log.info("%s", sentence)


class Walk(Iterator[State]):
    """The states at times[1:], one by one, or by `to` the one at a time farther on.

    step: works on tensors of the device and reads no number back; from one call to the next it carries
    nothing but the state it returns. times: decreasing, the last 0. random: the
    stream that the step draws from.
    """

    def __init__(self, restorer: Restorer, state: State, times: Sequence[int], random: Stream, step: Step
                 ) -> None:
        self.restorer, self.state, self.random, self.step = restorer, state, random, step
        self.times, self.done = times, 0
        self.replayed: Replayed | None = None
        self.is_tried = False

    def __next__(self) -> State:
        if self.done == len(self.times) - 1:
            raise StopIteration
        self.replayed = None  # the graph does not contain this step
        x, (time_t, time_s) = self.state.x, self.times[self.done:self.done + 2]
        t, s = (torch.full((len(x),), time, device=x.device) for time in (time_t, time_s))
        self.state = self.step(self.state, t, s, time_s == 0)
        self.done += 1
        return self.state

    def to(self, time: int) -> State:
        """The state at one of the times. Steps of one kind, all but the first and the last, are replayed
        where the rule allows it; if recording fails, a warning is logged and they run one by one."""
        stop, last = self.times.index(time), len(self.times) - 1
        if not self.is_tried and self.done < min(stop, last - 1):
            self.replayed = self.recording(stop, last)
        if self.replayed and self.done < min(stop, last - 1):
            count, evaluated = min(stop, last - 1) - self.done, self.restorer.evaluations
            for _ in range(count):
                self.replayed.again()
            self.state, self.done = self.replayed.work.copied(), self.done + count
            self.restorer.evaluations = evaluated + count * self.replayed.evaluations
        while self.done < stop:
            next(self)
        return self.state

    def recording(self, stop: int, last: int) -> Replayed | None:
        """The next step as a graph, after the first ones; None where there is none, or `stop` was reached
        before it was tried."""
        device = self.state.x.device
        if why := why_not_recorded(device, last - 1 - self.done):
            say(f"sampler steps: launched operation by operation ({why})")
            self.is_tried = True
            return None
        before, now, evaluations = None, form(self.state), 0
        while now != before:  # the first steps may add tensors to the state
            if self.done == min(stop, last - 1):
                return None
            evaluated = self.restorer.evaluations
            next(self)
            before, now, evaluations = now, form(self.state), self.restorer.evaluations - evaluated
        self.is_tried = True
        if self.done == last - 1:
            return None
        work, evaluated = Recordable(self), self.restorer.evaluations
        try:
            again = recorded(work, work.begin)
            again()  # tried once
            if device.type == "cuda":
                torch.cuda.synchronize(device)
        except Exception as error:
            why = str(error).split("\n")[0]
            if not works(device):
                note_lost()
                raise KelvinError(f"sampling as a graph lost the device ({why}): start this again, it "
                                  "then does without") from error
            log.warning("recording a sampler's step as a graph failed, it is launched operation by "
                        "operation: %s", why)
            return None
        finally:
            self.restorer.evaluations = evaluated
            if works(device):
                work.begin()
        say("sampler steps: one CUDA graph")
        return Replayed(again, work, evaluations)


@dataclass(frozen=True)
class Replayed:
    """A recorded step: what replays it, what it works on, evaluations of the network in it."""

    again: Callable[[], None]
    work: Recordable
    evaluations: int


def form(state: State) -> tuple[Any, ...]:
    """What two states must have in common for one graph to serve both."""
    values = [getattr(state, field.name) for field in fields(state)]
    return type(state), *((tuple(v.shape), v.dtype) if isinstance(v, torch.Tensor) else v for v in values)


class Recordable:
    """A walk's next step as a function without arguments, on tensors that stay where they are.

    It takes t and s from the walk's times by a counter on the device.
    """

    def __init__(self, walk: Walk) -> None:
        self.step, self.random, self.first = walk.step, walk.random, walk.state
        self.stream = walk.random.state()
        device, n = walk.state.x.device, len(walk.state.x)
        self.times = torch.tensor(walk.times[walk.done:], device=device)
        self.at = torch.zeros(1, dtype=torch.long, device=device)
        self.t, self.s = (torch.zeros(n, dtype=torch.long, device=device) for _ in range(2))
        self.buffers: dict[str, Any] = {
            name: value.clone(memory_format=torch.contiguous_format)
            for name, value in tensors(walk.state).items()}

    @property
    def state(self) -> State:
        return replace(self.first, **self.buffers)

    def copied(self) -> State:
        copies: dict[str, Any] = {name: value.clone() for name, value in self.buffers.items()}
        return replace(self.first, **copies)

    def put(self, state: State) -> None:
        for name, value in tensors(state).items():
            self.buffers[name].copy_(value)

    def begin(self) -> None:
        """Back to the state at the beginning of the recording."""
        self.put(self.first)
        self.random.load(self.stream)
        self.at.zero_()

    def __call__(self) -> None:
        self.t.copy_(self.times.index_select(0, self.at).expand_as(self.t))
        self.s.copy_(self.times.index_select(0, self.at + 1).expand_as(self.s))
        self.put(self.step(self.state, self.t, self.s, False))
        self.at.add_(1)


def tensors(state: State) -> dict[str, torch.Tensor]:
    values = {field.name: getattr(state, field.name) for field in fields(state)}
    return {name: value for name, value in values.items() if isinstance(value, torch.Tensor)}
