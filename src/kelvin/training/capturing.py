"""How a training's update is run: operation by operation, or recorded once as a CUDA graph and replayed;
with the network as it is, or compiled. A rule of device, options and length says which: never a clock."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from kelvin.common.compiling import compiled
from kelvin.common.errors import KelvinError
from kelvin.common.graphs import recorded, works
from kelvin.common.progress import log
from kelvin.config.schema import TrainingConfig
from kelvin.training.checkpoint import Checkpoint
from kelvin.training.compiling import why_not_compiled
from kelvin.training.step import Step

Update = Callable[[], None]


def why_not_captured(options: TrainingConfig, device: torch.device, processes: int) -> str | None:
    """Why updates are launched operation by operation; None where they are recorded as one graph."""
    if device.type != "cuda":
        return f"graphs are recorded on CUDA, and this is a {device.type.upper()}"
    if processes > 1:
        return f"{processes} processes share a batch"
    if options.times == "importance":
        return "times drawn by importance ask for the losses at every update"
    if options.mmd.weight:
        return "the MMD picks its distances one by one"
    return None


def updater(step: Step, updates: int, checkpoint: Checkpoint) -> Update:
    """The function of one update: the step itself, or its CUDA graph. The log says which, once.

    All but the plain step is tried once first, on the step's own tensors, which are then put back; after
    a failure, a warning is logged and the next simpler way is used. A graph that lost the device is not
    tried again when the training is restarted (the checkpoint records it).
    """
    device = step.images.device
    eager = why_not_captured(step.options, device, step.accelerator.num_processes)
    plain = why_not_compiled(step.options.compile, device, updates)
    if eager is None and checkpoint.had_failed_trial():
        eager = plain = "a trial of this training lost the device before"
    network = step.network
    for is_compiled, is_captured in dict.fromkeys(
            [(plain is None, eager is None), (False, eager is None)]):
        if not (is_compiled or is_captured):
            break
        try:
            step.network = compiled(network) if is_compiled else network
            update = tried(step, captured if is_captured else lambda step: step)
        except Exception as error:
            first_line = str(error).split("\n")[0]
            if not works(device):
                checkpoint.note_failed_trial()
                raise KelvinError(f"a trial of the training step lost the device ({first_line}): "
                                  "start this again, it then does without") from error
            way = ["compiled"] * is_compiled + ["as a graph"] * is_captured
            log.warning("a trial of the training step (%s) failed: %s", ", ".join(way), first_line)
            if is_captured and not is_compiled:
                eager = "its trial failed"
            else:
                plain = "its trial failed"
            continue
        log.info("training step: %s; network %s", "one CUDA graph" if is_captured else
                 f"launched operation by operation ({eager})",
                 "compiled" if is_compiled else f"not compiled ({plain})")
        return update
    step.network = network
    log.info("training step: launched operation by operation (%s); network not compiled (%s)",
             eager, plain)
    return step


def tried(step: Step, way: Callable[[Step], Update]) -> Update:
    """The update made by `way`, after one that is undone."""
    with restored(step):
        step.network.train()
        update = way(step)
        step.at.zero_()
        update()
        if step.images.device.type == "cuda":
            torch.cuda.synchronize(step.images.device)
    return update


def captured(step: Step) -> Update:
    """The step as one CUDA graph; torch's own error where it cannot be recorded."""
    return recorded(step, lambda: step.at.zero_(), step.sources)  # an epoch may have fewer batches


def tensors(step: Step) -> Iterator[torch.Tensor]:
    """The tensors that an update writes and the next one reads, without the optimizer's."""
    for network in (step.bare, *(average.network for average in step.averages)):
        yield from network.state_dict(keep_vars=True).values()
    yield from (step.losses, step.norms, step.rate)


@contextmanager
def restored(step: Step) -> Iterator[None]:
    """Put the training's tensors back, in place, as they were: a graph keeps their addresses. The random
    streams need no care: every epoch names its own."""
    optimizer, times = step.optimizer, step.times.state()
    copies = [tensor.detach().clone() for tensor in tensors(step)]
    before = {p: copy.deepcopy(state) for p, state in optimizer.state.items()}
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, value in zip(tensors(step), copies, strict=True):
                tensor.copy_(value)
            for p, state in optimizer.state.items():
                for key, value in state.items():  # its moments and their count begin at zero
                    value.copy_(before[p][key]) if p in before else value.zero_()
            step.at.zero_()
        step.times.load(times)
        optimizer.zero_grad(set_to_none=True)
