"""D1's sentences and tables follow the numbers."""

import numpy as np
import pytest
from helpers import studied

from kelvin.report.parts.tables_restoration import iterated
from kelvin.report.results import collect
from kelvin.report.studies.temperature import Variety, reason, spread, who_generates

RUNS = {"tied-noise": 3.0, "tied-noise-eps": 2.0, "tied-blur": 9.0, "tied-pixelate": 6.0,
        "tied-blur-noise": 4.0}


def variety(**changes):
    return Variety(**{"title": "a", "evenness": 0.95, "copier": False, "recall": 0.5,
                      "prior_recall": 0.1, "left": 0.01, "spread": 0.9, **changes})


@pytest.mark.parametrize("changes, shown", [
    ({"evenness": 0.89}, "evenness 0.890"), ({"copier": True}, "a copier"),
    ({"recall": 0.1}, "recall 0.100, not above the 0.100 of its x_T alone")])
def test_each_condition_can_fail(changes, shown):
    assert variety().lacking == [] and variety(**changes).lacking == [shown]


def test_who_generates_and_who_does_not():
    first, *rest = who_generates([variety(), variety(title="b", evenness=0.3, spread=0.01)], 1)
    assert "on this seed: “a” (1 of 2)." in first
    assert len(rest) == 1 and "Not varied: “b” (evenness 0.300)" in rest[0]
    assert "no run" in who_generates([variety(recall=0.0)], 1)[0]


def test_the_reason_is_the_spread_of_the_start():
    assert "nearly the same every time" in reason(variety(spread=0.05))
    assert "the starts do differ" in reason(variety(spread=0.5))
    as_little = reason(variety(spread=0.05), [variety(title="b", spread=0.04)])
    assert "“b” starts from 4.0 % and generates varied images" in as_little
    assert "not the whole reason" not in reason(variety(spread=0.05), [variety(spread=0.6)])
    assert "spread by 5.0 %" in reason(variety(spread=0.05))
    assert "1.0 % of the signal" in reason(variety())


def test_spread_is_over_images():
    flat = np.full((4, 1, 2, 2), 7, np.uint8)
    assert spread(flat) == 0
    assert spread(np.concatenate([0 * flat, flat + 248])) == pytest.approx(0.5)


@pytest.fixture
def found(project):
    made = project(RUNS)
    for run, fmd in RUNS.items():
        made.add(run, fmd=fmd)
    results = collect(made.plan)
    return results, studied(results)["temperature"]


def test_paragraph(found):
    results, study = found
    head, *rest = study.paragraphs()
    said = " ".join(rest)
    assert "Trained alike, predicting x0: 4 runs. Of 4 runs “Gaussian noise” has the lowest" in head
    assert "missing here: tied-flow" in study.paragraphs()[-1]
    # pixelate's 6.00 is lower, but it is clamped
    assert "hot 3.00 (“Gaussian noise”), warm 4.00 (“blur and noise”) and cold 9.00 (“blur”)" in said
    assert "Hot is the lowest" in said and "warm 1.33 times and cold 3.00 times" in said
    assert "“Gaussian noise, eps predicted” predicts eps and not x0" in said
    assert "“pixelate” from t = 50 of 100 (at T 0.10 is left where 0.050 was wanted)" in said
    assert "(5 of 5)" in said


def test_families(found):
    results, study = found
    assert [run.family for run in study.runs] == ["hot", "hot", "warm", "cold", "cold"]
    assert study.runs[2].schedule is None and study.runs[0].schedule.steps == 100
    assert study.runs[0].signal_variance[[0, -1]].tolist() == [1, pytest.approx(0.1)]


def test_a_table_of_generation_alone(found):
    results, study = found
    (drawn,) = study.tables()
    assert drawn.name == "temperature-generation"
    assert not {"ssim", "rmse", "fmd_restoration"} & set(drawn.rows[0])
    row = drawn.rows[0]
    assert (row["prior_fmd"], row["prior_recall"], row["recall"]) == (40.0, 0.1, 0.6)
    assert row["sample_ms"] == pytest.approx(25) and row["train_seconds"] == 1.5
    assert iterated(study.runs[2]) == "ancestral-50"


def test_a_copier_by_its_distances_wins_no_temperature(project):
    made = project(["tied-noise", "tied-blur", "tied-pixels"])
    for run, fmd, c_t in (("tied-noise", 3.0, 1.0), ("tied-blur", 1.0, -9.0), ("tied-pixels", 6.0, 1.0)):
        made.add(run, fmd=fmd, c_t_within=c_t)
    said = " ".join(studied(collect(made.plan))["temperature"].paragraphs())
    assert "hot 3.00 (“Gaussian noise”) and cold 6.00 (“random pixels lost”)" in said
    assert "Not varied: “blur” (a copier)" in said


def test_the_tests_of_shared_runs_are_printed_once(project):
    runs = ["tied-noise", "tied-blur"]
    made = project(runs, replicates=range(5))
    for i, run in enumerate(runs):
        for r in range(5):
            made.add(run, r, fmd=3.0 + i + 0.1 * r * (1 + i))
    said = {name: " ".join(study.paragraphs()) for name, study in studied(collect(made.plan)).items()}
    assert "Against “Gaussian noise” (paired t-tests" in said["temperature"]
    assert "paired t-tests" not in said["iterations"] + said["hot-and-cold"]
