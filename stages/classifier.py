"""Train the classifier whose penultimate features FMD is measured in."""

from kelvin.common.hardware import pick_device, set_threads
from kelvin.common.progress import log
from kelvin.config.plan import ClassifierPlan
from kelvin.datasets.settle import settled_classifier
from kelvin.datasets.store import PreparedStore
from kelvin.features.classifier import other_folder, save
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
    out = plan.folders.classifier
    for k in range(config.seeds):
        network = Classifier(Shape(*train.shape[1:]), config.channels, config.features,
                             len(store.class_names)).to(pick_device())
        # replicates take the seeds that follow: the others of the classifier lie far from them
        history = train_classifier(config, network, train.images, train.labels, plan.seed + 10_000 * k)
        record = save(other_folder(out, k) if k else out, network, config, history, test.images,
                      test.labels)
        log.info("classifier %d: test accuracy %.4f on %d images", k, record["accuracy"], record["n"])


main(work, ClassifierPlan)
