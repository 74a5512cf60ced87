"""The sample stage of a run: samples, strips, restorations, likelihood bound, study E's rows over t."""

from __future__ import annotations

import time
from functools import partial
from math import prod
from pathlib import Path

import numpy as np
import torch

from kelvin.artifacts.models import ModelFolder
from kelvin.artifacts.names import FOLDER, RAW, averaged, guided, started
from kelvin.artifacts.samples import (
    Bound,
    Brightness,
    Cost,
    Gaps,
    Gates,
    Restorations,
    SampleFolder,
    Samples,
    SingleShot,
    SnrErrors,
    Strip,
    Way,
)
from kelvin.common.errors import KelvinError
from kelvin.common.files import as_uint8
from kelvin.common.hardware import pick_device, resolve
from kelvin.common.progress import doing, progress_bar
from kelvin.common.streams import BlockRandom
from kelvin.config.plan import SamplePlan
from kelvin.config.schema import SamplingConfig
from kelvin.datasets.settle import of_classes, sample_size, settled_sampling
from kelvin.datasets.splitting.held_out import FoldView, apart, split_for
from kelvin.datasets.store import PreparedStore
from kelvin.degradations import HotProcess
from kelvin.networks import Shape
from kelvin.restoration import assemble
from kelvin.restoration.guidance import balanced_labels
from kelvin.sampling import single_shot as single
from kelvin.sampling.consistency import applies, consistency
from kelvin.sampling.device import batch_size, ready
from kelvin.sampling.gates import one_shot_errors
from kelvin.sampling.likelihood import bits_per_dimension, why_not
from kelvin.sampling.linear import FIT, fit_count
from kelvin.sampling.samplers import visits
from kelvin.sampling.trajectories import Progress, decoding, encoding, error_at_log_snr, generate, restore

LOG_SNR_GRID = [-8.0, -6.0, -4.0, -2.0, 0.0, 2.0, 4.0, 6.0]
STRIP_IMAGES = 4
WATCHED = 32  # samples whose consistency is measured
BRIGHT = 16  # samples whose brightness is measured


def sample_run(plan: SamplePlan, store: PreparedStore, model: Path, out: Path) -> None:
    """Write the folder of a run's samples (kelvin.artifacts.samples)."""
    n = sample_size(plan.metrics, store.manifest, len(store.split("test")))
    folder = SampleFolder(out)
    folder.write_config({"sampling": plan.sampling.model_dump(), "samplers": {
        name: section.model_dump() for name, section in plan.samplers.items()}})
    if plan.source == "folder":
        images = ModelFolder(model).images()
        if len(images) < n:
            raise KelvinError(f"runs.{plan.run}.path holds {len(images)} images, but metrics.images asks "
                              f"for {n}; add images, or lower metrics.images for every run")
        order = np.random.default_rng(plan.seed_of_subsample).permutation(len(images))[:n]
        folder.write_samples(Samples({FOLDER: images[order]}))
        folder.write_cost({"nfe": {}, "seconds": {}})
        return
    samples, cost = draw_samples(plan, store, ModelFolder(model), n)
    folder.write_samples(samples)
    folder.write_cost(cost)


