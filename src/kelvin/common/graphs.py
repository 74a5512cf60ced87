"""CUDA graphs: work that is recorded once and replayed by one launch. Training and sampling share it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from kelvin.common.files import project_root

WARM = 3  # calls before the recording: libraries choose their kernels and make their workspaces


def recorded(work: Callable[[], None], before: Callable[[], object],
             sources: Iterable[torch.Generator] = ()) -> Callable[[], None]:
    """`work` as one CUDA graph; torch's own error where it cannot be recorded.

    work reads and writes tensors that stay where they are, and asks the device for nothing. before: puts
    them back; called before each call of work here, and after the last. sources: generators of the
    device that work draws from, besides torch's own.
    """
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM):
            before()
            work()
    torch.cuda.current_stream().wait_stream(stream)
    before()
    graph = torch.cuda.CUDAGraph()
    for source in sources:
        graph.register_generator_state(source)
    with torch.cuda.graph(graph):
        work()
    return graph.replay


def works(device: torch.device) -> bool:
    """Does the device still compute? A bad address leaves CUDA unusable for the rest of the process."""
    try:
        return float(torch.ones(1, device=device).sum()) == 1.0
    except Exception:  # of whatever kind: it is asked after a failure, which its caller tells
        return False


def mark() -> Path:
    """A file in the project's scratch folder: there a graph lost the device under this torch."""
    return project_root() / ".kelvin" / f"lost-by-a-graph-torch-{torch.__version__}"


def note_lost() -> None:
    """Remember that a graph lost the device: none is tried again until somebody deletes the mark."""
    mark().parent.mkdir(parents=True, exist_ok=True)
    mark().touch()
