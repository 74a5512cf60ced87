"""What networks predict: whether the order of degradations is the target's, and which target is best."""

import numpy as np
import pytest
from grids import COLD, HOT, Z

from kelvin.metrics.verdict import NONE
from kelvin.report.parts import targets

PREDICTED = ["x0", "residual", "linear+"]
TARGETS = {"restorer.parameterisation": PREDICTED, "training.epochs": [70]}
FMD = {HOT: (4.0, 4.0, 8.0), COLD: (3.2, 3.2, 16.0)}  # by target; of one budget, so without a verdict


@pytest.fixture
def study(grid):
    made = grid(TARGETS, {(run, target, 70): {"fmd": fmd, "updates": 1120} for run, values in FMD.items()
                          for target, fmd in zip(PREDICTED, values, strict=True)})
    for arm in made.arms:  # what seeds add depends on the target
        for seed, record in enumerate(arm.run.records if arm.target != "x0" else ()):
            for scores in record["samplers"].values():
                if "fmd_median" in scores:
                    scores["fmd_median"] *= np.exp(0.01 * Z[4 - seed])
    return made


def test_each_degradation_is_held_against_noise_under_its_own_target(study):
    assert {e.verdict.outcome for e in study.page.effects} == {NONE}
    first = study.findings()[0]
    assert first.startswith("No degradation is shown to be better or worse than “Gaussian noise”")
    assert "no verdict: by each one's declared sampler with 50 evaluations the FMD of networks" in first
    for target, ratio in (("x0", "0.80"), ("residual", "0.80"), ("linear+", "2.00")):
        (own,) = [s for s in first.split("; ") if f" for “blur” where they predict {target}" in s]
        assert f"{ratio} [" in own
    assert first.endswith("It does not stay on one side for “blur”.")


def test_a_side_that_all_targets_share_is_named(grid):
    first = grid(TARGETS, {(run, target, 70): {"fmd": fmd, "updates": 1120} for run, fmd in
                           ((HOT, 4.0), (COLD, 3.2)) for target in PREDICTED}).findings()[0]
    assert first.endswith("Under every target the interval lies below 1 of “blur”.")


def test_a_target_is_held_against_the_first_seed_by_seed(study):
    """The t interval of five differences of log FMD, by hand."""
    table = {t.name: t for t in study.tables() if t}["hot-and-cold-targets"]
    row = next(r for r in table.rows if (r["title"], r["target"]) == ("blur", "linear+"))
    differences = np.log(16 / 3.2) + 0.01 * np.asarray(Z[4::-1])
    reach = 2.776445 * differences.std(ddof=1) / 5**0.5
    assert (row["ratio"], row["ratio_low"], row["ratio_high"]) == pytest.approx(
        tuple(np.exp(differences.mean() + d) for d in (0, -reach, reach)), rel=1e-6)
    assert (row["sampler"], row["nfe"]) == ("Algorithm 2", 50)
    assert [r["ratio"] for r in table.rows if r["target"] == "x0"] == [None, None]
    said = next(s for s in study.findings() if s.startswith("What is predicted"))
    assert "with residual in place of x0 FMD is not told apart for “Gaussian noise” (1.00 [" in said
    assert "with linear+ in place of x0 FMD is higher for “Gaussian noise” (2.00 [" in said
    assert "and “blur” (5.00 [" in said


def test_one_target_has_no_row_and_no_sentence(study):
    own = [arm for arm in study.arms if arm.target == "x0"]
    assert targets.rows(own) == [] and targets.gains(own) == ""


def test_a_process_is_drawn_once_whatever_is_predicted(study):
    assert [arm.title for arm in study.processes] == ["Gaussian noise", "blur"]
