"""What the sample stage keeps of a trained run: samples, strips, restorations, its bound, study E's
rows over t."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kelvin.common.errors import KelvinError
from kelvin.common.files import as_uint8, write_arrays, write_json
from kelvin.common.hardware import pick_device
from kelvin.common.progress import progress_bar
from kelvin.common.streams import BlockRandom
from kelvin.config.plan import SamplePlan
from kelvin.config.schema import SamplingConfig
from kelvin.datasets.settle import of_classes, sample_size, settled_sampling
from kelvin.datasets.splitting.held_out import FoldView, apart, split_for
from kelvin.datasets.store import PreparedStore
from kelvin.degradations import HotProcess
from kelvin.restoration import assemble
from kelvin.restoration.guidance import asked_labels
from kelvin.sampling import single_shot as single
from kelvin.sampling.consistency import applies, consistency
from kelvin.sampling.gates import one_shot_errors
from kelvin.sampling.likelihood import bits_per_dimension, why_not
from kelvin.sampling.trajectories import decoding, encoding, error_at_log_snr, generate, restore

LOG_SNR_GRID = [-8.0, -6.0, -4.0, -2.0, 0.0, 2.0, 4.0, 6.0]
STRIP_IMAGES = 4
WATCHED = 32  # samples whose consistency is followed
BRIGHT = 16  # samples whose brightness is followed
LINEAR_FIT = 5000  # training images at most that the linear restorer learns from


def sample_run(plan: SamplePlan, store: PreparedStore, model: Path, out: Path) -> None:
    """Write samples.npz (see `drawn`), cost.json and config.json for a run."""
    n = sample_size(plan.metrics, store.manifest, len(store.split("test")))
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "config.json", {"sampling": plan.sampling.model_dump(), "samplers": {
        name: section.model_dump() for name, section in plan.samplers.items()}})
    if plan.source == "folder":
        images = np.load(model / "samples.npz")["samples"]
        if len(images) < n:
            raise KelvinError(f"runs.{plan.run}.path holds {len(images)} images, but metrics.images asks "
                              f"for {n}; add images, or lower metrics.images for every run")
        order = np.random.default_rng(plan.seed_of_subsample).permutation(len(images))[:n]
        write_arrays(out / "samples.npz", **{"samples/folder": images[order]})
        write_json(out / "cost.json", {"nfe": {}, "seconds": {}})
        return
    arrays, cost = drawn(plan, store, model, n)
    write_arrays(out / "samples.npz", **arrays)
    write_json(out / "cost.json", cost)


def drawn(plan: SamplePlan, store: PreparedStore, model: Path, n: int
          ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays: samples/<sampler>, samples/raw, prior uint8 (n, C, H, W), many (sampling.many, C, H, W);
    strips; restorations.

    A conditional run is asked for every class alike, labels (n,), with guidance 1; by its first
    sampler also with other weights, samples/<sampler>@w=<weight>. Real images are restored, and their
    likelihood is bounded, without a class: as by any other run. Of further averages of the weights the
    first sampler draws samples/<sampler>@ema=<decay>, from the same starting states. With
    `sampling.starts` the first sampler of each kind also draws samples/<sampler>@start=<start>, not from
    the prior but from x_T of held-out images or of the mean training image.
    """
    device = pick_device()
    store = split_for(store, plan.split, plan.fold, plan.replicate)
    options, primary = plan.sampling, plan.sampling.samplers[0]
    if plan.metrics.bounded:
        options = settled_sampling(options, plan.metrics.limit,
                                   of_classes(store.manifest, plan.classes))
    sections = {s: plan.samplers[s].model_dump() for s in options.samplers}
    weights = {f"{primary}@w={w:g}": w for w in options.guidance}
    restorer = assemble.load(model / "ema.safetensors", device)
    raw = assemble.load(model / "raw.safetensors", device)
    more = {f"{primary}@ema={d:g}": assemble.load(assemble.average_file(model, d), device)
            for d in plan.ema_more}
    seed = (plan.seed, "samples")
    first_of = {section["kind"]: s for s, section in reversed(sections.items())
                if section["kind"] != "direct"}
    begun = {f"{s}@start={start}": (s, images) for start, images in
             start_images(options.starts, store, n, plan).items()
             for s in sections if s in first_of.values()}
    restoring = {s: sections[s] for s in options.restore_samplers or sections}
    classes = getattr(restorer.network, "classes", 0)
    labels = asked_labels(max(n, options.many or 0), classes) if classes else None
    arrays: dict[str, np.ndarray] = {} if labels is None else {"labels": labels[:n].numpy()}
    cost: dict[str, Any] = {"nfe": {}, "seconds": {}}
    total = n * (len(sections) + 1 + len(weights) + len(more) + len(begun)) + (options.many or 0) \
        + options.restore_times
    with progress_bar(total, f"sample {plan.name}", "image") as bar:
        for key, source, section, w, start in [
                *((s, restorer, sections[s], 1.0, None) for s in sections),
                *((key, restorer, sections[primary], w, None) for key, w in weights.items()),
                *((key, average, sections[primary], 1.0, None) for key, average in more.items()),
                *((key, restorer, sections[s], 1.0, images) for key, (s, images) in begun.items()),
                ("raw", raw, sections[primary], 1.0, None)]:
            started = time.perf_counter()
            images = generate(source, section, n, seed, options.batch, device, bar.update, labels, w,
                              start)
            arrays[f"samples/{key}"] = as_uint8(images.images)
            cost["nfe"][key] = images.nfe
            cost["seconds"][key] = time.perf_counter() - started
        if options.many:  # begins with the very images of samples/<primary>
            arrays["many"] = as_uint8(generate(restorer, sections[primary], options.many, seed,
                                               options.batch, device, bar.update, labels).images)
        arrays["prior"] = as_uint8(starts(restorer, n, seed))
        arrays |= consistencies(restorer, sections, seed, device, labels)
        arrays |= strips(options.strip, restorer, sections, store, seed, device, labels)
        arrays |= bound(options, restorer, store, seed, device)
        arrays |= restorations(options, restorer, restoring, store, seed, device, bar.update)
        if options.restore_at:
            arrays |= over_time(options, restorer, store, seed, device)
    return arrays, cost


