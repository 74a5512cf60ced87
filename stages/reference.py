"""Statistics of the real data by every extractor: moments, and features that are kept."""

import os

from kelvin import classifier, reference
from kelvin.config.resolve import Params
from kelvin.datasets.store import PreparedStore
from kelvin.stage import log, main, set_threads


def work(params: Params) -> None:
    set_threads(params)
    store, models = PreparedStore(params.folder("prepared")), params.folder("models")
    about = reference.build(models / "reference", params.metrics, store,
                            classifier.load(models / "classifier"), os.environ.get("KELVIN_DATA"),
                            log.info)
    if about["fid_why"]:
        log.warning("%s", about["fid_why"])


main(work)
