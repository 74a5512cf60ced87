"""What only the prepared images can tell: values that params.yaml leaves open, settled by rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kelvin.config.schema import ClassifierConfig, MetricsConfig, RunConfig, SmallProtocol
from kelvin.errors import KelvinError

TEST = 0.3               # share of the images, where the source gives no test part
SAMPLES = 2000           # n at most
SMALL = SmallProtocol(images=32, reference=512, draws=15)  # study A's
WIDEST = 1024            # study A's features
ROWS = 10                # reference images a feature: a covariance of fewer is mostly noise
UPDATES, EPOCHS = 600, (5, 50)  # of the classifier
LEAST_TEST, LEAST_REFERENCE = 16, 40


def size_of_test(test: int | float | None, is_given: bool) -> int | float | None:
    """The size of the test part: as asked for, else the one that the source gives (None), else 0.3."""
    return TEST if test is None and not is_given else test


def settled(metrics: MetricsConfig, classifier: ClassifierConfig, sizes: Mapping[str, int],
            image_shape: Sequence[int], class_count: int) -> tuple[MetricsConfig, ClassifierConfig]:
    """Protocol and classifier with no value left open; KelvinError where a data set is too small.

    sizes: images of each part ("train", "validation", "test"); image_shape: (C, H, W). The reference is
    train and validation; it and the test set count up to metrics.limit. A value that is set stays:

    - classifier.features: the largest of channels[-1] x 1, 4, 16 that is at most 1024 and a tenth of the
      reference, its square no larger than the image. Where even channels[-1] is more, the largest power
      of two that is not, and channels[-1] with it.
    - classifier.epochs: about 600 updates, 5 to 50 epochs; 1 where there is one class, which teaches
      nothing.
    - metrics.images: half of the test set, at most 2,000: the other half draws the floor.
    - metrics.small: 32 samples, or a quarter of the test set, against half of it, at most 512; 15 draws.

    Where metrics.bounded, values that are set give way to a small test set: `images` (if a number) and
    `small.reference` to half of it, `small.images` to a quarter, `copy_quantile` rises to what one image
    is, and `ssim_window` falls to the largest odd side within the image.
    """
    test, reference = _counted(sizes, metrics.limit)
    open_or_bounded = metrics.bounded or metrics.images is None or metrics.small is None
    if open_or_bounded and test < LEAST_TEST:
        raise KelvinError(f"the data set has {test} test images, too few to measure by: at least "
                          f"{LEAST_TEST} are needed; add images, or take a larger share by its key test")
    return _protocol(metrics, test, min(image_shape[1:])), _network(
        classifier, reference, sizes["train"], min(image_shape[1:]), class_count)


def settled_run(run: RunConfig, metrics: MetricsConfig, sizes: Mapping[str, int]) -> RunConfig:
    """The run as the images can carry it; unchanged unless metrics.bounded.

    Then sampling.epoch_images and restore_images are at most half of the test set, and training.batch at
    most half of the images outside it. metrics: settled.
    """
    if not metrics.bounded:
        return run
    half = _counted(sizes, metrics.limit)[0] // 2
    sampling = run.sampling.model_copy(update={
        key: min(getattr(run.sampling, key), half) for key in ("epoch_images", "restore_images")})
    outside = sizes["train"] + sizes["validation"]
    training = run.training.model_copy(update={"batch": min(run.training.batch, outside // 2)})
    return run.model_copy(update={"sampling": sampling, "training": training})


def _counted(sizes: Mapping[str, int], limit: int | None) -> tuple[int, int]:
    """Test and reference images that the protocol takes."""
    test, reference = sizes["test"], sizes["train"] + sizes["validation"]
    return (test, reference) if limit is None else (min(test, limit), min(reference, limit))


def _protocol(metrics: MetricsConfig, test: int, side: int) -> MetricsConfig:
    half, quarter = test // 2, test // 4
    images, small = metrics.images, metrics.small
    update: dict[str, object] = {}
    if images is None:
        update["images"] = min(half, SAMPLES)
    elif metrics.bounded and isinstance(images, int):
        update["images"] = min(images, half)
    if small is None or metrics.bounded:
        small = small or SMALL
        update["small"] = small.model_copy(update={"images": min(small.images, quarter),
                                                   "reference": min(small.reference, half)})
    if metrics.bounded:
        update["copy_quantile"] = max(metrics.copy_quantile, 1 / (test - 1))
        update["ssim_window"] = min(metrics.ssim_window, side - 1 + side % 2)
    return metrics.model_copy(update=update)


def _network(classifier: ClassifierConfig, reference: int, train: int, side: int, class_count: int
             ) -> ClassifierConfig:
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
        taken = min(train, classifier.images or train)
        epochs = -(-UPDATES // max(1, taken // classifier.batch))
        update["epochs"] = 1 if class_count == 1 else min(max(epochs, EPOCHS[0]), EPOCHS[1])
    return classifier.model_copy(update=update)
