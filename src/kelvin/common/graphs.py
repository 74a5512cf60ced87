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

    work reads and writes tensors at fixed addresses, and reads no number back. before: puts them
    back; called before each call of work here, and after the last. sources: generators of the
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
    except Exception:  # of any kind: this is called after a failure, which the caller reports
        return False


def mark() -> Path:
    """A file in the project's scratch folder: it says that a graph lost the device under this torch."""
    return project_root() / ".kelvin" / f"lost-by-a-graph-torch-{torch.__version__}"


def note_lost() -> None:
    """Write the mark that a graph lost the device: none is tried again until it is deleted."""
    mark().parent.mkdir(parents=True, exist_ok=True)
    mark().touch()
