"""The study of pre-training: equal quality by hand, and scores that never stand in another's table."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import every_table, studied

from kelvin.common.errors import KelvinError
from kelvin.report.aggregate import metrics
from kelvin.report.build import build
from kelvin.report.kit import style
from kelvin.report.results import collect
from kelvin.report.studies.pretraining import Gain, against, crossing, equal_updates, gain, savings

RUNS = ["pretrain-0", "pretrain-10", "pretrain-control"]
OWN = {"classes": [0, 1, 2, 3, 4], "n": 10, "reference_n": 15, "floor": 1.5, "ceiling": 40.0}


@pytest.mark.parametrize("level, expected", [
    (5.0, 1.0), (4.0, 1.0), (3.0, 2.0), (2.0, 3.0), (1.5, 5.0), (1.0, 6.0), (0.9, None)])
def test_first_reached_between_epochs(level, expected):
    x, y = np.array([1.0, 3, 4, 6]), np.array([4.0, 2.0, 2.0, 1.0])
    assert crossing(x, y, level) == expected


def test_a_rise_after_the_level_was_reached_changes_nothing():
    assert crossing(np.array([1.0, 2, 3]), np.array([4.0, 1.0, 3.0]), 2.5) == 1.5


def test_gain_by_hand():
    x = np.array([1.0, 2, 3, 4, 5])
    base = (x, np.array([[5.0, 4, 3, 2, 1], [10, 8, 6, 4, 2]]))
    # seed 0 is at 1 at epoch 2; seed 1 passes 2 halfway between epochs 3 and 4
    run = (x, np.array([[2.0, 1, 0.5, 0.4, 0.3], [9, 5, 3, 1, 1]]))
    assert gain(base, run, 8, 80) == Gain(2.75, 2.25, 80 + 8 * 2.75)
    assert gain(base, base, 8, 0) == Gain(5.0, 0.0, 40.0)
    late = (x, np.array([[2.0, 1, 1, 1, 1], [9, 8, 7, 6, 5]]))  # on one seed it never gets there
    assert gain(base, late, 8, 80) == Gain(None, None, None)


def test_words_follow_the_numbers():
    found = {"loss": Gain(20.0, 30.0, 240.0), "fmd": Gain(45.0, -5.0, 440.0)}
    said = savings("early", found, 80, "scratch", 400, 1)
    assert said == (
        "“early” (80 updates of pre-training) on this seed reaches the final validation loss of "
        "“scratch” after 20.0 epochs (30.0 fewer), and 240 updates with its pre-training (that run: 400, "
        "so fewer); reaches the final FMD of “scratch” after 45.0 epochs (5.00 more), and 440 updates "
        "with its pre-training (that run: 400, so no fewer).")
    assert "does not reach the final FMD of “scratch”" in savings(
        "early", found | {"fmd": Gain(None, None, None)}, 80, "scratch", 400, 1)
    assert "(640) the FMD of “a” is higher than" in against("a", "c", 640, (3.0, 2.0), 1)
    assert "on this seed: 1.00 against 2.00" in against("a", "c", 640, (1.0, 2.0), 1)
    assert "is lower than that of the control “c”" in against("a", "c", 640, (1.0, 2.0), 1)
    assert "stops short of the 640 updates" in against("a", "c", 640, None, 1)


def stub(updates, epochs, fmd, before=0):
    """A run of one seed with `fmd` after each epoch that was kept."""
    rows = [{"epoch": e, "fmd": f} for e, f in fmd.items()]
    record = {"updates": updates} | ({"pretrain_updates": before} if before else {})
    return SimpleNamespace(record=record, replicates=[SimpleNamespace(details={"epochs": rows})],
                           config=SimpleNamespace(training=SimpleNamespace(epochs=epochs)))


def test_the_control_is_read_after_as_many_updates():
    control = stub(80, 8, {1: 9.0, 4: 6.0, 8: 2.0})  # 10 updates an epoch
    run = stub(40, 4, {1: 5.0, 4: 4.0}, before=20)  # 60 in all: halfway between epochs 4 and 8
    assert equal_updates(run, control) == (4.0, 4.0)
    assert equal_updates(stub(40, 4, {4: 3.0}, before=0), control) == (3.0, 6.0)
    assert equal_updates(stub(40, 4, {4: 3.0}, before=41), control) is None


def read(found, run):
    return json.loads((found.root / f"reports/runs/digits/{run}-0.json").read_text())


def write(path, record):
    path.write_text(json.dumps(record))


def made(project, active, others=()):
    result = project([*active, *others])
    for i, run in enumerate(active):
        more = {"pretrain_updates": 80} if run == "pretrain-10" else {}
        result.add(run, fmd=3.0 + i, **OWN, **more)
    for run in others:
        result.add(run)
    return result


def test_the_study_has_its_own_scale_and_table(project):
    found = made(project, RUNS, ["ddpm-default", "ddpm-long"])
    results = collect(found.plan)
    assert set(results.runs) == {"ddpm-default", "ddpm-long"} and set(results.apart) == set(RUNS)
    records = metrics(results)
    assert set(records) == set(results.every)
    study = studied(results)["pretraining"]
    style.use()
    assert [f.name for f in study.page_figures()] == ["pretraining-curves",
                                                               "pretraining-samples"]
    by_name = every_table(results)
    assert {row["run"] for row in by_name["generation"].rows}.isdisjoint(RUNS)
    assert {row["run"] for row in by_name["samplers"].rows}.isdisjoint(RUNS)
    rows = {row["run"]: row for row in by_name["pretraining"].rows}
    assert rows["pretrain-10"]["total_updates"] == 88 and rows["pretrain-10"]["n"] == 10
    assert rows["pretrain-0"]["loss_saved"] == 0
    assert "classes 0, 1, 2, 3, 4 only" in by_name["pretraining"].caption
    said = " ".join(study.paragraphs())
    assert "Not active, and so missing here: pretrain-20 and pretrain-30" in said
    assert "80 updates of pre-training" in said
    assert "The control “from scratch, 5 epochs” stops short" in said


@pytest.mark.parametrize("active", [["pretrain-10"], ["pretrain-0"], ["pretrain-control"]])
def test_alone_it_still_makes_a_page(project, active):
    found = made(project, active)
    build(found.plan, found.root / "reports")
    page = (found.root / "reports/index.html").read_text()
    assert "How many epochs do weights from other images save" in page
    assert ("what pre-training saves cannot be said" in page) == (active != ["pretrain-0"])


@pytest.mark.parametrize("odd, sentence", [
    ({"reference_n": 16}, "reference_n is 15 and 16"),
    ({"classes": [5, 6]}, r"classes is \[0, 1, 2, 3, 4\] and \[5, 6\]")])
def test_two_scales_in_one_study_are_refused(project, odd, sentence):
    found = made(project, ["pretrain-0"], ["pretrain-20"])
    write(found.root / "reports/runs/digits/pretrain-20-0.json", read(found, "pretrain-20") | OWN | odd)
    with pytest.raises(KelvinError, match="pretrain-0-0 and pretrain-20-0 cannot stand in one table: "
                                          + sentence):
        collect(found.plan)
