"""Benchmark rows of the forward side: a batch at mixed t, for every kind of degradation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from kelvin import degradations, networks
from kelvin.common.streams import BatchRandom, generator
from kelvin.config import resolve as params
from kelvin.degradations import Degradation, ImageSpec
from kelvin.networks import Shape

BATCH, SIDE = 128, 28
ROOT = Path(__file__).resolve().parents[1]


def project() -> params.Params:
    return params.Params(params.read(ROOT / "params.yaml"))


def examples() -> dict[str, str]:
    """kind -> the first run of params.yaml that has it, tied runs preferred."""
    runs = project().runs
    order = sorted(runs, key=lambda name: not name.startswith("tied-"))
    return {runs[name].degradation.kind: name for name in reversed(order)}


def prepared(kind: str) -> tuple[Degradation, torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """A fitted process, images, mixed times and z for a batch of 28x28 images."""
    run = project().run(examples()[kind])
    channels = 3 if kind == "desaturate" else 1
    image = ImageSpec(channels, SIDE, SIDE, -1.0, 1.0)
    process = degradations.build(image, run.degradation.model_dump(), run.schedule.model_dump(),
                                 {"kind": "constant", "level": 0.0, "jitter": 0.0})
    source = generator("bench", kind)
    x = torch.rand(BATCH, *image.shape, generator=source) * 2 - 1
    process.fit(x, lambda: x.flip(0))
    t = torch.randint(1, process.steps + 1, (BATCH,), generator=source)
    return process, x, t, process.draw(BatchRandom(BATCH, source))


def sides(kind: str) -> tuple[Callable[[], torch.Tensor], Callable[[], torch.Tensor]]:
    """One call for the batch, and a loop over its images; equal to 1e-4."""
    process, x, t, z = prepared(kind)

    def ours() -> torch.Tensor:
        return process.degrade(x, t, z)

    def loop() -> torch.Tensor:
        return torch.cat([process.degrade(x[i:i + 1], t[i:i + 1], None if z is None else z[i:i + 1])
                          for i in range(BATCH)])

    torch.testing.assert_close(ours(), loop(), rtol=0, atol=1e-4)
    return ours, loop


def training_step() -> Callable[[], None]:
    """One step of the laptop scale's network on a batch of 28x28 images."""
    network = networks.build(project().run("tied-noise").network.model_dump(), Shape(1, SIDE, SIDE))
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3, fused=True)
    x, t = torch.randn(BATCH, 1, SIDE, SIDE), torch.rand(BATCH)

    def step() -> None:
        (network(x, t) - x).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step
