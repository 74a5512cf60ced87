"""What params.yaml alone cannot tell, but the manifest of the prepared images can."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from math import ceil, prod
from pathlib import Path
from typing import Any

import torch

from kelvin import degradations, networks
from kelvin.common.errors import KelvinError
from kelvin.common.files import project_root
from kelvin.config.plan import Checked, CheckedMetrics, CheckedRun
from kelvin.datasets.settle import (
    Manifest,
    counted,
    of_classes,
    sample_size,
    settled_metrics,
    settled_run,
)
from kelvin.datasets.sources.archives import open_tree
from kelvin.datasets.sources.layout import sort_files
from kelvin.degradations import ImageSpec
from kelvin.networks import Shape
from kelvin.pipeline.checks.run import lines_of, refuse_other_than_degradation
from kelvin.sampling.folder_run import find_folder
from kelvin.training.memory_count import training_memory

LEAST = 8                # samples from which an interval is made (kelvin.metrics.intervals)
NARROWEST = 4            # image_size at least; the smallest window is 3
FITTED = 20_000          # reference images at most that the principal components are fitted to
PARTS = ("train", "validation", "test")
SMALL = 2_000_000        # weights, and
PIXELS = 64**2           # pixels, up to which two images are sent through a network to see what they keep
LARGE = 512**2           # pixels of images beyond which no process is built for a check
SECTION = re.compile(r"(schedule|degradation|prior|restorer|network|conditioning)\b")


def physical_memory() -> int | None:
    """Bytes of this machine's memory; None where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def manifest_faults(checked: Checked, manifest: Manifest, memory: int | None = None,
                    built: dict[str, list[str]] | None = None) -> list[str]:
    """A line for everything that cannot be trained or measured on these images; [] where all can.

    memory: bytes of the machine, None for no bound. built: results of an earlier call for networks
    and processes. A fault that several runs share is one line.
    """
    lines = lines_of(lambda: settled_metrics(checked.metrics, manifest))
    if lines:
        return lines
    metrics, shape = settled_metrics(checked.metrics, manifest), Shape(*manifest["image_shape"])
    sizes = manifest["sizes"]
    lines += protocol_faults(metrics, sizes["test"])
    lines += shape_faults(metrics, sizes["train"] + sizes["validation"], shape)
    built = {} if built is None else built
    lines += shared_faults((name, line) for name, run in checked.runs.items() for line in run_faults(
        run, checked.metrics, metrics, manifest, shape, built, memory, checked.folds))
    return list(dict.fromkeys(lines))


def shared_faults(faults: Iterable[tuple[str, str]]) -> list[str]:
    """(run, line without `runs.<run>.`) as lines; one that several runs share is one line."""
    names: dict[str, list[str]] = {}
    for name, line in faults:
        names.setdefault(line, []).append(name)
    return [f"runs.{first}.{line}" + (
        f" (and so for {len(others)} more run{'s' * (len(others) > 1)})" if others else "")
        for line, (first, *others) in ((line, list(dict.fromkeys(runs))) for line, runs in names.items())]


def protocol_faults(metrics: CheckedMetrics, test: int) -> Iterator[str]:
    """What `test` test images cannot carry of the settled protocol."""
    images, held = metrics.images, counted(test, metrics.limit)
    n = round(images * test) if isinstance(images, float) else images
    if held <= LEAST:
        yield (f"metrics.images: {held} test images count, but at least {LEAST + 1} are needed, {LEAST} "
               "to measure by and one more; add images")
    elif n < LEAST:
        yield (f"metrics.images = {images} comes to {n} of {test} test images, but at least {LEAST} are "
               "needed; raise it")
    elif n >= held:
        yield (f"metrics.images = {images} asks for {n} images, but the floor is drawn from {held} test "
               f"images; take fewer than {held}")
    elif metrics.neighbours >= min(n, held - n):
        yield (f"metrics.neighbours = {metrics.neighbours} must be less than the images compared: n = "
               f"{n} and the {held - n} other test images")
    if held * metrics.copy_quantile < 1:
        needed = ceil(1 / metrics.copy_quantile)
        yield (f"metrics.copy_quantile = {metrics.copy_quantile:g} needs {needed} test images, but "
               f"{held} count; take at least {ceil(1e4 / held) / 1e4:g}")
    small = metrics.small
    if small.reference + small.images >= held:
        yield (f"metrics.small takes {small.reference} + {small.images} images and needs one more, but "
               f"{held} test images count; lower metrics.small.reference or metrics.small.images")


def shape_faults(metrics: CheckedMetrics, reference: int, shape: Shape) -> Iterator[str]:
    """What images of that shape, and so many outside the test set, cannot carry."""
    side, pixels = min(shape.height, shape.width), shape.channels * shape.height * shape.width
    if side < NARROWEST:
        yield (f"metrics.ssim_window: images of {shape.height}x{shape.width} are smaller than any "
               f"window; set image_size of the data set to at least {NARROWEST}")
    elif metrics.ssim_window > side:
        yield (f"metrics.ssim_window = {metrics.ssim_window} is larger than images of {shape.height}x"
               f"{shape.width}; take at most {side - 1 + side % 2}")
    fitted = min(counted(reference, metrics.limit), FITTED)
    if pixels > metrics.pixel_dim >= fitted:
        yield (f"metrics.pixel_dim = {metrics.pixel_dim} principal components need more than "
               f"{metrics.pixel_dim} images, but {fitted} lie outside the test set; lower it")


