"""The real data's statistics: reference moments, floor, ceiling, and the calibrating rows."""

import os
from pathlib import Path

from kelvin import classifier, reference
from kelvin.datasets import PreparedStore
from kelvin.evaluation import sample_count, scale_record
from kelvin.files import write_json
from kelvin.params import Params
from kelvin.stage import log, main, set_threads


def work(params: Params) -> None:
    set_threads(params)
    store, models = PreparedStore(params.folder("prepared")), params.folder("models")
    judge = classifier.load(models / "classifier")
    protocol, about = reference.build(params.metrics, store, judge, os.environ.get("KELVIN_DATA"))
    scale, small = protocol.scale(sample_count(params, store)), protocol.small()
    reference.save(models / "reference", protocol, about)
    rows = {}
    for name, (title, images) in reference.calibrating_rows(
            scale.n, params.metrics.seed, store).items():
        record, details = protocol.score(images(), scale)
        rows[name] = {"title": title, **record, "histogram": details["histogram"]}
    write_json(Path("reports/runs") / params.house.dataset / "calibration.json",
               {**about, **scale_record(scale, ""), **scale_record(small, "small_"), "rows": rows})
    log.info("FMD floor %.3f, ceiling %.1f at n = %d", scale.band.mean, scale.ceiling, scale.n)


main(work)
