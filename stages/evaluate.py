"""Measure one sampled run under the protocol."""

import os
from dataclasses import replace
from pathlib import Path

from kelvin import classifier, reference
from kelvin.config.resolve import Params
from kelvin.datasets.held_out import split_for
from kelvin.datasets.store import PreparedStore
from kelvin.evaluation import evaluate, sample_count
from kelvin.files import write_json
from kelvin.protocol import Protocol
from kelvin.stage import log, main, replicate_of, set_threads
from kelvin.subset_protocol import restrict


def work(params: Params, run: str, replicate: str) -> None:
    set_threads(params)
    name = f"{run}-{replicate_of(params, replicate)}"
    store, models = PreparedStore(params.folder("prepared")), params.folder("models")
    judge = classifier.load(models / "classifier")
    references, about = reference.load(models / "reference", params.metrics, store, judge,
                                       os.environ.get("KELVIN_DATA"))
    protocol = Protocol.of(params.metrics, judge, references, store, about["fid_why"],
                           sample_count(params, store))
    protocol, about, store = restrict(protocol, about, store, params.run(run).classes)
    config = params.run(run)
    if config.split != "given":  # what the run could have copied
        view = split_for(store, config.split, int(replicate) if config.fold is None else config.fold)
        protocol = replace(protocol, train_images=view.split("train").images)
    record, details = evaluate(params, protocol, about, store, models / name,
                               params.folder("samples") / name)
    write_json(params.folder("evaluations") / name / "details.json", details)
    write_json(Path("reports/runs") / params.house.dataset / f"{name}.json", record)
    log.info("%s: normalised FMD %.4f (n = %d)", name, record["fmd_normalised"], record["n"])


main(work, "run", "replicate")
