"""The scale of every measure: floor, ceiling, the calibrating rows, and the floor over n."""

import os

from kelvin.artifacts.evaluations import write_calibration
from kelvin.common.hardware import set_threads
from kelvin.common.progress import log
from kelvin.config.plan import CalibratePlan
from kelvin.datasets.settle import sample_size, settled_metrics
from kelvin.datasets.store import PreparedStore
from kelvin.evaluation.calibration import calibrating_rows, scale_record
from kelvin.evaluation.protocol import Protocol
from kelvin.features import classifier, reference
from kelvin.pipeline.stage import main


def work(plan: CalibratePlan) -> None:
    set_threads(plan.threads)
    store = PreparedStore.verified(plan.folders.prepared)
    judge = classifier.load(plan.folders.classifier)
    references, about = reference.load(plan.folders.reference, plan.metrics, store, judge,
                                       os.environ.get("KELVIN_DATA"))
    metrics = settled_metrics(plan.metrics, store.manifest)
    n = sample_size(plan.metrics, store.manifest, len(store.split("test")))
    protocol = Protocol.of(metrics, judge, references, store, about["fid_why"], n,
                           about["effnet_why"])
    scale, small, rows = protocol.scale(n), protocol.small(), {}
    held = protocol.heldout_images[protocol.apart[0]]
    for name, (title, make) in calibrating_rows(n, metrics.seed, store, held).items():
        samples = protocol.samples(make(), scale)
        record, details = protocol.score(samples)
        rows[name] = {"title": title, **record, **protocol.more(samples),
                      "histogram": details["histogram"]}
    write_calibration(plan.folders.calibration, {
        "dataset": plan.dataset, **about, **scale_record(scale, ""), **scale_record(small, "small_"),
        "bias": protocol.bias(protocol.heldout_images), "rows": rows})
    log.info("FMD floor %.3f, ceiling %.1f at n = %d", scale.band.mean, scale.ceiling, scale.n)


main(work, CalibratePlan)
