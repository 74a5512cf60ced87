"""Train the classifier whose penultimate features FMD is measured in."""

from kelvin.common.hardware import pick_device, set_threads
from kelvin.common.progress import log
from kelvin.config.plan import ClassifierPlan
from kelvin.datasets.settle import settled_classifier
from kelvin.datasets.store import PreparedStore
from kelvin.features.classifier import save
from kelvin.features.classifier_network import Classifier
from kelvin.features.classifier_training import train_classifier
from kelvin.networks import Shape
from kelvin.pipeline.stage import main


def work(plan: ClassifierPlan) -> None:
    set_threads(plan.threads)
    store = PreparedStore.verified(plan.folders.prepared)
    config = settled_classifier(plan.classifier, plan.limit, store.manifest)
    train = store.split("train").first(config.images)
    test = store.split("test").first(plan.limit)
    network = Classifier(Shape(*train.shape[1:]), config.channels, config.features,
                         len(store.class_names)).to(pick_device())
    history = train_classifier(config, network, train.images, train.labels, plan.seed)
    record = save(plan.folders.classifier, network, config, history,
                  test.images, test.labels)
    log.info("classifier: test accuracy %.4f on %d images", record["accuracy"], record["n"])


main(work, ClassifierPlan)
