"""Measure one sampled run under the protocol."""

import os
from dataclasses import replace
from pathlib import Path

from kelvin import classifier, reference
from kelvin.config.plan import EvaluatePlan
from kelvin.datasets.held_out import split_for
from kelvin.datasets.store import PreparedStore
from kelvin.evaluation import evaluate
from kelvin.files import write_json
from kelvin.protocol import Protocol
from kelvin.settle import sample_size, settled_metrics
from kelvin.stage import log, main, set_threads
from kelvin.subset_protocol import restrict


def work(plan: EvaluatePlan) -> None:
    set_threads(plan.threads)
    store, models = PreparedStore(plan.prepared), plan.folder("models").parent
    judge = classifier.load(models / "classifier")
    references, about = reference.load(models / "reference", plan.metrics, store, judge,
                                       os.environ.get("KELVIN_DATA"))
    metrics = settled_metrics(plan.metrics, store.manifest)
    protocol = Protocol.of(metrics, judge, references, store, about["fid_why"],
                           metrics.count(len(store.split("test"))))
    protocol, about, store = restrict(protocol, about, store, plan.classes)
    protocol = replace(protocol, n=sample_size(plan.metrics, store.manifest, len(store.split("test"))))
    if plan.split != "given":  # what the run could have copied
        view = split_for(store, plan.split, plan.fold, plan.replicate)
        protocol = replace(protocol, train_images=view.split("train").images)
    record, details = evaluate(protocol, about, store, plan.folder("models"), plan.folder("samples"))
    write_json(plan.folder("evaluations") / "details.json", details)
    write_json(Path("reports/runs") / plan.dataset / f"{plan.name}.json", record)
    log.info("%s: normalised FMD %.4f (n = %d)", plan.name, record["fmd_normalised"], record["n"])


main(work, EvaluatePlan, "run", "replicate")