def run_faults(run: CheckedRun, written: CheckedMetrics, metrics: CheckedMetrics, manifest: Manifest,
               shape: Shape, built: dict[str, list[str]], memory: int | None, folds: int | None
               ) -> list[str]:
    """What the images do not bear of one run, each line without `runs.<name>.`; `built`: results of
    checks of networks and processes, which other runs share; folds: how many the data set has."""
    sizes = manifest["sizes"]
    if run.classes is not None:
        if lines := class_faults(run.classes, manifest):
            return lines
        sizes = of_classes(manifest, run.classes)["sizes"]
        for line in protocol_faults(class_protocol(written, metrics, sizes["test"], manifest),
                                    sizes["test"]):
            return [f"classes = {run.classes} leaves {sizes['test']} test images: {line}; or name more "
                    "classes"]
    if run.source == "folder":
        return folder_faults(run.path, sample_size(written, manifest, sizes["test"]))
    if metrics.bounded:
        run = settled_run(run, metrics.limit, of_classes(manifest, run.classes))
    return [*count_faults(run, metrics, sizes, prod(manifest["image_shape"]), memory, folds),
            *held_out_faults(run, metrics.images, sizes, folds),
            *model_faults(run, shape, len(manifest["classes"]), built, memory)]


def folder_faults(path: str, n: int) -> list[str]:
    """Of a run's folder of images: that it is not there, or holds fewer than the n that are scored."""
    folder = find_folder(path, [Path("."), project_root()])
    if folder is None:
        return [f"path = {path!r} is not there; it must be a folder of images (or a tar or zip of one), "
                "relative to the project's root"]
    try:
        with open_tree(folder) as tree:
            held = len(sort_files(tree, path)[0])
    except KelvinError as error:
        return [f"path = {path!r}: {error}"]
    return [] if held >= n else [
        f"path = {path!r} holds {held} images, but metrics.images asks for {n}; add images, or lower "
        "metrics.images for every run"]


def class_faults(classes: list[int], manifest: Manifest) -> list[str]:
    """Classes that are not there, or leave a part without an image."""
    count = len(manifest["classes"])
    if unknown := [i for i in classes if i >= count]:
        return [f"classes names {unknown[0]}, but the data set has {count}, 0 to {count - 1}"]
    return [f"classes = {classes} leaves no {part} image; name more classes" for part in PARTS
            if not any(manifest["classes"][i][part] for i in classes)]


def class_protocol(written: CheckedMetrics, metrics: CheckedMetrics, test: int, manifest: Manifest
               ) -> CheckedMetrics:
    """The protocol of a run that learns some classes (kelvin.evaluation.class_subset).

    written: the protocol of params.yaml; metrics: the same with no value left open.
    """
    share, small = test / manifest["sizes"]["test"], metrics.small
    images = metrics.images
    if isinstance(images, int) and (written.images is None or written.bounded):
        images = round(images * share)
    least = 1 / (counted(test, metrics.limit) - 1) if metrics.bounded and test > 1 else 0
    return metrics.model_copy(update={
        "images": images, "copy_quantile": max(metrics.copy_quantile, least), "small": small.model_copy(
            update={"reference": max(2, round(share * small.reference))})})


def count_faults(run: CheckedRun, metrics: CheckedMetrics, sizes: Mapping[str, int], pixels: int,
                 memory: int | None, folds: int | None) -> Iterator[str]:
    """Numbers of images that the parts do not hold, or the memory does not."""
    held, sampling, training = counted(sizes["test"], metrics.limit), run.sampling, run.training
    for key in ("restore_images", "epoch_images"):
        if (value := getattr(sampling, key)) >= held:
            yield (f"sampling.{key} = {value} must be less than the {held} test images that count, of "
                   "which the floor is drawn")
    if metrics.small.images > sampling.epoch_images:
        yield (f"sampling.epoch_images = {sampling.epoch_images} is less than metrics.small.images = "
               f"{metrics.small.images}, which are scored of them")
    outside = sizes["train"]
    if run.split != "given" and folds:
        outside += sizes["validation"] - even_fold(sizes, folds)
    count = min(outside, training.images or outside)
    yield from training_faults(training.batch, run.prior.model_dump(), count)
    restored = min(sampling.restore_times, run.schedule.model_dump().get("steps", 1)) \
        * sampling.restore_images
    for key, images in (("many", sampling.many or 0), ("restore_times", restored)):
        if memory and images * pixels * 4 > memory:
            yield (f"sampling.{key} = {getattr(sampling, key)} needs {size(images * pixels * 4)} for its "
                   f"images, but this machine has {size(memory)}; lower it")


