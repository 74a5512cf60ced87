"""Study E from end to end on a tiny archive of Fruits-360's layout: every stage's script, no DVC."""

import io
import json
import tarfile

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from kelvin.config.resolve import read
from kelvin.pipeline.executors import Machine, Task
from kelvin.pipeline.throwaway import make_copy

FRUITS = ["Apple Red 1", "Banana", "Cherry Wax Red", "Kiwi", "Lemon", "Pear Abate"]
RUNS = ["fold-grouped", "fold-leaky"]


def picture(fruit, frame):
    """A disc in the fruit's colour on white, turned a little from frame to frame."""
    y, x = np.mgrid[:100, :100]
    random = np.random.default_rng(fruit)
    colour, spot = random.integers(30, 220, 3), 20 * np.array([np.cos(frame / 9), np.sin(frame / 9)])
    image = np.full((100, 100, 3), 255, np.uint8)
    image[(x - 50) ** 2 + (y - 50) ** 2 < (25 + 3 * fruit) ** 2] = colour
    image[(x - 50 - spot[0]) ** 2 + (y - 50 - spot[1]) ** 2 < 40] = colour // 2
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("fruits")
    with tarfile.open(root / "fruits-360.tar", "w") as tar:
        for i, fruit in enumerate(FRUITS):
            for frame in range(50):
                part, axis = "Training" if frame % 3 else "Validation", "r_" if frame > 25 else ""
                content = picture(i, frame)
                info = tarfile.TarInfo(f"fruits-360/{part}/{fruit}/{axis}{frame}_100.jpg")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    copy, folds = root / "copy", read(ROOT / "params.yaml")["studies"]["folds"]
    environment = make_copy(ROOT, copy, {
        "scale": "smoke", "dataset": "fruits360", "datasets.fruits360.image_size": 16,
        "scales.smoke.metrics.small.reference": 50, "active": RUNS,
        "studies": {"folds": folds}}) | {"KELVIN_DATA": str(root)}
    stages = [["plan"], ["prepare", "fruits360"], ["classifier"], ["reference"],
              ["calibrate"], ["pretrain"], *([stage, run, "0"] for run in RUNS
                                             for stage in ("train", "sample", "evaluate")), ["report"]]
    said, machine = {}, Machine(1)
    for words in stages:
        log, name = root / "log", " ".join(words)
        log.write_text("")
        command = f"python stages/{words[0]}.py {' '.join(words[1:])}"
        status = machine.submit(Task(name, [command], str(copy), environment, str(log))).result()
        said[name] = log.read_text()
        assert status == 0, (words, said[name][-3000:])
    return copy, said


def test_the_store_names_its_leaks_and_its_folds(made):
    copy, said = made
    assert "leak" in said["prepare fruits360"]
    store = copy / "data/prepared/fruits360"
    manifest = json.loads((store / "manifest.json").read_text())
    assert manifest["sizes"]["test"] == 6 * 17 and manifest["image_shape"] == [3, 16, 16]
    assert (store / "folds.json").exists() and (store / "leakage.json").exists()


def test_the_study_has_its_tables_figures_and_findings(made):
    copy, _ = made
    records = json.loads((copy / "reports/metrics.json").read_text())
    assert set(records) == set(RUNS) and all(r["best_epoch"] >= 1 for r in records.values())
    tables, figures = copy / "reports/tables", copy / "reports/figures"
    for run in RUNS:
        for measure in ("ssim", "psnr", "rmse"):
            for suffix in ("md", "csv", "tex"):
                assert (tables / f"folds-{run}-test-{measure}.{suffix}").stat().st_size > 0
        assert (figures / f"folds-{run}-rows.png").exists()
    # a grouped fold's held-out fruits are unseen in both parts; the given test split's others are apart
    assert (tables / "folds-fold-grouped-seen-ssim.csv").exists()
    assert (figures / "folds-loss.png").exists() and (figures / "folds-decoding.png").exists()
    page = (copy / "reports/index.html").read_text()
    assert "With leaky folds the validation loss is" in page and "no verdict is given" in page
