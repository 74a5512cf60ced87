"""Raw images -> the prepared store: uint8 arrays, labels, split, manifest with checksums."""

import os
from pathlib import Path

from kelvin.datasets import prepare
from kelvin.params import Params
from kelvin.stage import log, main


def work(params: Params, dataset: str) -> None:
    images = params.house.datasets[dataset].images
    manifest = prepare(dataset, images, os.environ, Path("data/prepared") / dataset)
    log.info("%s: %s", dataset, ", ".join(f"{n} {split}" for split, n in manifest["sizes"].items()))


main(work, "dataset")
