"""Raw images -> the prepared store: uint8 arrays, labels, split, manifest with checksums."""

import os

from kelvin.artifacts.folders import DatasetFolders
from kelvin.common.files import read_json
from kelvin.common.progress import log
from kelvin.config.plan import PreparePlan
from kelvin.datasets.preparation import prepare
from kelvin.datasets.splitting.leakage import FILE
from kelvin.pipeline.stage import main


def work(plan: PreparePlan) -> None:
    dataset, folder = plan.source.dataset, DatasetFolders(plan.source.dataset).prepared
    manifest = prepare(dataset, plan.source.images, os.environ, folder)
    log.info("%s: %s", dataset, ", ".join(f"{n} {split}" for split, n in manifest["sizes"].items()))
    for entry in manifest["skipped"]:
        log.warning("%s: left out %r, which %s", dataset, entry["file"], entry["why"])
    for check in read_json(folder / FILE)["checks"]:
        log.info("%s: %s", dataset, check["finding"])


main(work, PreparePlan, "dataset")
