"""Images of other data sets that trainings start from: whether they are there, and enough."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from kelvin.common.errors import KelvinError
from kelvin.config.plan import RawImages, Start
from kelvin.config.schema import MetricsCount
from kelvin.datasets.settle import Manifest, of_classes, settled_pretraining
from kelvin.pipeline.checks.expected import expected_manifest
from kelvin.pipeline.checks.images import class_faults, shared_faults, training_faults


def start_faults(starts: Sequence[Start], own: Manifest | None, environ: Mapping[str, str],
                 protocol: MetricsCount) -> list[str]:
    """A line for everything that pre-training and blending lack.

    own: the manifest of the data set itself, None where it is not known. protocol: whether runs give way
    to a small data set. Images of another size or number of channels are no fault: they are brought to
    the run's (kelvin.datasets.sources.convert).
    """
    manifests: dict[str, Manifest | None | KelvinError] = {}

    def manifest(source: RawImages) -> Manifest | None:
        """What the raw files of another data set say; KelvinError where they are not there."""
        if source.dataset not in manifests:
            try:
                manifests[source.dataset] = expected_manifest(source.images, environ)
            except KelvinError as error:
                manifests[source.dataset] = error
        entry = manifests[source.dataset]
        if isinstance(entry, KelvinError):
            raise entry
        return entry

    blends: list[str] = []
    faults: list[tuple[str, str]] = []
    for start in starts:
        if start.blend:
            try:
                manifest(start.blend)
            except KelvinError as error:
                blends.append(f"blend = {start.blend.dataset!r}: {error}")
        if start.config.pretrain:
            try:
                images = own if start.source is None else manifest(start.source)
            except KelvinError as error:
                faults.append((start.run, f"pretrain.dataset = {start.source.dataset!r}: {error}"))
            else:
                faults += [(start.run, line) for line in
                           ([] if images is None else pretrain_faults(start, images, protocol))]
    return [*dict.fromkeys(blends), *shared_faults(faults)]


def pretrain_faults(start: Start, manifest: Manifest, protocol: MetricsCount) -> Iterator[str]:
    """What the images of that manifest lack, each line without `runs.<name>.`."""
    run, pretrain = start.config, start.config.pretrain
    if pretrain.classes is not None and (lines := class_faults(pretrain.classes, manifest)):
        yield from (f"pretrain.{line}" for line in lines)
        return
    if protocol.bounded:
        run = settled_pretraining(run, protocol.limit, manifest)
    outside = of_classes(manifest, pretrain.classes)["sizes"]["train"]
    count = min(outside, run.training.images or outside)
    chosen = {"pretrain.dataset": pretrain.dataset, "pretrain.classes": pretrain.classes}
    parts = [f"{key} = {value!r}" for key, value in chosen.items() if value is not None]
    of = f" of {' and '.join(parts)}" if parts else " that it is pre-trained on"
    yield from training_faults(run.training.batch, run.prior.model_dump(), count, of)
