"""`make bench`: Kelvin against a plain way of doing the same, both sides in one run.

Each row times ours and the peer in turn, several rounds, and reports medians; the ratio is what
counts, since machines differ. Writes benchmarks/results.json: [{name, ours, peer, unit, ratio}].
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from degrading import BATCH, SIDE, examples, sides, training_step
from metrics import DIM, QUERIES, TRAINING, frechet_sides, neighbour_sides, peak
from networks import BATCH as TRAINED
from networks import PEERS, training_sides
from pipeline import BUDGETS
from pipeline import row as pipeline_row

from kelvin.common.files import write_json
from kelvin.common.hardware import hardware, keep_freed_memory


@dataclass(frozen=True)
class Row:
    """Ours and the peer in `unit` (more is better), and in words what was compared."""

    name: str
    ours: float
    peer: float
    unit: str
    compared: str

    @property
    def ratio(self) -> float:
        return self.ours / self.peer


def rates(work: int, ours: Callable[[], object], peer: Callable[[], object], rounds: int,
          warm: bool = True) -> tuple[float, float]:
    """Items per second of both, medians over rounds taken in turn, after one unmeasured call if warm."""
    if warm:
        ours(), peer()
    seconds: dict[Callable, list[float]] = {ours: [], peer: []}
    for _ in range(rounds):
        for side in (ours, peer):
            started = time.perf_counter()
            side()
            seconds[side].append(time.perf_counter() - started)
    return work / statistics.median(seconds[ours]), work / statistics.median(seconds[peer])


def train_cnn_vs_plain() -> Row:
    """One training step of study A's CNN: Kelvin's network and settings, against nn.Conv2d, fp32."""
    from torch import nn

    from kelvin.common.hardware import resolve
    from kelvin.networks import Shape, build

    shape, batch = Shape(1, 28, 28), 128
    section = {"kind": "cnn", "hidden": [16, 32, 64, 32, 16], "kernel": 7}
    device = torch.device("cpu")
    x, t = torch.randn(batch, 1, 28, 28), torch.rand(batch)

    def stepper(network: nn.Module, mixed: str, memory_format: torch.memory_format):
        network = network.to(memory_format=memory_format)
        images = x.contiguous(memory_format=memory_format)
        optimizer = torch.optim.AdamW(network.parameters(), 2e-4, fused=True)

        def step() -> None:
            with torch.autocast("cpu", torch.bfloat16, enabled=mixed == "bf16"):
                loss = (network(images, t).float() - x).square().mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        return step

    network = build(section, shape)
    plain = build(section, shape)
    for block in plain.blocks:  # the same network as torch's own layers
        convolution = nn.Conv2d(block[0].in_channels, block[0].out_channels, 7, padding=3)
        convolution.load_state_dict(block[0].state_dict())
        block[0] = convolution
    precision = resolve("auto", device, network, shape)
    ours, peer = rates(batch, stepper(network, precision.mixed, precision.memory_format),
                       stepper(plain, "no", torch.contiguous_format), 5)
    return Row("train-cnn-vs-plain", ours, peer, "images/s",
               f"CNN (16,32,64,32,16) 7x7, 28x28, batch {batch}, "
               f"{'bf16' if precision.mixed == 'bf16' else 'fp32'} against plain fp32 nn.Conv2d")


def blur_vs_loop() -> Row:
    """Blur of a batch at mixed times: one batched product, against images and kernels in loops."""
    import torch.nn.functional as F

    from kelvin import degradations
    from kelvin.degradations import ImageSpec

    batch, image = 128, ImageSpec(1, 28, 28, 0.0, 1.0)
    process = degradations.build(
        image, {"kind": "gaussian-blur", "kernel": 0.4643, "sigma": 0.25, "sigma_start": 0.0125,
                "growth": "proportional", "sigma_of": "step", "border": "circular",
                "reading": "composed"},
        {"kind": "own", "steps": 20}, {"kind": "gaussian", "rank": 8, "jitter": 0.0})
    x = torch.rand(batch, *image.shape)
    t = torch.randint(1, 21, (batch,), generator=torch.Generator().manual_seed(0))
    pad = process.taps // 2
    offsets = torch.arange(process.taps) - pad
    kernels = []
    for sigma in process.sigmas:
        weights = torch.exp(-0.5 * (offsets / float(sigma)) ** 2)
        weights = weights / weights.sum()
        kernels.append(weights[:, None] * weights)

    def loop() -> torch.Tensor:
        """Each image by the kernels of its steps, one after another, as study B had it."""
        out = torch.empty_like(x)
        for i in range(batch):
            blurred = x[i:i + 1]
            for step in range(int(t[i])):
                padded = F.pad(blurred, (pad,) * 4, mode="circular")
                blurred = F.conv2d(padded, kernels[step][None, None])
            out[i] = blurred[0]
        return out

    torch.testing.assert_close(process.degrade(x, t, None), loop(), rtol=0, atol=1e-5)
    ours, peer = rates(batch, lambda: process.degrade(x, t, None), loop, 15)
    return Row("blur-vs-loop", ours, peer, "images/s",
               f"blur, T = 20, kernel 13, 28x28, batch {batch} at mixed t, equal to 1e-5, "
               "against a loop over images and composed kernels")


def degrade_vs_loop(kind: str) -> Row:
    """A batch at mixed times in one call, against one call for each image."""
    ours, peer = rates(BATCH, *sides(kind), 5)
    return Row(f"degrade-{kind}-vs-loop", ours, peer, "images/s",
               f"{kind} after run {examples()[kind]}, {SIDE}x{SIDE}, batch {BATCH} at mixed t, equal to "
               "1e-4, against a loop over the images")


def degrade_vs_step() -> Row:
    """The slowest degradation, against a quarter of a training step of the default network."""
    step = training_step()
    found = {kind: rates(BATCH, sides(kind)[0], step, 5) for kind in examples()}
    slowest = min(found, key=lambda kind: found[kind][0] / found[kind][1])
    ours, peer = found[slowest]
    return Row("degrade-vs-quarter-step", ours, 4 * peer, "images/s",
               f"{slowest}, the slowest of {len(found)} degradations, {SIDE}x{SIDE}, batch {BATCH}, "
               "against a quarter of one training step of the default network")


def frechet_vs_pytorch_fid() -> Row:
    """The Frechet distance of 2048 features, against pytorch-fid's matrix root."""
    ours, peer = frechet_sides()
    # The peer takes a minute: its one measured call also gives the value to agree with.
    value, expected = ours(), []
    fast, slow = rates(3600, ours, lambda: expected.append(peer()), 1, warm=False)
    error = abs(value / expected[0] - 1)
    if error > 1e-8:
        raise AssertionError(f"the distances differ by {error:.1e} relative")
    return Row("frechet-vs-pytorch-fid", fast, slow, "distances/h",
               f"Frechet distance of {DIM} features from moments of full rank, one call each, "
               f"equal to 1e-8 ({error:.0e} here), against pytorch-fid's")


