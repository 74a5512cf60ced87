"""The verdict rule on a page: contrasts within one sampler, gates, tyings, sentences."""

import numpy as np
import pytest
from grids import COLD, EPOCHS, HOT, Z, budgets, study_of

from kelvin.metrics.gates import BUDGET, RESTORATION
from kelvin.metrics.verdict import HIGHER, LOWER, NONE, welch
from kelvin.report.parts.contrasts import DECLARED, DISAGREE


def test_blur_wins_within_every_sampler_and_by_the_declared(grid):
    study = grid(EPOCHS, budgets(0.8))
    effects = study.page.effects
    assert [e.place for e in effects] == [
        ("naive", 20), ("naive", 50), ("improved", 20), ("improved", 50), (DECLARED, 20), (DECLARED, 50)]
    assert {e.verdict.outcome for e in effects} == {LOWER} and effects[0].verdict.family == 6
    assert [e.kinds for e in effects[4:]] == [("improved", "improved")] * 2
    assert all(arm.updates == 2240 for arm in study.page.sides.values())
    first, second, third, *_ = study.findings()
    assert first.startswith("“blur” has a lower FMD than “Gaussian noise” in 6 of 6 contrasts (by each "
                            "one's declared sampler with 50 evaluations 20 % lower, 95 % interval 1")
    assert "Tested on 5 training seeds after 2,240 updates" in second and "as one family" in second
    assert "nothing is said of another tying" in second
    assert "FMD against the validation images, on these very seeds, chose the declared samplers" in second
    assert third == "Every contrast of this page is decided."
    assert "Every run passes the four gates." in study.findings()
    # 1,120 updates had 1.02 times the FMD of 2,240 on both sides
    assert study.findings()[3].startswith("With training, by each one's declared sampler, the FMD of "
                                          "“blur” over that of “Gaussian noise” is 0.80 [0.")
    assert study.findings()[4].startswith(
        "By each one's declared sampler with 50 evaluations an image, over 5 training seeds each, “blur” "
        "is better than “Gaussian noise”")


def test_the_declared_sampler_is_another_records(grid):
    """Not that of lowest FMD here: Algorithm 1 has 1.5 times the FMD, and was declared of noise."""
    study = grid(EPOCHS, budgets(0.8), samplers={HOT: ["naive-50"], COLD: ["improved-50", "naive-20"]})
    # 20 evaluations were declared of one side alone
    declared, = (e for e in study.page.effects if e.place[0] == DECLARED)
    assert declared.place == (DECLARED, 50) and declared.kinds == ("naive", "improved")
    assert declared.ratio == pytest.approx(0.8 / 1.5)
    tested = study.findings()[1]
    assert ("The record tuner declared each one's sampler, by trainings of its own data set, "
            "length and seeds; it need not be the best here.") in tested
    assert "these very seeds" not in tested


def test_a_record_may_have_declared_the_samplers_of_some(grid):
    tested = grid(EPOCHS, budgets(0.8), samplers={HOT: ["naive-50"]}).findings()[1]
    assert "The record tuner declared the samplers of those that it has, by trainings" in tested
    assert "on these very seeds, chose the samplers declared for the others." in tested


def test_a_contrast_is_of_the_median_over_classifiers_and_is_welchs(grid):
    study = grid(EPOCHS, budgets(0.9))
    e = study.page.effects[0]
    base, candidate = (np.log([fmd * 1.5 * np.exp(0.02 * z) for z in Z[:5]]) for fmd in (5.0, 4.5))
    expected = welch(base, candidate)
    assert e.ratio == pytest.approx(0.9, rel=1e-12)
    assert e.interval == pytest.approx(tuple(np.exp(expected.interval())), rel=1e-9)
    row = study.tables()[0].rows[0]
    assert (row["sampler"], row["nfe"], row["outcome"]) == ("Algorithm 1", 20, LOWER)
    assert row["ratio"] == e.ratio and row["detectable"] == pytest.approx(
        np.expm1(expected.detectable(0.05 / 6)))


