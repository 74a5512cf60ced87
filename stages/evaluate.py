"""Measure one sampled run under the protocol."""

import os
from dataclasses import replace

from kelvin.artifacts.evaluations import EvaluationFolder, write_record
from kelvin.common.hardware import set_threads
from kelvin.common.progress import log
from kelvin.config.plan import EvaluatePlan
from kelvin.datasets.settle import of_classes, sample_size, settled_metrics
from kelvin.datasets.splitting.held_out import split_for
from kelvin.datasets.store import PreparedStore
from kelvin.evaluation.class_subset import restrict
from kelvin.evaluation.evaluate_run import evaluate
from kelvin.evaluation.protocol import Protocol
from kelvin.features import classifier, reference
from kelvin.pipeline.stage import main


def work(plan: EvaluatePlan) -> None:
    set_threads(plan.threads)
    store = PreparedStore.verified(plan.folders.prepared)
    judge = classifier.load(plan.folders.classifier)
    references, about = reference.load(plan.folders.reference, plan.metrics, store, judge,
                                       os.environ.get("KELVIN_DATA"))
    metrics = settled_metrics(plan.metrics, store.manifest)
    test = of_classes(store.manifest, plan.classes)["sizes"]["test"]
    protocol = Protocol.of(metrics, judge, references, store, about["fid_why"],
                           sample_size(plan.metrics, store.manifest, test), about["effnet_why"])
    protocol, about, store = restrict(protocol, about, store, plan.classes)
    if plan.split != "given":  # what the run could have copied
        view = split_for(store, plan.split, plan.fold, plan.replicate)
        protocol = replace(protocol, train_images=view.split("train").images)
    record, details = evaluate(protocol, about, store, plan.results.model, plan.results.samples)
    EvaluationFolder(plan.results.evaluation).write_details(details)
    write_record(plan.results.record, record)
    log.info("%s: normalised FMD %.4f (n = %d)", plan.name, record["fmd_normalised"], record["n"])


main(work, EvaluatePlan, "run", "replicate")