def draw_samples(plan: SamplePlan, store: PreparedStore, model: ModelFolder, n: int
                 ) -> tuple[Samples, Cost]:
    """n samples by every sampler; by the first one also with the raw weights, and sampling.many images.

    A conditional run draws every class equally often, at guidance 1; by its first sampler also at the
    weights of sampling.guidance. Restorations and the likelihood use no class. With other averages of
    the weights the first sampler draws from the same starting states. With `sampling.starts` the first
    sampler of each kind also starts from x_T of held-out images or of the mean training image.
    """
    device = pick_device()
    store = split_for(store, plan.split, plan.fold, plan.replicate)
    options, primary = plan.sampling, plan.sampling.samplers[0]
    if plan.metrics.bounded:
        options = settled_sampling(options, plan.metrics.limit,
                                   of_classes(store.manifest, plan.classes))
    sections = {s: plan.samplers[s].model_dump() for s in options.samplers}
    weights = {guided(primary, w): w for w in options.guidance}
    restorer = assemble.load(model.ema, device)
    raw = assemble.load(model.raw, device)
    more = {averaged(primary, d): assemble.load(model.average(d), device)
            for d in plan.ema_more}
    if device.type == "cuda":
        drawing = partial(on_cuda, device=device, precision=model.cost()["precision"])
        own = {s: n * visits(section, restorer.degradation.steps) for s, section in sections.items()}
        restorer, raw = drawing(restorer, sum(own.values())), drawing(raw, own[primary])
        more = {key: drawing(average, own[primary]) for key, average in more.items()}
    batch = batch_size(restorer, n, options.batch, device, is_guided=bool(weights))
    seed = (plan.seed, "samples")
    first_of = {section["kind"]: s for s, section in reversed(sections.items())
                if section["kind"] != "direct"}
    begun = {started(s, start): (s, images) for start, images in
             start_images(options.starts, store, n, plan).items()
             for s in sections if s in first_of.values()}
    restoring = {s: sections[s] for s in options.restore_samplers or sections}
    classes = getattr(restorer.network, "classes", 0)
    labels = balanced_labels(max(n, options.many or 0), classes) if classes else None
    samples: dict[str, np.ndarray] = {}
    cost: Cost = {"nfe": {}, "seconds": {}}
    many = None
    total = n * (len(sections) + 1 + len(weights) + len(more) + len(begun)) + (options.many or 0) \
        + options.restore_times
    with progress_bar(total, f"sample {plan.name}", "image") as bar:
        for key, source, section, w, start in [
                *((s, restorer, sections[s], 1.0, None) for s in sections),
                *((key, restorer, sections[primary], w, None) for key, w in weights.items()),
                *((key, average, sections[primary], 1.0, None) for key, average in more.items()),
                *((key, restorer, sections[s], 1.0, images) for key, (s, images) in begun.items()),
                (RAW, raw, sections[primary], 1.0, None)]:
            began = time.perf_counter()
            images = generate(source, section, n, seed, batch, device, bar.update, labels, w,
                              start)
            samples[key] = as_uint8(images.images)
            cost["nfe"][key] = images.nfe
            cost["seconds"][key] = time.perf_counter() - began
        if options.many:  # the first n are the images of the first sampler
            many = as_uint8(generate(restorer, sections[primary], options.many, seed,
                                     batch, device, bar.update, labels).images)
        doing(bar, "strips")
        encoded, decoded = strips(options.strip, restorer, sections, store, seed, device, labels)
        doing(bar, "one shot by fold")
        at = single.times(restorer.degradation.steps, options.restore_at) if options.restore_at else None
        parts = single_shots(options, restorer, store, seed, device, at) if at else {}
        bright = brightness(options, restorer, parts["test"].truth, seed, device) if parts else None
        doing(bar, "bound")
        bounds = bound(options, restorer, store, seed, device)
        doing(bar, "restorations")
        restored = restorations(options, restorer, restoring, store, seed, device, bar.update)
        doing(bar, "errors over log-SNR")
        errors = snr_errors(options, restorer, store, seed, device)
        doing(bar, "gates")
        gated = gates(options, restorer, store, seed, device)
        doing(bar, "consistency")
        gaps = consistencies(restorer, sections, seed, device, labels)
    return Samples(samples, None if labels is None else labels[:n].numpy(), many,
                   as_uint8(starts(restorer, n, seed)), encoded, decoded, bounds, restored, errors,
                   at and np.array(at), parts, bright, gated, gaps), cost


def on_cuda(restorer: assemble.Restorer, evaluated: int, device: torch.device, precision: str
            ) -> assemble.Restorer:
    """The restorer, prepared for a GPU in the precision of its training."""
    shape = Shape(*restorer.image.shape)
    return ready(restorer, device, resolve(precision, device, restorer.network, shape), evaluated)


def bound(options: SamplingConfig, restorer: assemble.Restorer, store: PreparedStore, seed: tuple,
          device: torch.device) -> Bound | None:
    """The bound of test images; None for processes that have none."""
    process = restorer.degradation
    if why_not(process) or process.steps < 2:
        return None
    test = head(store, "test", options.restore_images, device)
    levels = store.manifest["grey_levels"]
    times = min(options.bound_times, process.steps - 1)
    estimate = bits_per_dimension(restorer, test.float() / 255, levels, (*seed, "bound"), times,
                                  batch_size(restorer, len(test) * times, options.batch, device))
    return Bound(torch.stack([estimate.l0, estimate.lt, estimate.lT], 1).numpy(),
                 ((estimate.first + estimate.last) / 2).numpy(),
                 torch.stack([estimate.curve, estimate.error]).numpy(), levels)


def starts(restorer: assemble.Restorer, n: int, seed: tuple) -> torch.Tensor:
    """x_T of the samples, (n, C, H, W) in [0, 1]: what the prior alone is worth."""
    return restorer.image.decode(restorer.degradation.prior.draw(BlockRandom(0, n, *seed)).x).cpu()


def start_images(starts: list[str], store: PreparedStore | FoldView, n: int, plan: SamplePlan
                 ) -> dict[str, torch.Tensor]:
    """Images in [0, 1] that samples start from, degraded to T. held-out: n test images, none of those
    that samples are compared with; constant: the mean training image, the same for all."""
    out = {}
    if "held-out" in starts:
        test = store.split("test").first(plan.metrics.limit).images
        rows = apart(len(test), n, plan.seed_of_subsample)[0]
        if len(rows) < n:
            raise KelvinError(f"runs.{plan.run}.sampling.starts: held-out needs {n} test images, but "
                              f"there are {len(test)}; lower metrics.images, or leave it out")
        out["held-out"] = torch.from_numpy(test[rows]).float() / 255
    if "constant" in starts:
        train = torch.from_numpy(store.split("train").first(FIT).images).float() / 255
        out["constant"] = train.mean(0, keepdim=True)
    return out


