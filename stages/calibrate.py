"""The scale of every measure: floor, ceiling, the calibrating rows, and the floor over n."""

import os
from pathlib import Path

from kelvin import classifier, reference
from kelvin.config.resolve import Params
from kelvin.datasets.store import PreparedStore
from kelvin.evaluation import sample_count, scale_record
from kelvin.files import write_json
from kelvin.protocol import Protocol, calibrating_rows
from kelvin.stage import log, main, set_threads


def work(params: Params) -> None:
    set_threads(params)
    store, models = PreparedStore(params.folder("prepared")), params.folder("models")
    judge = classifier.load(models / "classifier")
    references, about = reference.load(models / "reference", params.metrics, store, judge,
                                       os.environ.get("KELVIN_DATA"))
    n = sample_count(params, store)
    protocol = Protocol.of(params.metrics, judge, references, store, about["fid_why"], n)
    scale, small, rows = protocol.scale(n), protocol.small(), {}
    held = protocol.heldout_images[protocol.apart[0]]
    for name, (title, make) in calibrating_rows(n, params.metrics.seed, store, held).items():
        images = make()
        record, details = protocol.score(images, scale)
        rows[name] = {"title": title, **record, **protocol.more(images),
                      "histogram": details["histogram"]}
    write_json(Path("reports/runs") / params.house.dataset / "calibration.json",
               {"dataset": params.house.dataset, **about, **scale_record(scale, ""),
                **scale_record(small, "small_"),
                "bias": protocol.bias(protocol.heldout_images), "rows": rows})
    log.info("FMD floor %.3f, ceiling %.1f at n = %d", scale.band.mean, scale.ceiling, scale.n)


main(work)
