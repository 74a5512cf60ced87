"""What the networks that judge cannot be had for, on the images of a data set."""

from __future__ import annotations

from collections.abc import Iterator

from kelvin.common.errors import KelvinError
from kelvin.config.schema import ClassifierConfig, ReferenceConfig
from kelvin.datasets.settle import Manifest, counted, settled_classifier
from kelvin.features.classifier_network import map_side, pool_side
from kelvin.features.imagenet import NAME as IMAGENET
from kelvin.features.imagenet import absent


def judge_faults(classifier: ClassifierConfig, metrics: ReferenceConfig, manifest: Manifest | None
                 ) -> list[str]:
    """What the networks that judge cannot be had for on these images; manifest: None where not known."""
    shape = count = None
    lines: list[str] = []
    if manifest is not None:
        sizes, shape = manifest["sizes"], tuple(manifest["image_shape"])
        count = counted(sizes["train"] + sizes["validation"], metrics.limit)
        try:
            judge = settled_classifier(classifier, metrics.limit, manifest)
            lines += taught_faults(judge, len(manifest["classes"]))
        except KelvinError as error:
            lines += str(error).splitlines()
        else:
            pool = pool_side(judge.channels, judge.features)
            side = map_side(judge.channels, min(shape[1:]))
            if pool > side:
                last = judge.channels[-1]
                lines.append(f"classifier.features = {judge.features} pools {last} channels to {pool}x"
                             f"{pool}, but images of {shape[1]}x{shape[2]} leave {side}x{side}; take at "
                             f"most {last * side**2}")
    if IMAGENET in metrics.extractors and (why := absent(shape, count)):
        lines.append(f"metrics.extractors names {IMAGENET}, but {why.rstrip('.')}")
    return lines


def taught_faults(judge: ClassifierConfig, classes: int) -> Iterator[str]:
    """Of a classifier that is shown fewer images than there are classes to be told apart."""
    if (judge.images or classes) < classes:
        yield (f"classifier.images = {judge.images} is less than the {classes} classes that it is to "
               "tell apart; raise it, or set it to null for all")
