"""One update of a training, on tensors of the device alone: no number is read back.

So it can be run operation by operation, or recorded once as a CUDA graph and replayed
(kelvin.training.capturing): the definition is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from kelvin.common.hardware import Precision
from kelvin.common.streams import BatchRandom, derive_seed, stream_on
from kelvin.config.schema import TrainingConfig
from kelvin.restoration.restorer import Restorer
from kelvin.training.batches import mirrored
from kelvin.training.ema import EMA
from kelvin.training.importance import times_of
from kelvin.training.labels import NoLabels
from kelvin.training.objective import Objective, PredictedBatch

if TYPE_CHECKING:
    from accelerate import Accelerator
    from accelerate.optimizer import AcceleratedOptimizer


class Step:
    """step() draws a batch and updates weights and their averages by it.

    `start` names an epoch: its order of the images, its random streams, its learning rates. Of each
    update the loss and the gradient's norm before clipping are kept in `losses` and `norms`, (batches,),
    on the device. All processes draw the whole batch and take their share of it, so that their number
    does not change what is learnt (up to the order of sums).
    """

    def __init__(self, options: TrainingConfig, restorer: Restorer, objective: Objective,
                 images: torch.Tensor, labels: NoLabels, seed: int, accelerator: Accelerator,
                 precision: Precision) -> None:
        """images: the training images, uint8 (N, C, H, W), on the device."""
        self.options, self.restorer, self.objective = options, restorer, objective
        self.images, self.labels, self.seed = images, labels, seed
        self.accelerator, self.precision = accelerator, precision
        self.share = slice(accelerator.process_index, None, accelerator.num_processes)
        device, self.batches = images.device, len(images) // options.batch
        self.source = stream_on(device)
        self.times = times_of(options.times, restorer.degradation.steps, self.source.device)
        self.order = torch.zeros(self.batches, options.batch, dtype=torch.long, device=device)
        self.at = torch.zeros(1, dtype=torch.long, device=device)  # the batch that comes next
        # a CUDA kernel reads its rate in 32 bits; a CPU's takes the number of params.yaml exactly
        kind = torch.float32 if device.type == "cuda" else torch.float64
        self.rates = torch.zeros(self.batches, dtype=kind, device=device)
        self.rate = torch.zeros((), dtype=kind, device=device)
        self.losses = torch.zeros(self.batches, device=device)
        self.norms = torch.zeros(self.batches, device=device)

    def trains(self, network: torch.nn.Module, optimizer: AcceleratedOptimizer, bare: torch.nn.Module,
               averages: Sequence[EMA]) -> None:
        """Set what is updated: `network` is called; `bare` is the same without wrappers."""
        self.network, self.optimizer, self.bare, self.averages = network, optimizer, bare, averages
        self.shares = torch.zeros(self.batches, len(averages), device=self.images.device)
        self.hold_rate()

    def hold_rate(self) -> None:
        """Let the optimizer read the rate where the step writes it; again after its state was loaded."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate

    @property
    def sources(self) -> list[torch.Generator]:
        """The streams that an update draws from, but for torch's own (dropout)."""
        return [self.source, *self.labels.sources]

    def start(self, epoch: int, rates: Sequence[float]) -> None:
        """Every draw of epoch e comes from a stream named by (seed, e), so that a resumed run repeats an
        undisturbed one. rates: the learning rate of each update."""
        self.source.manual_seed(derive_seed(self.seed, "train", epoch))
        torch.manual_seed(derive_seed(self.seed, "network", epoch))  # dropout, where there is any
        self.labels.start(epoch)
        order = torch.randperm(len(self.images), generator=self.source, device=self.source.device)
        self.order.copy_(order[:self.order.numel()].view_as(self.order))
        self.rates.copy_(torch.tensor(rates, dtype=self.rates.dtype))
        first = (epoch - 1) * self.batches + 1
        self.shares.copy_(torch.tensor([[average.share(first + b) for average in self.averages]
                                        for b in range(self.batches)]))
        self.at.zero_()

    def batch(self, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
        """x0, z and t of this process's share of the images `index` (n,); t in 1..T, T included."""
        process, n, device = self.restorer.degradation, len(index), self.images.device
        t = self.times.draw(n, self.source)
        z = process.draw(BatchRandom(n, self.source))
        images = self.images[index[self.share]]
        if self.options.flip:  # after t and z, whose draws stay those of a run without
            flip = torch.randint(2, (n,), generator=self.source, device=self.source.device) == 1
            images = mirrored(images, flip[self.share].to(device))
        x0 = self.restorer.image.encode(images.float() / 255)
        return x0, None if z is None else z[self.share].to(device), t[self.share].to(device)

    def predict(self, network: torch.nn.Module, x0: torch.Tensor, z: torch.Tensor | None,
                t: torch.Tensor, labels: torch.Tensor | None = None) -> PredictedBatch:
        """The network's prediction for a batch, under autocast."""
        self.restorer.network = network
        x_t = self.restorer.degradation.degrade(x0, t, z).contiguous(
            memory_format=self.precision.memory_format)
        with self.precision.autocast(self.images.device):
            prediction, v = self.restorer.predict_both(x_t, t, labels)
        return PredictedBatch(prediction.float(), x0, z, x_t, t, v)

    def losses_of(self, network: torch.nn.Module, x0: torch.Tensor, z: torch.Tensor | None,
                  t: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        """Loss of each image, (n,), not weighted."""
        return self.objective.losses(self.predict(network, x0, z, t, labels))

    def of_all(self, t: torch.Tensor, costs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Times and costs of the whole batch, in one order on every process."""
        both = [self.accelerator.gather(self.accelerator.pad_across_processes(x)) for x in (t, costs)]
        return both[0][both[0] > 0], both[1][both[0] > 0]  # padded by zeros

    def __call__(self) -> None:
        options = self.options
        index = self.order.index_select(0, self.at)[0]
        self.rate.copy_(self.rates.index_select(0, self.at)[0])
        x0, z, t = self.batch(index)
        batch = self.predict(self.network, x0, z, t, self.labels.draw(index, self.share))
        costs, correction = self.objective.per_image(batch), self.times.correction(t)
        loss = self.objective.together(batch, costs, correction)
        if self.accelerator.num_processes > 1:  # gradients are averaged; shares may differ by an image
            loss = loss * (len(t) * self.accelerator.num_processes / options.batch)
        self.accelerator.backward(loss)
        if correction is not None:
            self.times.observe(*self.of_all(t, costs.detach()))
        norm = self.accelerator.clip_grad_norm_(self.network.parameters(),
                                                options.grad_clip or float("inf"))
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        shares = self.shares.index_select(0, self.at)[0]
        for average, share in zip(self.averages, shares.unbind(), strict=True):
            average.update(self.bare, share)
        self.losses.index_copy_(0, self.at, loss.detach().float().view(1))
        self.norms.index_copy_(0, self.at, norm.detach().float().view(1))
        self.at.add_(1)