def even_fold(sizes: Mapping[str, int], folds: int) -> int:
    """Images of a fold at most; of grouped folds one may have more."""
    return ceil((sizes["train"] + sizes["validation"]) / folds)


def held_out_faults(run: CheckedRun, images: int | float, sizes: Mapping[str, int], folds: int | None
                    ) -> Iterator[str]:
    """Of samples that start from held-out images: that a fold, which is what its run holds out, has fewer
    than the protocol's `images` come to."""
    n = round(images * sizes["test"]) if isinstance(images, float) else images
    if "held-out" in run.sampling.starts and run.split in ("stratified", "leaky") and folds \
            and even_fold(sizes, folds) < n:
        yield (f"sampling.starts names held-out, which needs {n} images (metrics.images), but a fold has "
               f"{even_fold(sizes, folds)}; leave it out, or lower metrics.images")


def size_faults(dataset: str, manifest: Manifest, memory: int | None) -> list[str]:
    """A line where the images at their size, 32-bit numbers in training, exceed the memory."""
    count, needed = sum(manifest["sizes"].values()), 4 * prod(manifest["image_shape"])
    height, width = manifest["image_shape"][1:]
    return [f"datasets.{dataset}.image_size: {count:,} images of {height}x{width} pixels take "
            f"{size(count * needed)}, but this machine has {size(memory)}; lower it"
            ] if memory and count * needed > memory else []


def training_faults(batch: int, prior: Mapping[str, Any], count: int, of: str = "") -> Iterator[str]:
    """What `count` training images do not fill; of: words that name these images."""
    if batch > count:
        yield (f"training.batch = {batch} is more than the {count} training images{of}: no batch would "
               "be full")
    components = prior.get("components")
    if isinstance(components, int) and components > count:
        yield f"prior.components = {components} is more than the {count} training images{of}"


def model_faults(run: CheckedRun, shape: Shape, classes: int, built: dict[str, list[str]],
                 memory: int | None) -> list[str]:
    """What network and process say to images of that shape, and the memory of a training step."""
    learned = run.restorer.variance == "learned"
    outputs = replace(shape, outputs=2) if learned else shape
    image = ImageSpec(shape.channels, shape.height, shape.width, run.restorer.low, run.restorer.high)
    sections = {key: getattr(run, key).model_dump()
                for key in ("network", "conditioning", "degradation", "schedule", "prior")}

    def network() -> None:
        try:
            built_and_counted()
        except RuntimeError as error:  # of torch, where sizes exceed 64 bits
            if "overflow" not in str(error):
                raise
            raise KelvinError("network: its weights are more than can be counted; lower its widths or "
                              "its kernel") from error

    def built_and_counted() -> None:
        with torch.device("meta"):  # shapes alone: no memory, however wide
            net = networks.build(sections["network"], outputs)
            if not isinstance(net, torch.nn.Module):
                raise KelvinError(f"network.kind = {sections['network']['kind']!r} makes a "
                                  f"{type(net).__name__}, but a network is a torch.nn.Module")
            net = networks.condition(sections["conditioning"], net, classes)
        batch = run.training.batch
        if not memory or fits_easily(lambda: networks.condition(
                sections["conditioning"], networks.build(sections["network"], outputs), classes),
                net, shape, batch, memory):
            return
        if (needed := training_memory(net, shape, batch).total) > memory:
            raise KelvinError(f"network: a training step of training.batch = {batch} images "
                              f"needs {size(needed)}, but this machine has {size(memory)}; lower its "
                              "widths, or the batch")

    def process() -> None:
        if shape.height * shape.width <= LARGE:
            refuse_other_than_degradation(sections["degradation"], image, sections["schedule"])
            degradations.build(image, sections["degradation"], sections["schedule"], sections["prior"])

    return [*shared(built, network, [sections["network"], sections["conditioning"], outputs,
                                     run.training.batch], "network: "),
            *shared(built, process, [sections["degradation"], sections["schedule"], sections["prior"],
                                     image], "degradation: ")]


def fits_easily(build: Callable[[], torch.nn.Module], there: torch.nn.Module, shape: Shape, batch: int,
                memory: int) -> bool:
    """Whether a small network, which two images pass in milliseconds, is known to fit by them: a batch
    keeps at most as much for each image. To count a step without computing it loads torch's compiler,
    a second and more; `there` has the shapes alone."""
    if sum(p.numel() for p in there.parameters()) > SMALL or shape.height * shape.width > PIXELS:
        return False
    with torch.random.fork_rng(devices=[]):
        two = training_memory(build(), shape, 2, "cpu")
    return two.state + two.activations * ceil(batch / 2) <= memory


def shared(built: dict[str, list[str]], build: Callable[[], Any], key: Any, prefix: str) -> list[str]:
    """The lines of a build, made once for all runs of the same key; a line begins with its section."""
    if (mark := repr(key)) not in built:
        built[mark] = [line if SECTION.match(line) else prefix + line for line in lines_of(build)]
    return built[mark]


def size(count: int) -> str:
    """Bytes in words: 3.2 GiB."""
    value = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.3g} {unit}"
        value /= 1024
    return f"{value:.4g} TiB"
