"""The guidance sweep: its points, its table, its words, its figures."""

import json

import numpy as np
import pytest
from helpers import studied

from kelvin.report.aggregate import metrics
from kelvin.report.kit import style
from kelvin.report.results import collect
from kelvin.report.studies import guidance

WEIGHTS = {0: (9.0, 0.1), 1: (4.0, 0.7), 2: (3.0, 0.85), 5: (8.0, 0.99)}  # FMD and accuracy


def add(made, replicate=0, shift=0.0):
    """The invented record of a conditional run, with the sweep's samples and labels beside."""
    made.add("guided", replicate, fmd=4.0 + shift)
    folder = made.root / f"reports/runs/digits/guided-{replicate}.json"
    record = json.loads(folder.read_text())
    base = dict(record["samplers"]["ddim-5"])
    for w, (value, _) in WEIGHTS.items():
        fmd = value + shift * value / 1000  # differences are not the same on every seed
        record["samplers"][f"ddim-5@w={w:g}"] = base | {
            "fmd": fmd + shift, "fmd_low": fmd + shift - 0.8, "fmd_high": fmd + shift + 0.8,
            "fd_pixels": 2.0 + 0.1 * w,
            "precision": 0.1 * w, "recall": 0.9 - 0.1 * w, "nfe": 5 if w in (0, 1) else 10}
    for name, scores in record["samplers"].items():
        weight = float(name.partition("@w=")[2] or 1)
        accuracy = WEIGHTS[weight][1]
        scores |= {"asked_accuracy": accuracy, "asked_accuracy_low": accuracy - 0.05,
                   "asked_accuracy_high": accuracy + 0.005}
    record |= {k: v for k, v in record["samplers"]["ddim-5"].items() if k.startswith("asked")}
    folder.write_text(json.dumps(record))
    path = made.root / f"data/samples/digits/guided-{replicate}/samples.npz"
    arrays = dict(np.load(path))
    arrays["labels"] = np.arange(20) % 2
    arrays |= {f"samples/ddim-5@w={w:g}": made.images(20) for w in WEIGHTS}
    np.savez(path, **arrays)


@pytest.fixture
def study_of(project):
    def make(replicates=(0,), runs=("guided",)):
        made = project(list(runs), replicates=replicates)
        for r in replicates:
            for run in runs:
                if run == "guided":
                    add(made, r, 0.1 * r)
                else:
                    made.add(run, r)
        results = collect(made.plan)
        return results, studied(results)["guidance"]
    return make


def test_points_and_table(study_of):
    results, study = study_of()
    found = guidance.points(study.runs[0])
    assert [p.at for p in found] == [0, 1, 2, 5]
    table = study.tables()[0]
    assert [row["fmd"] for row in table.rows] == [9.0, 4.0, 3.0, 8.0]
    bold = [[text for text, is_bold in row if is_bold] for row in table.cells()]
    assert bold[2][0] == "3.00 [2.20, 3.80]" and "0.9900 [0.9400, 0.9950]" in bold[3]
    assert [row["nfe"] for row in table.rows] == [5, 5, 10, 10]
    assert set(table.files()) == {"guidance.csv", "guidance.md", "guidance.tex"}


def test_words_follow_the_numbers(study_of):
    results, study = study_of()
    said = " ".join(study.findings())
    assert "on this seed FMD is lowest at w = 2, 3.00 [2.20, 3.80] (95 % interval over images)" in said
    assert "highest at w = 0, 9.00" in said and "overlaps with that of w = 1." in said
    assert "10.0 % at w = 0, 70.0 % at w = 1, 85.0 % at w = 2, 99.0 % at w = 5; on real test images " \
           "it is right on 90.0 %" in said
    assert "At w = 5 the samples are easier to classify than real images" in said
    assert "At w = 0, 1, 2, 5 precision is 0, 0.100, 0.200, 0.500 and recall is" in said
    assert "better" not in said and "worse" not in said  # one seed judges nothing


def test_where_fmd_and_pixels_part_is_told(study_of):
    """From w = 1 to 2 FMD falls and FD pixels, which know no class, rises."""
    results, study = study_of()
    said = " ".join(study.findings())
    assert "4.00 and 2.10 at 1; 3.00 and 2.20 at 2" in said
    assert "At w = 0, 2 one of them is lower than at w = 1 and the other is not" in said
    sweep = guidance.points(study.runs[0])
    for scores in sweep[2].scores:
        scores["fd_pixels"] = 1.0
    sweep[0].scores[0]["fd_pixels"] = 2.2
    said, = guidance.rewarded(sweep)
    assert said.endswith("At no weight is one of them lower than at w = 1 and the other not.")
    assert [row["fd_pixels"] for row in study.tables()[0].rows] == [2.2, 2.1, 1.0, 2.5]


def test_five_seeds_are_tested(study_of):
    results, study = study_of(replicates=(0, 1, 2, 3, 4))
    said = " ".join(study.findings())
    assert "Against “w = 1” (paired t-tests of FMD over 5 training seeds" in said
    assert "“w = 2”: better" in said and "“w = 5”: worse" in said
    assert "range over training seeds" in said


def test_figures(study_of):
    style.use()
    results, study = study_of()
    drawn = study.figures()
    assert [f.name for f in drawn] == ["guidance-sweep", "guidance-guided"]
    assert all(f.png[:4] == b"\x89PNG" for f in drawn)


def test_without_a_sweep(study_of):
    results, study = study_of(runs=("ddpm-default",))
    assert study.figures() == [] and study.tables() == []
    assert "there is no sweep" in study.findings()[0]


def test_metrics_json_has_the_accuracy_of_every_weight(study_of):
    results, _ = study_of()
    record = metrics(results)["guided"]
    assert record["asked_accuracy"] == 0.7
    assert record["samplers"]["ddim-5@w=5"]["asked_accuracy"] == 0.99