def bound(options: SamplingConfig, restorer: assemble.Restorer, store: PreparedStore, seed: tuple,
          device: torch.device) -> dict[str, np.ndarray]:
    """bound (n, 3): L_0, the steps, L_T in bits per dimension of test images; bound_times (K,) and
    bound_terms (2, K): L_t there and its standard error. Empty for processes that have no bound."""
    process = restorer.degradation
    if why_not(process) or process.steps < 2:
        return {}
    test = head(store, "test", options.restore_images, device)
    levels = store.manifest["grey_levels"]
    found = bits_per_dimension(restorer, test.float() / 255, levels, (*seed, "bound"),
                               min(options.bound_times, process.steps - 1), options.batch)
    return {"bound": torch.stack([found.l0, found.lt, found.lT], 1).numpy(),
            "bound_times": ((found.first + found.last) / 2).numpy(),
            "bound_terms": torch.stack([found.curve, found.error]).numpy(),
            "bound_grey_levels": np.array(levels)}


def starts(restorer: assemble.Restorer, n: int, seed: tuple) -> torch.Tensor:
    """x_T of the samples, (n, C, H, W) in [0, 1]: what the prior alone is worth."""
    return restorer.image.decode(restorer.degradation.prior.draw(BlockRandom(0, n, *seed)).x).cpu()


def start_images(starts: list[str], store: PreparedStore | FoldView, n: int, plan: SamplePlan
                 ) -> dict[str, torch.Tensor]:
    """Images in [0, 1] that samples start from, degraded to T: n held-out ones, of those that calibrate
    as samples and are not compared with; the mean training image, the same for all."""
    out = {}
    if "held-out" in starts:
        test = store.split("test").first(plan.metrics.limit).images
        rows = apart(len(test), n, plan.seed_of_subsample)[0]
        if len(rows) < n:
            raise KelvinError(f"runs.{plan.run}.sampling.starts: held-out needs {n} test images, but "
                              f"there are {len(test)}; lower metrics.images, or leave it out")
        out["held-out"] = torch.from_numpy(test[rows]).float() / 255
    if "constant" in starts:
        train = torch.from_numpy(store.split("train").first(LINEAR_FIT).images).float() / 255
        out["constant"] = train.mean(0, keepdim=True)
    return out


def consistencies(restorer: assemble.Restorer, sections: dict, seed: tuple, device: torch.device,
                  labels: torch.Tensor | None) -> dict[str, np.ndarray]:
    """consistency_times/<sampler> (k,), consistency/<sampler> (k, n), see kelvin.sampling.consistency;
    not of `direct`, nor of processes with Gaussian noise."""
    out = {}
    for name, section in sections.items() if applies(restorer) else ():
        if section["kind"] == "direct":
            continue
        times, gaps = consistency(restorer, section, WATCHED, seed, device,
                                  None if labels is None else labels[:WATCHED])
        out |= {f"consistency_times/{name}": np.array(times), f"consistency/{name}": gaps.numpy()}
    return out