def neighbours_vs_full_matrix() -> Row:
    """Nearest training images in blocks, against the whole matrix of distances at once."""
    ours, peer = neighbour_sides()
    held = peak(ours), peak(peer)
    fast, slow = rates(QUERIES, ours, peer, 3)
    return Row("neighbours-vs-full-matrix", fast, slow, "queries/s",
               f"nearest of {TRAINING:,} images of 28x28 to {QUERIES:,} queries, equal to 1e-6; "
               f"peak memory {held[0]:,.0f} MiB in blocks, {held[1]:,.0f} MiB by the full matrix")


def train_vs(peer: str) -> Row | None:
    """One training step of unet-resnet, against a published U-Net with as many parameters."""
    try:
        ours, theirs = training_sides(peer)
    except ImportError as error:
        print(f"train-unet-vs-{peer}: not measured, the peer is missing ({error}); "
              "pip install -r requirements.lock")
        return None
    fast, slow = rates(TRAINED, ours.step, theirs.step, 3)
    return Row(f"train-unet-vs-{peer}", fast, slow, "images/s",
               f"a training step, 28x28, batch {TRAINED}: {ours.about}; {theirs.about}")


def within_budget(name: str) -> Row:
    """A command of DVC on the pipeline, against the seconds that it may take."""
    ours, budget, compared = pipeline_row(name)
    return Row(name, ours, budget, "calls/h", compared)


ROWS = {"train-cnn-vs-plain": train_cnn_vs_plain, "blur-vs-loop": blur_vs_loop,
        "degrade-vs-quarter-step": degrade_vs_step,
        "frechet-vs-pytorch-fid": frechet_vs_pytorch_fid,
        "neighbours-vs-full-matrix": neighbours_vs_full_matrix,
        **{name: partial(within_budget, name) for name in BUDGETS},
        **{f"train-unet-vs-{peer}": partial(train_vs, peer) for peer in PEERS},
        **{f"degrade-{kind}-vs-loop": partial(degrade_vs_loop, kind) for kind in examples()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    keep_freed_memory()  # for both sides
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ROWS)}; default all")
    names = parser.parse_args().names or list(ROWS)
    if unknown := sorted(set(names) - ROWS.keys()):
        parser.error(f"no such row: {', '.join(unknown)}; there are {', '.join(ROWS)}")
    print(f"{hardware(torch.device('cpu'))}, {torch.get_num_threads()} threads, "
          f"torch {torch.__version__}")
    print(f"{'name':34} {'ours':>12} {'peer':>12} {'ratio':>7}  unit")
    rows = []
    for name in names:
        row = ROWS[name]()
        if row is None:
            continue
        rows.append({"name": row.name, "ours": row.ours, "peer": row.peer, "unit": row.unit,
                     "ratio": row.ratio})
        print(f"{row.name:34} {row.ours:12,.1f} {row.peer:12,.1f} {row.ratio:6.1f}x  {row.unit}\n"
              f"  {row.compared}", flush=True)
    if set(names) == set(ROWS):
        write_json(Path(__file__).with_name("results.json"), rows)


if __name__ == "__main__":
    main()
