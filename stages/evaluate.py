"""Measure one sampled run under the protocol."""

from pathlib import Path

from kelvin import classifier, reference
from kelvin.datasets import PreparedStore
from kelvin.evaluation import evaluate
from kelvin.files import write_json
from kelvin.params import Params
from kelvin.stage import log, main, replicate_of, set_threads


def work(params: Params, run: str, replicate: str) -> None:
    set_threads(params)
    name = f"{run}-{replicate_of(params, replicate)}"
    store, models = PreparedStore(params.folder("prepared")), params.folder("models")
    judge = classifier.load(models / "classifier")
    protocol, about = reference.load(models / "reference", params.metrics, store, judge)
    record, details = evaluate(params, protocol, about, store, models / name,
                               params.folder("samples") / name)
    write_json(params.folder("evaluations") / name / "details.json", details)
    write_json(Path("reports/runs") / params.house.dataset / f"{name}.json", record)
    log.info("%s: normalised FMD %.4f (n = %d)", name, record["fmd_normalised"], record["n"])


main(work, "run", "replicate")