def strips(count: int, restorer: assemble.Restorer, sections: dict, store: PreparedStore,
           seed: tuple, device: torch.device, labels: torch.Tensor | None = None
           ) -> dict[str, np.ndarray]:
    """encoding(_times) of test images and decoding(_times)/<sampler> of the first samples."""
    test = head(store, "test", STRIP_IMAGES, device)
    times, encoded = encoding(restorer, test.float() / 255, seed, count)
    out = {"encoding_times": np.array(times), "encoding": as_uint8(encoded)}
    drawing = restorer if labels is None else restorer.given(labels[:STRIP_IMAGES].to(device))
    for name, section in sections.items():
        times, states = decoding(drawing, section, STRIP_IMAGES, seed, count, device)
        out |= {f"decoding_times/{name}": np.array(times), f"decoding/{name}": as_uint8(states)}
    return out


def restorations(options: SamplingConfig, restorer: assemble.Restorer, sections: dict,
                 store: PreparedStore, seed: tuple, device: torch.device, progress: Any
                 ) -> dict[str, np.ndarray]:
    """restore_times, restore_truth, restore_degraded, restore/<method>; gate_times,
    gate_one_shot, gate_linear (see kelvin.sampling.gates); x0 error on a log-SNR grid."""
    test = head(store, "test", options.restore_images, device)
    fit = head(store, "train", LINEAR_FIT, device)
    found = restore(restorer, sections, test.float() / 255, fit.float() / 255, seed,
                    options.restore_times, progress)
    out = {"restore_times": np.array(found.times), "restore_truth": test.cpu().numpy(),
           "restore_degraded": as_uint8(found.degraded)}
    out |= {f"restore/{name}": as_uint8(images) for name, images in found.methods.items()}
    times, network, linear = one_shot_errors(restorer, test.float() / 255, fit.float() / 255, seed)
    out |= {"gate_times": np.array(times), "gate_one_shot": network.numpy(),
            "gate_linear": linear.numpy()}
    if isinstance(restorer.degradation, HotProcess):
        grid, errors = error_at_log_snr(restorer, test.float() / 255, LOG_SNR_GRID, seed)
        out |= {"log_snr": np.array(grid), "log_snr_error": errors.cpu().numpy()}
    return out


def over_time(options: SamplingConfig, restorer: assemble.Restorer, store: PreparedStore | FoldView,
              seed: tuple, device: torch.device) -> dict[str, np.ndarray]:
    """at/times; of held-out images (`test`) and, on a fold, of seen objects: at/<part>/truth, kinds (the
    classes' names), degraded and by rule; brightness(_times, _range, _black: of the truth)/<way>,
    shown/<way>, finite/<way>, black/<way> and drawn/<way> along ancestral sampling
    (sampling.single_shot.Brightness)."""
    at = single.times(restorer.degradation.steps, options.restore_at)
    out = {"at/times": np.array(at)}
    for part in ("test", "seen") if isinstance(store, FoldView) else ("test",):
        held = store.split(part).first(options.restore_images)
        if len(held) < 2:
            continue
        truth = held.images
        out[f"at/{part}/kinds"] = np.array(store.class_names)[held.labels]
        x_t, found = single.single_shot(restorer, torch.from_numpy(truth).to(device).float() / 255,
                                        (*seed, "at", part), at)
        out |= {f"at/{part}/truth": truth, f"at/{part}/degraded": as_uint8(x_t)}
        out |= {f"at/{part}/rule/{rule}": as_uint8(x) for rule, x in found.items()}
    if isinstance(restorer.degradation, HotProcess):
        visited, found = single.brightness(restorer, BRIGHT, (*seed, "brightness"), options.strip, device)
        out |= {"brightness_times": np.array(visited),
                "brightness_range": np.array([restorer.image.low, restorer.image.high]),
                "near_black": np.array(single.NEAR_BLACK), "brightness_black": single.near_black(
                    torch.from_numpy(out["at/test/truth"]) / 255).numpy()}
        for way, x in found.items():
            out |= {f"brightness/{way}": x.mean.numpy(), f"shown/{way}": x.shown.numpy(),
                    f"finite/{way}": x.finite.numpy(), f"black/{way}": x.black.numpy(),
                    f"drawn/{way}": as_uint8(x.first)}
    return out


def head(store: PreparedStore | FoldView, part: str, n: int, device: torch.device) -> torch.Tensor:
    """The first n images of a part, uint8 (n, C, H, W)."""
    return torch.from_numpy(store.split(part).first(n).images).to(device)
