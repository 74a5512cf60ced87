"""Raw images -> the prepared store: uint8 arrays, labels, split, manifest with checksums."""

import os
from pathlib import Path

from kelvin.config.resolve import Params
from kelvin.datasets.leakage import FILE
from kelvin.datasets.preparation import prepare
from kelvin.files import read_json
from kelvin.stage import log, main


def work(params: Params, dataset: str) -> None:
    images = params.house.datasets[dataset].images
    folder = Path("data/prepared") / dataset
    manifest = prepare(dataset, images, os.environ, folder)
    log.info("%s: %s", dataset, ", ".join(f"{n} {split}" for split, n in manifest["sizes"].items()))
    for entry in manifest["skipped"]:
        log.warning("%s: left out %r, which %s", dataset, entry["file"], entry["why"])
    for check in read_json(folder / FILE)["checks"]:
        log.info("%s: %s", dataset, check["finding"])


main(work, "dataset")
