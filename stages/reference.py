"""Statistics of the real data by every extractor: moments, and features that are kept."""

import os

from kelvin.common.hardware import set_threads
from kelvin.common.progress import log
from kelvin.config.plan import ReferencePlan
from kelvin.datasets.store import PreparedStore
from kelvin.features import classifier, reference
from kelvin.pipeline.stage import main


def work(plan: ReferencePlan) -> None:
    set_threads(plan.threads)
    store = PreparedStore.verified(plan.folders.prepared)
    about = reference.build(plan.folders.reference, plan.metrics, store,
                            classifier.load(plan.folders.classifier), os.environ.get("KELVIN_DATA"),
                            log.info)
    if about["fid_why"]:
        log.warning("%s", about["fid_why"])
    if about["effnet_why"]:
        log.info("%s", about["effnet_why"])


main(work, ReferencePlan)