def test_fewer_seeds_than_the_gate_asks_give_numbers_and_no_verdict(grid):
    study = grid(EPOCHS, {key: value | {"updates": value["updates"] // 2}
                          for key, value in budgets(0.8).items()})
    assert {e.verdict.outcome for e in study.page.effects} == {NONE}
    first, _, third, _, gates, *_ = study.findings()
    assert first.startswith("No degradation is shown to be better or worse than “Gaussian noise”, or as "
                            "good. The numbers after 1,120 updates on 5 training seeds, which are no")
    assert "the FMD of “blur” is 20 % lower, 95 % interval" in first
    assert "“Gaussian noise” and “blur” miss the seeds gate (5 fresh training seeds at 1,120" in gates
    assert third == "Not decided: all 6 contrasts (6 without a verdict, by a missed gate)."
    row = study.tables()[0].rows[0]
    assert row["ratio"] == pytest.approx(0.8) and row["ratio_low"] < 0.8 and row["detectable"] > 0


def test_one_budget_is_no_gate_passed_and_one_seed_has_no_interval(grid):
    study = grid({"training.epochs": [140]}, {key: value for key, value in budgets(0.8).items()
                                              if key[1] == 140}, seeds=[0])
    candidate = study.page.effects[0].verdict.contrast.candidate
    gates = {gate.name: gate for gate in study.page.gates[candidate]}
    assert not gates[BUDGET].passed and "no budget of half of them" in gates[BUDGET].sentence
    assert study.page.effects[0].interval is None and study.page.effects[0].ratio == pytest.approx(0.8)


def test_a_budget_that_still_moves_fmd_is_missed(grid):
    study = grid(EPOCHS, budgets(0.8, short=1.2))
    assert {e.verdict.outcome for e in study.page.effects} == {NONE}
    assert "miss the budget gate (Doubling the updates from 1,120 to 2,240 multiplies FMD by 0.83" in \
        " ".join(study.findings())
    row = study.tables()[1].rows[0]
    assert row[BUDGET] == "missed" and row[f"{BUDGET}_numbers"] == "FMD × 0.83 a doubling"


def test_losing_to_least_squares_at_the_largest_budget_makes_verdicts_conditional(grid):
    options = budgets(0.8)
    for epochs in (70, 140):
        options[COLD, epochs]["one_shot"] = 0.15
    study = grid(EPOCHS, options)
    assert {e.verdict.outcome for e in study.page.effects} == {LOWER}
    said = study.findings()
    assert "What is said holds of the networks as trained, since no budget in reach passes the gate of " \
           "restoration (“blur”: Least squares restores better at t = 25, 50" in said[1]
    assert study.tables()[1].rows[1][RESTORATION] == "conditional"


def test_losing_to_least_squares_on_one_budget_is_a_miss(grid):
    """A larger budget may pass, so that nothing is said on condition."""
    options = {key: value | {"one_shot": 0.15} for key, value in budgets(0.8).items() if key[1] == 140}
    rows = grid({"training.epochs": [140]}, options).tables()[1].rows
    assert [(row[RESTORATION], row[f"{RESTORATION}_numbers"]) for row in rows] == [
        ("missed", "1.50 times at t = 25")] * 2


def test_a_clamped_run_gets_no_verdict(grid):
    options = budgets(0.8)
    options[COLD, 140]["clamped_from"] = 63
    study = grid(EPOCHS, options)
    assert {e.verdict.outcome for e in study.page.effects} == {NONE}
    assert "severity gate (The degradation is clamped from t = 63" in " ".join(study.findings())


TARGETS = {"restorer.parameterisation": ["x0", "residual"], "training.epochs": [70, 140]}


def test_targets_are_contrasted_each_by_itself(grid):
    """Blur is better where x0 is predicted and worse where the residual is: two sides, not a choice."""
    options = {(run, target, epochs): given for (run, epochs), given in budgets(0.8).items()
               for target in TARGETS["restorer.parameterisation"]}
    for run, fmd in ((HOT, 4.0), (COLD, 4.4)):
        for epochs in (70, 140):
            options[run, "residual", epochs] = {"fmd": fmd * (1.02 if epochs == 70 else 1),
                                                "updates": 16 * epochs}
    study = grid(TARGETS, options)
    assert {(e.candidate, e.verdict.outcome) for e in study.page.effects} == {
        (f"{COLD}/x0", LOWER), (f"{COLD}/residual", HIGHER)}
    assert {round(e.ratio, 6) for e in study.page.effects} == {0.8, 1.1}
    assert not any(arm.is_tuned for arm in study.arms) and len(study.largest) == 4
    first, second, *_ = study.findings()
    assert "“blur, target x0” has a lower FMD than “Gaussian noise, target x0”" in first
    assert "“blur, target residual” has a higher FMD than “Gaussian noise, target residual”" in first
    assert "what was tuned" not in second


def test_the_spread_over_classifiers_is_beside_the_ratio(grid):
    """By the second of three classifiers noise has 1.1 times the FMD, of blur 0.9 times."""
    options = budgets(0.8)
    study = grid(EPOCHS, options)
    assert study.tables()[0].rows[0]["classifiers_low"] is None
    for arm in study.arms:
        second = {HOT: 1.1, COLD: 0.9}[arm.degradation]
        for record in arm.run.records:
            for scores in record["samplers"].values():
                if "fmd_median" in scores:
                    scores["fmd_by_classifier"] = [scores["fmd_median"] * f for f in (1, second, 1)]
    del study.page  # what was contrasted before
    row = study.tables()[0].rows[0]
    assert row["classifiers_low"] == pytest.approx(0.8 * 0.9 / 1.1)
    assert row["classifiers_high"] == pytest.approx(0.8)


TIES = {"schedule.tie": ["variance", "recoverability"], "training.epochs": [70, 140]}


@pytest.mark.parametrize("other, outcome", [(0.85, LOWER), (1.2, DISAGREE)])
def test_a_conclusion_needs_both_tyings(grid, other, outcome):
    options = {(run, tie, epochs): given for (run, epochs), given in budgets(0.8).items()
               for tie in TIES["schedule.tie"]}
    for epochs in (70, 140):
        fmd = budgets(other)[COLD, epochs]["fmd"]
        options[COLD, "recoverability", epochs] = {"fmd": fmd, "updates": 16 * epochs}
    study = grid(TIES, options)
    assert study.page.ties == ["variance", "recoverability"] and len(study.page.effects) == 12
    assert set(study.page.conclusions().values()) == {outcome}
    first, second, third, *_ = study.findings()
    if outcome == LOWER:
        assert "20 % lower, 95 % interval" in first and "lower, where tied by the variance left" in first
        assert "and 15 % lower" in first and "lower, where tied by recoverability" in first
    else:
        assert first.startswith("No degradation is shown to be better or worse")
        assert "6 not alike under both tyings" in third
        assert {e.verdict.outcome for e in study.page.effects} == {LOWER, HIGHER}


def test_records_of_before_are_no_contrast(project):
    """Without every measure of every sampler there is nothing to contrast, and the page says so."""
    made = project([HOT, COLD])
    for run in (HOT, COLD):
        made.add(run)
    study = study_of(made)
    assert not study.page.effects
    assert "There is nothing to contrast: no sampler was scored by all measures" in study.findings()[0]
    assert study.tables()[0] is None and study.page_figures()


def test_without_the_baseline(project):
    made = project([COLD])
    made.add(COLD)
    assert "is not active" in study_of(made).findings()[0]