def consistencies(restorer: assemble.Restorer, sections: dict, seed: tuple, device: torch.device,
                  labels: torch.Tensor | None) -> dict[str, Gaps]:
    """By sampler; not of `direct`, nor of processes with Gaussian noise."""
    out = {}
    for name, section in sections.items() if applies(restorer) else ():
        if section["kind"] != "direct":
            times, gaps = consistency(restorer, section, WATCHED, seed, device,
                                      None if labels is None else labels[:WATCHED])
            out[name] = Gaps(np.array(times), gaps.numpy())
    return out


def gates(options: SamplingConfig, restorer: assemble.Restorer, store: PreparedStore, seed: tuple,
          device: torch.device) -> Gates:
    """Errors of one-shot restorations of test images by the network and by least squares."""
    test = head(store, "test", options.restore_images, device)
    fit = head(store, "train", fit_count(prod(test.shape[1:])), device)
    times, network, linear = one_shot_errors(restorer, test.float() / 255, fit.float() / 255, seed)
    return Gates(np.array(times), network.numpy(), linear.numpy())


def strips(count: int, restorer: assemble.Restorer, sections: dict, store: PreparedStore,
           seed: tuple, device: torch.device, labels: torch.Tensor | None = None
           ) -> tuple[Strip, dict[str, Strip]]:
    """Test images degraded, and by sampler the first samples over time."""
    test = head(store, "test", STRIP_IMAGES, device)
    times, states = encoding(restorer, test.float() / 255, seed, count)
    encoded, decoded = Strip(np.array(times), as_uint8(states)), {}
    drawing = restorer if labels is None else restorer.conditional(labels[:STRIP_IMAGES].to(device))
    for name, section in sections.items():
        times, states = decoding(drawing, section, STRIP_IMAGES, seed, count, device)
        decoded[name] = Strip(np.array(times), as_uint8(states))
    return encoded, decoded


def restorations(options: SamplingConfig, restorer: assemble.Restorer, sections: dict,
                 store: PreparedStore, seed: tuple, device: torch.device, progress: Progress
                 ) -> Restorations:
    """Test images degraded to several times, and restored by every method."""
    test = head(store, "test", options.restore_images, device)
    fit = head(store, "train", fit_count(prod(test.shape[1:])), device)
    result = restore(restorer, sections, test.float() / 255, fit.float() / 255, seed,
                     options.restore_times, progress)
    return Restorations(np.array(result.times), test.cpu().numpy(), as_uint8(result.degraded),
                        {name: as_uint8(images) for name, images in result.methods.items()},
                        store.split("test").first(len(test)).groups)


def snr_errors(options: SamplingConfig, restorer: assemble.Restorer, store: PreparedStore, seed: tuple,
               device: torch.device) -> SnrErrors | None:
    """x0 error of test images on a log-SNR grid; None for a process without noise."""
    if not isinstance(restorer.degradation, HotProcess):
        return None
    test = head(store, "test", options.restore_images, device)
    grid, errors = error_at_log_snr(restorer, test.float() / 255, LOG_SNR_GRID, seed)
    return SnrErrors(np.array(grid), errors.cpu().numpy())


def single_shots(options: SamplingConfig, restorer: assemble.Restorer, store: PreparedStore | FoldView,
                 seed: tuple, device: torch.device, at: list[int]) -> dict[str, SingleShot]:
    """What each rule restores of held-out images (`test`) and, on a fold, of seen objects; parts of
    fewer than two images are left out."""
    out = {}
    for part in ("test", "seen") if isinstance(store, FoldView) else ("test",):
        held = store.split(part).first(options.restore_images)
        if len(held) < 2:
            continue
        truth = held.images
        x_t, x0_hats = single.single_shot(restorer, torch.from_numpy(truth).to(device).float() / 255,
                                          (*seed, "at", part), at)
        out[part] = SingleShot(np.array(store.class_names)[held.labels], truth, as_uint8(x_t),
                               {rule: as_uint8(x) for rule, x in x0_hats.items()}, held.groups)
    return out


def brightness(options: SamplingConfig, restorer: assemble.Restorer, truth: np.ndarray, seed: tuple,
               device: torch.device) -> Brightness | None:
    """Along ancestral sampling, beside held-out images `truth`; None for a process without noise."""
    if not isinstance(restorer.degradation, HotProcess):
        return None
    visited, curves = single.brightness(restorer, BRIGHT, (*seed, "brightness"), options.strip, device)
    return Brightness(
        np.array(visited), restorer.image.low, restorer.image.high, single.NEAR_BLACK,
        single.near_black(torch.from_numpy(truth) / 255).numpy(),
        {way: Way(x.mean.numpy(), x.unmapped.numpy(), x.finite.numpy(), x.black.numpy(),
                  as_uint8(x.first))
         for way, x in curves.items()})


def head(store: PreparedStore | FoldView, part: str, n: int, device: torch.device) -> torch.Tensor:
    """The first n images of a part, uint8 (n, C, H, W)."""
    return torch.from_numpy(store.split(part).first(n).images).to(device)
