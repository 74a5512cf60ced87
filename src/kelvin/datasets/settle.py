"""Values that params.yaml leaves open, settled by rules from the prepared images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from kelvin.common.errors import KelvinError
from kelvin.config.schema import (
    ClassifierConfig,
    EpochSampling,
    MetricsConfig,
    MetricsCount,
    SmallProtocol,
    TrainedRun,
    sample_count,
)

TEST = 0.3               # share of the images, where the source gives no test part
SAMPLES = 2000           # n at most
SMALL = SmallProtocol(images=32, reference=512, draws=15)  # study A's
WIDEST = 1024            # study A's features
ROWS = 10                # reference images a feature: a covariance of fewer is mostly noise
UPDATES, EPOCHS = 600, (5, 50)  # of the classifier
LEAST_TEST, LEAST_REFERENCE = 16, 40
Manifest = Mapping[str, Any]  # of a prepared store: its sizes, image_shape and classes are read
R, S = TypeVar("R", bound=TrainedRun), TypeVar("S", bound=EpochSampling)


def size_of_test(test: int | float | None, is_given: bool) -> int | float | None:
    """The size of the test part: as asked for, else the one that the source gives (None), else 0.3."""
    return TEST if test is None and not is_given else test


def settled_metrics(metrics: MetricsConfig, manifest: Manifest) -> MetricsConfig:
    """The protocol with no value left open; KelvinError where a data set is too small.

    A value that is set stays:

    - metrics.images: half of the test set, at most 2,000: the other half draws the floor.
    - metrics.small: 32 samples, or a quarter of the test set, against half of it, at most 512; 15 draws.

    Where metrics.bounded, values that are set give way to a small test set: `images` (if a number) and
    `small.reference` to half of it, `small.images` to a quarter, `copy_quantile` rises to what one image
    is, and `ssim_window` falls to the largest odd side within the image. The test set counts up to
    metrics.limit.
    """
    test, side = counted(manifest["sizes"]["test"], metrics.limit), min(manifest["image_shape"][1:])
    if (metrics.bounded or metrics.images is None or metrics.small is None) and test < LEAST_TEST:
        raise KelvinError(f"the data set has {test} test images, too few to measure by: at least "
                          f"{LEAST_TEST} are needed; add images, or, where it has no test part of its "
                          "own, take a larger share by its key test")
    half, quarter, small = test // 2, test // 4, metrics.small
    update: dict[str, object] = {"images": settled_images(metrics, manifest)}
    if small is None or metrics.bounded:
        small = small or SMALL
        update["small"] = small.model_copy(update={"images": min(small.images, quarter),
                                                   "reference": min(small.reference, half)})
    if metrics.bounded:
        update["copy_quantile"] = max(metrics.copy_quantile, 1 / (test - 1))
        update["ssim_window"] = min(metrics.ssim_window, side - 1 + side % 2)
    return metrics.model_copy(update=update)


def settled_images(metrics: MetricsConfig | MetricsCount, manifest: Manifest) -> int | float:
    """metrics.images of the settled protocol."""
    half = counted(manifest["sizes"]["test"], metrics.limit) // 2
    if metrics.images is None:
        return min(half, SAMPLES)
    return min(metrics.images, half) if metrics.bounded and isinstance(metrics.images, int) \
        else metrics.images


def sample_size(metrics: MetricsConfig | MetricsCount, manifest: Manifest, test: int) -> int:
    """n of a run that is compared with `test` of the test images; KelvinError where the floor needs more.

    A number that was settled by a rule counts for all classes: a run of some gets its share of it.
    """
    images, whole = settled_images(metrics, manifest), manifest["sizes"]["test"]
    if isinstance(images, int) and (metrics.images is None or metrics.bounded):
        images = round(images * test / whole)
    return sample_count(images, test)


def settled_classifier(classifier: ClassifierConfig, limit: int | None, manifest: Manifest
                       ) -> ClassifierConfig:
    """The classifier with no value left open; KelvinError where a data set is too small.

    A value that is set stays; the reference is train and validation, up to metrics.limit (`limit`):

    - features: the largest of channels[-1] x 1, 4, 16 that is at most 1024 and a tenth of the reference,
      its square no larger than the image. Where even channels[-1] is more, the largest power of two that
      is not, and channels[-1] with it.
    - epochs: about 600 updates, 5 to 50 epochs; 1 where there is one class, which teaches nothing.
    """
    sizes, side = manifest["sizes"], min(manifest["image_shape"][1:])
    reference = counted(sizes["train"] + sizes["validation"], limit)
    update: dict[str, object] = {}
    if classifier.features is None:
        if reference < LEAST_REFERENCE:
            raise KelvinError(f"the data set has {reference} training and validation images, too few for "
                              f"a classifier to measure by: at least {LEAST_REFERENCE} are needed")
        last, most = classifier.channels[-1], min(WIDEST, reference // ROWS)
        widths = [last * pool**2 for pool in (1, 2, 4) if pool <= side and last * pool**2 <= most]
        update["features"] = widths[-1] if widths else 1 << (most.bit_length() - 1)
        if not widths:
            update["channels"] = [*classifier.channels[:-1], update["features"]]
    if classifier.epochs is None:
        images = min(sizes["train"], classifier.images or sizes["train"])
        epochs = -(-UPDATES // max(1, images // classifier.batch))
        update["epochs"] = 1 if len(manifest["classes"]) == 1 else min(max(epochs, EPOCHS[0]), EPOCHS[1])
    return classifier.model_copy(update=update)


def settled_sampling(sampling: S, limit: int | None, manifest: Manifest) -> S:
    """Sampling under a bounded protocol: epoch_images and restore_images are at most half of the test
    set."""
    half = counted(manifest["sizes"]["test"], limit) // 2
    return sampling.model_copy(update={
        key: min(getattr(sampling, key), half) for key in ("epoch_images", "restore_images")
        if hasattr(sampling, key)})


def settled_run(run: R, limit: int | None, manifest: Manifest) -> R:
    """A run of a bounded protocol as the images can carry it: its sampling, and training.batch at most
    half of the images outside the test set."""
    outside = manifest["sizes"]["train"] + manifest["sizes"]["validation"]
    sampling = settled_sampling(run.sampling, limit, manifest)
    training = run.training.model_copy(update={"batch": min(run.training.batch, outside // 2)})
    return run.model_copy(update={"sampling": sampling, "training": training})


def settled_pretraining(run: R, limit: int | None, manifest: Manifest) -> R:
    """A run of a bounded protocol as it is pre-trained, on images of this manifest and the classes that
    `pretrain` names."""
    classes = None if run.pretrain is None else run.pretrain.classes
    return settled_run(run, limit, of_classes(manifest, classes))


def of_classes(manifest: Manifest, classes: list[int] | None) -> Manifest:
    """The manifest, its sizes those of some classes."""
    if classes is None:
        return manifest
    return {**manifest, "sizes": {part: sum(manifest["classes"][i][part] for i in classes)
                                  for part in manifest["sizes"]}}


def counted(images: int, limit: int | None) -> int:
    """How many images of a part the protocol uses."""
    return images if limit is None else min(images, limit)
