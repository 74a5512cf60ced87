"""The training loop: one for every degradation, network and target; a laptop, a GPU, or several."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from kelvin.artifacts.live import Live
from kelvin.common.divergence import diverged, not_finite
from kelvin.common.errors import KelvinError
from kelvin.common.files import as_uint8
from kelvin.common.hardware import Precision, make_accelerator
from kelvin.common.progress import progress_bar
from kelvin.common.streams import BlockRandom
from kelvin.config.schema import RunConfig, TrainingConfig
from kelvin.restoration.restorer import Restorer
from kelvin.sampling.trajectories import degrader, generate, grid
from kelvin.training.capturing import updater
from kelvin.training.checkpoint import Checkpoint
from kelvin.training.ema import EMA
from kelvin.training.host_losses import HostLosses
from kelvin.training.labels import NoLabels
from kelvin.training.objective import Objective
from kelvin.training.step import Step
from kelvin.training.stopping import Verdict, judged

EXAMPLES, EXAMPLE_TIMES = 8, 4  # images, and times up to T, of reconstructions during training
HELD = 1024  # images at most on which losses are evaluated after each epoch
CHECK = 20  # updates between looks for NaN


@dataclass
class Trained:
    """The result of training: per-epoch history, samples kept at chosen epochs, seconds of training."""

    history: list[dict[str, float]] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    samples: list[torch.Tensor] = field(default_factory=list)  # uint8 (n, C, H, W) per kept epoch
    reconstructions: list[torch.Tensor] = field(default_factory=list)  # uint8 (times, n, C, H, W)
    seconds: float = 0.0
    epoch_seconds: list[float] = field(default_factory=list)  # of updates alone, no evaluation


class Trainer:
    """Trains a restorer's network; after `run`, `network` and `ema.network` hold the weights.

    What one update is lies in kelvin.training.step, how it is run in kelvin.training.capturing.
    """

    phase = "training"  # as errors name it

    def __init__(self, run: RunConfig, restorer: Restorer, train: np.ndarray, held: np.ndarray,
                 seed: int, sampler: Mapping[str, Any], precision: Precision,
                 checkpoint: Checkpoint, labels: NoLabels | None = None) -> None:
        self.config, self.restorer, self.seed = run, restorer, seed
        self.sampler, self.checkpoint, self.labels = sampler, checkpoint, labels or NoLabels()
        self.accelerator, self.precision = make_accelerator(), precision
        self.processes = self.accelerator.num_processes
        device = self.accelerator.device
        options = run.training
        if options.batch < self.processes:
            raise KelvinError(f"training.batch = {options.batch} is less than the {self.processes} "
                              "processes, each of which needs an image: raise it, or start fewer")
        if len(train) < options.batch:
            raise KelvinError(f"training.batch = {options.batch} is more than the {len(train)} "
                              "training images: no batch would be full")
        self.batches = len(train) // options.batch
        self.updates = self.batches * options.epochs
        self.images = torch.from_numpy(np.ascontiguousarray(train)).to(device)
        self.held = {"val": torch.from_numpy(np.ascontiguousarray(held[:HELD])).to(device),
                     "train": self.images[: min(len(held), HELD)]}
        restorer.degradation.to(device)
        self.objective = Objective(run, restorer, device, options.batch // self.processes)
        self.bare = restorer.network.to(device, memory_format=precision.memory_format)
        self.ema = EMA(self.bare, options.ema)
        self.more = [EMA(self.bare, decay) for decay in options.ema_more]
        optimizer = torch.optim.AdamW(self.bare.parameters(), options.lr,
                                      weight_decay=options.weight_decay, fused=True,
                                      capturable=device.type == "cuda")
        self.network, self.optimizer = self.accelerator.prepare(self.bare, optimizer)
        self.step = Step(options, restorer, self.objective, self.images, self.labels, seed,
                         self.accelerator, precision)
        self.step.trains(self.network, self.optimizer, self.bare, [self.ema, *self.more])
        self.update: Callable[[], None] = self.step
        self.result, self.examples = Trained(), self.example_images()
        self.best: dict[str, Any] = {}  # weights of the best epoch, where training may stop early

    def learning_rate(self, update: int) -> float:
        """Linear warm-up over a fraction of all updates, then constant or a half cosine to zero."""
        options = self.config.training
        warmup = options.warmup * self.updates
        if update < warmup:
            return options.lr * min(1.0, (update + 1) / warmup)  # warmup may be no whole number
        if options.decay == "constant":
            return options.lr
        done = (update - warmup) / max(self.updates - warmup, 1)
        return options.lr * 0.5 * (1 + float(np.cos(np.pi * done)))

    @torch.no_grad()
    def evaluate(self, network: torch.nn.Module, split: str) -> float:
        """Mean loss at the same seeded t (evenly spread over 1..T) and z every time.

        Never weighted: the number stays comparable between runs that differ in `weighting`.
        """
        images, sums = self.held[split], []
        T, n, device = self.restorer.degradation.steps, len(images), self.accelerator.device
        t_all = 1 + torch.arange(n, device=device) * T // n
        for first in range(0, n, self.config.training.batch):
            random = BlockRandom(first, min(first + self.config.training.batch, n),
                                 self.seed, "held", split)
            z, part = self.restorer.degradation.draw(random), slice(first, first + random.n)
            x0 = self.restorer.image.encode(images[part].float() / 255)
            losses = self.step.losses_of(network, x0, None if z is None else z.to(device), t_all[part],
                                         self.labels.held(split, part))
            sums.append(losses.sum())
        return sum(torch.stack(sums).tolist()) / n

    def check_finite(self, values: Sequence[float], first: int) -> None:
        """KelvinError, on every process, names the update at which a loss of the whole batches is no
        finite number; first: the update, from 1, that values[0] is of."""
        for update, value in enumerate(values, first):
            if not np.isfinite(value):
                raise self.diverged(f"the loss is {value} at update {update} of {self.updates}")

    def diverged(self, what: str) -> KelvinError:
        return diverged(self.phase, what, *cures(self.config.training))

    def epoch(self, epoch: int, bar: tqdm) -> dict[str, float]:
        """One pass over the data in a seeded order, full batches only."""
        before = (epoch - 1) * self.batches
        rates = [self.learning_rate(before + b) for b in range(self.batches)]
        self.step.start(epoch, rates)
        self.network.train()
        losses = HostLosses(self.step.losses, lambda part: self.accelerator.reduce(part, "mean"))
        for done in range(1, self.batches + 1):
            self.update()
            if done % CHECK == 0 or done == self.batches:
                first = before + 1 + len(losses.values)
                self.check_finite(losses.ask(done), first)
                if losses.values:
                    bar.set_postfix(epoch=epoch, loss=f"{losses.values[-1]:.4f}", refresh=False)
            bar.update()
        first = before + 1 + len(losses.values)
        self.check_finite(losses.rest(), first)
        return {"epoch": epoch, "updates": epoch * self.batches, "lr": rates[-1],
                "running_loss": float(np.mean(losses.values)),
                "grad_norm": float(self.step.norms.mean())}

    def run(self, name: str = "train", live: Live | None = None) -> Trained:
        """Train from the checkpoint, or from the start, to the last epoch. live: shows its losses."""
        options, main = self.config.training, self.accelerator.is_main_process
        with ExitStack() as held:
            if main:
                held.enter_context(self.checkpoint.locked())
            first = self.resume()
            self.update = updater(self.step, self.updates, self.checkpoint)
            rows = held.enter_context(live.opened(self.result.history)) if main and live else None
            started, before = time.perf_counter(), self.result.seconds
            with progress_bar(self.updates, name, "update", initial=(first - 1) * self.batches,
                              disable=not main) as bar:
                for epoch in range(first, options.epochs + 1):
                    if self.verdict() and self.verdict().stopped:
                        break
                    begun = time.perf_counter()
                    row = self.epoch(epoch, bar)
                    self.result.epoch_seconds.append(time.perf_counter() - begun)
                    self.result.history.append(row | self.held_losses(epoch, row))
                    if rows:
                        rows.add(self.result.history[-1])
                    self.keep_best(epoch)
                    last = epoch == options.epochs or bool(self.verdict() and self.verdict().stopped)
                    if epoch == 1 or last or epoch % options.sample_every == 0:
                        self.keep_samples(epoch)
                    self.result.seconds = before + time.perf_counter() - started
                    if main and (epoch % options.checkpoint_every == 0 or last):
                        self.checkpoint.save(self.state(epoch))
            self.restore_best()
            self.restorer.network = self.bare.eval()
            self.accelerator.wait_for_everyone()
        return self.result

    def held_losses(self, epoch: int, row: Mapping[str, float]) -> dict[str, float]:
        """Losses after an epoch, at the same t and z every time; KelvinError unless they, the epoch's
        own row and all weights are finite."""
        self.network.eval()
        losses = {"train_loss": self.evaluate(self.bare, "train"),
                  "val_loss": self.evaluate(self.bare, "val"),
                  "val_loss_ema": self.evaluate(self.ema.network, "val")}
        averages = [average.network for average in (self.ema, *self.more)]
        if what := not_finite(row | losses, self.bare, *averages):
            raise self.diverged(f"{what} after epoch {epoch} of {self.config.training.epochs}")
        return losses

    def verdict(self) -> Verdict | None:
        """Early stopping's verdict on the epochs so far; None where it is off, or before the first."""
        stop, losses = self.config.training.stop, [r["val_loss_ema"] for r in self.result.history]
        return judged(losses, stop.patience, stop.gain) if stop and losses else None

    def keep_best(self, epoch: int) -> None:
        verdict = self.verdict()
        if verdict and verdict.best == epoch:
            self.best = {key: {k: v.detach().clone() for k, v in network.state_dict().items()}
                         for key, network in (("network", self.bare), ("ema", self.ema.network))}

    def restore_best(self) -> None:
        if self.best:
            self.bare.load_state_dict(self.best["network"])
            self.ema.network.load_state_dict(self.best["ema"])

    def keep_samples(self, epoch: int) -> None:
        """Samples of the EMA weights, the same seeds at every epoch."""
        if not self.accelerator.is_main_process:
            return
        self.restorer.network = self.ema.network
        sampling = self.config.sampling
        samples = generate(self.restorer, self.sampler, sampling.epoch_images,
                           (self.seed, "epoch samples"), sampling.batch, self.accelerator.device,
                           labels=self.labels.for_samples(sampling.epoch_images))
        self.result.epochs.append(epoch)
        self.result.samples.append(torch.from_numpy(as_uint8(samples.images)))
        self.result.reconstructions.append(self.reconstructions())

    def example_images(self) -> dict[str, torch.Tensor]:
        """Held-out images `truth` (n, C, H, W) uint8, `times` (R,), and `states` (R, n, C, H, W)."""
        truth = self.held["val"][:EXAMPLES]
        degrade = degrader(self.restorer, truth.float() / 255, (self.seed, "reconstructions"))
        times = grid(self.restorer.degradation.steps, EXAMPLE_TIMES)[1:]
        return {"truth": truth.cpu(), "times": torch.tensor(times),
                "states": torch.stack([degrade(t)[0].x for t in times])}

    @torch.no_grad()
    def reconstructions(self) -> torch.Tensor:
        """One-shot restorations of the example images, (R, n, C, H, W) uint8."""
        restored = []
        for t, x_t in zip(self.examples["times"].tolist(), self.examples["states"], strict=True):
            at = torch.full((len(x_t),), t, device=x_t.device)
            restored.append(self.restorer.image.decode(self.restorer(x_t, at).x0_hat))
        return torch.from_numpy(as_uint8(torch.stack(restored)))

    def state(self, epoch: int) -> dict[str, Any]:
        return {"epoch": epoch, "network": self.bare.state_dict(),
                "ema": self.ema.network.state_dict(),
                "ema_more": [average.network.state_dict() for average in self.more],
                "optimizer": self.optimizer.state_dict(), "times": self.step.times.state(),
                "result": vars(self.result), **({"best": self.best} if self.best else {})}

    def resume(self) -> int:
        """Put the checkpoint back; returns the first epoch to train."""
        state = self.checkpoint.load()
        if state is None:
            return 1
        self.bare.load_state_dict(state["network"])
        self.ema.network.load_state_dict(state["ema"])
        for average, weights in zip(self.more, state["ema_more"], strict=True):
            average.network.load_state_dict(weights)
        self.optimizer.load_state_dict(state["optimizer"])
        self.step.hold_rate()
        self.step.times.load(state["times"])
        self.result = Trained(**state["result"])
        self.best = state.get("best", {})
        return state["epoch"] + 1


def cures(options: TrainingConfig) -> list[str]:
    """Remedies, as keys in params.yaml; none that is set already."""
    clip = [] if options.grad_clip else ["training.grad_clip = 1.0"]
    return [f"a lower training.lr (now {options.lr:g})",
            f"a longer training.warmup (now {options.warmup:g})", *clip]
