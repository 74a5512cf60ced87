"""`make bench DEVICE=cuda`: images a second on one device, beside published U-Nets.

Ours is the project's own training step on images that lie on the device: launched operation by operation,
as one CUDA graph, and with the compiled network inside the graph. Peers run as their users run them:
their defaults, in bf16 autocast, eager. What is built before the first update (compilation, recording) is
counted apart. On a CPU everything is tiny and only launched: that shows that it runs, and no figure.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from degrading import project
from networks import PEERS
from torch import nn

from kelvin.common.compiling import compiled
from kelvin.common.hardware import hardware, pick_device, resolve
from kelvin.config.schema import RunConfig
from kelvin.networks import Shape, parameter_count
from kelvin.restoration import assemble
from kelvin.sampling.device import EVALUATED, ready
from kelvin.sampling.trajectories import generate
from kelvin.training.capturing import captured, tried
from kelvin.training.checkpoint import Checkpoint
from kelvin.training.loop import Trainer

SECONDS = 280.0  # no row is begun after them
NETWORKS = {  # those of docs/devices.md
    "cnn 16,32,64,32,16": {"kind": "cnn", "hidden": [16, 32, 64, 32, 16], "kernel": 7},
    "unet 64 (1,2,2)": {"kind": "unet", "channels": 64, "multipliers": [1, 2, 2], "blocks": 2},
    "unet 32 (1,2,4)": {"kind": "unet", "channels": 32, "multipliers": [1, 2, 4], "blocks": 2},
    "unet 24 (1,2,2)": {"kind": "unet", "channels": 24, "multipliers": [1, 2, 2], "blocks": 1}}
SAMPLED = "unet 64 (1,2,2)"
WAYS = ("launched", "graph", "compiled graph")


@dataclass(frozen=True)
class Size:
    """How much is measured: images in a batch, updates timed, images drawn."""

    batch: int
    updates: int
    drawn: int
    side: int = 28


LARGE, TINY = Size(128, 150, 5000), Size(4, 2, 4, 8)


@dataclass(frozen=True)
class Rate:
    """Images a second, and the seconds before the first of them; None: not measured, and why not."""

    name: str
    parameters: int
    images: float | None
    before: float = 0.0
    why: str = ""

    def __str__(self) -> str:
        shown = f"{self.images:12,.0f} {self.before:9.1f}" if self.images is not None \
            else f"{'-':>12} {'-':>9}  {self.why}"
        return f"{self.name:44} {self.parameters / 1e6:8.2f} {shown}"


def settled(device: torch.device) -> None:
    """Wait for what was launched."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(work: Callable[[], object], device: torch.device, times: int = 1) -> float:
    settled(device)
    started = time.perf_counter()
    for _ in range(times):
        work()
    settled(device)
    return time.perf_counter() - started


def trainer(section: dict, size: Size, folder: Path) -> Trainer:
    """A training of ddpm-default's settings by that network, on drawn images."""
    run = project().run("ddpm-default").model_dump() | {"network": section}
    run["training"] |= {"batch": size.batch, "epochs": 1, "compile": "never", "precision": "auto"}
    run, shape = RunConfig(**run), Shape(1, size.side, size.side)
    torch.manual_seed(0)
    restorer = assemble.build(run, shape)
    many = (size.batch * size.updates, 1, size.side, size.side)
    images = np.random.default_rng(0).integers(0, 256, many, dtype=np.uint8)
    return Trainer(run, restorer, images, images[:size.batch], 0, {},
                   resolve("auto", pick_device(), restorer.network, shape), Checkpoint("bench", folder))


def ours(name: str, way: str, size: Size, folder: Path) -> Rate:
    """The project's step, run one of three ways."""
    one = trainer(NETWORKS[name], size, folder)
    step, device = one.step, one.images.device
    if way == "compiled graph":
        # one size: after a row that drew samples it would be compiled anew, for sizes of any kind
        step.network = compiled(step.network, dynamic=False)
    settled(device)
    started = time.perf_counter()
    update = tried(step, (lambda step: step) if way == "launched" else captured)
    before = time.perf_counter() - started
    step.start(1, [1e-4] * step.batches)
    taken = seconds(update, device, size.updates)
    return Rate(f"{name}, {way}", parameter_count(one.bare), size.batch * size.updates / taken, before)


def peer(name: str, network: nn.Module, size: Size, device: torch.device) -> Rate:
    """A training loop as it is usually written, in bf16 autocast, eager."""
    network = network.to(device).train()
    optimizer = torch.optim.AdamW(network.parameters(), 1e-4)
    x = torch.rand(size.batch, 1, size.side, size.side, device=device)

    def update() -> None:
        t, noise = torch.rand(size.batch, device=device), torch.randn_like(x)
        with torch.autocast(device.type, torch.bfloat16):
            loss = nn.functional.mse_loss(network(x + noise, t).float(), noise)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()

    before = seconds(update, device, min(5, size.updates))
    return Rate(f"{name}, bf16, eager", parameter_count(network),
                size.batch * size.updates / seconds(update, device, size.updates), before)


def sampled(name: str, section: dict, size: Size, folder: Path) -> Rate:
    """Images a second of DDIM with 50 steps, all in one batch; on CUDA the network compiled, the steps
    replayed as a graph."""
    one = trainer(section, size, folder)
    one.restorer.network, device = one.bare.eval().requires_grad_(False), one.images.device
    restorer = ready(one.restorer, device, one.precision, EVALUATED)
    section = {"kind": "ddim", "steps": 50, "eta": 0.0}

    def draw(seed: int) -> None:
        generate(restorer, section, size.drawn, (0, seed), size.drawn, device)

    before = seconds(lambda: draw(0), device)
    return Rate(f"{name}, ddim-50 of {size.drawn}", parameter_count(one.bare),
                size.drawn / seconds(lambda: draw(1), device), before)


def rates(device: torch.device, budget: float = SECONDS) -> Iterator[Rate]:
    """Every row; those that the budget in seconds leaves no room for say so."""
    size = LARGE if device.type == "cuda" else TINY
    ways = WAYS if device.type == "cuda" else WAYS[:1]
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        def steps(way: str) -> list[tuple[str, Callable[[], Rate]]]:
            return [(f"{name}, {way}", partial(ours, name, way, size, Path(folder))) for name in NETWORKS]

        rows = [row for way in ways[:2] for row in steps(way)]
        rows += [(name, lambda make=make, name=name: peer(name, make(), size, device))
                 for make, name in PEERS.values()]
        rows.append((SAMPLED, lambda: sampled(SAMPLED, NETWORKS[SAMPLED], size, Path(folder))))
        # last: a first compilation takes a minute
        rows += [row for way in ways[2:] for row in steps(way)]
        for label, row in rows:
            if time.perf_counter() - started > budget:
                yield Rate(label, 0, None, why=f"not measured: {budget:.0f} s are over")
                continue
            try:
                yield row()
            except (ImportError, RuntimeError) as error:
                yield Rate(label, 0, None, why=str(error).split("\n")[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    device = torch.device(parser.parse_args().device)
    if device.type == "cpu":
        os.environ["ACCELERATE_USE_CPU"] = "1"  # also where there is a GPU
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("there is no CUDA device here; --device cpu shows that this runs")
    tiny = "" if device.type == "cuda" else "; tiny settings: no figures"
    print(f"{hardware(device)}, torch {torch.__version__}{tiny}")
    print(f"{'':44} {'M param.':>8} {'images/s':>12} {'before, s':>9}")
    for row in rates(device):
        print(row, flush=True)


if __name__ == "__main__":
    main()
