"""The verdict rule: its tests by scipy, its outcomes on made-up pages, its error rates by simulation."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT
from scipy import stats

from kelvin.common.errors import KelvinError
from kelvin.common.files import read_json
from kelvin.metrics import operating
from kelvin.metrics.gates import BUDGET, GATES, RESTORATION, Gate
from kelvin.metrics.verdict import (
    DEPENDS,
    HIGHER,
    LOWER,
    MARGIN,
    NONE,
    OPEN,
    SAME,
    Contrast,
    TTest,
    found_with,
    paired,
    verdicts,
    welch,
)

PASSED = tuple(Gate(name, True, "") for name in GATES)
Z = np.array([-1.2, -0.5, 0.1, 0.4, 1.2])  # spread over five seeds


def contrast(ratio=1.0, pixels=None, other=None, sd=0.02, key="fd_random", name="cold", **changes):
    """Candidate over baseline by these ratios; deterministic seeds."""
    def pair(r):
        return 5 * np.exp(sd * Z), 5 * r * np.exp(sd * Z[::-1])

    measures = {"fmd": pair(ratio), "fd_pixels": pair(pixels or ratio), key: pair(other or ratio)}
    return Contrast("hot", name, "ddim", 20, measures, {"hot": PASSED, name: PASSED}, **changes)


def one(*args, **kwargs):
    return verdicts([contrast(*args, **kwargs)])[0]


@pytest.mark.parametrize("n, m, ratio", [(5, 5, 1.0), (5, 10, 4.0), (10, 6, 0.2)])
def test_welch_and_paired_are_scipys(n, m, ratio):
    rng = np.random.default_rng(n)
    a, b = rng.normal(0, 1, n), rng.normal(0.5, ratio, m)
    expected = stats.ttest_ind(b, a, equal_var=False)
    found = welch(a, b)
    assert (found.p, found.freedom) == pytest.approx((expected.pvalue, expected.df), rel=1e-10)
    assert found.interval() == pytest.approx(tuple(expected.confidence_interval(0.95)), rel=1e-10)
    expected = stats.ttest_rel(b[:5], a[:5])
    assert paired(a[:5], b[:5]).p == pytest.approx(expected.pvalue, rel=1e-10)


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.2])
def test_equivalence_is_two_one_sided_tests(shift):
    """Each side tested on its own by scipy, the larger p taken."""
    rng = np.random.default_rng(3)
    a, b = rng.normal(0, 0.1, 7), rng.normal(shift, 0.04, 6)
    below = stats.ttest_ind(b - MARGIN, a, equal_var=False, alternative="less").pvalue
    above = stats.ttest_ind(b + MARGIN, a, equal_var=False, alternative="greater").pvalue
    assert welch(a, b).p_outside(MARGIN) == pytest.approx(max(below, above), rel=1e-9)


@pytest.mark.parametrize("n, level", [(5, 0.05), (5, 0.05 / 6), (10, 0.05)])
def test_the_detectable_effect_is_found_four_times_in_five(n, level):
    """20,000 drawn t statistics of scipy: power 0.8 within 0.012 (4 standard errors)."""
    test = TTest(0.0, 0.3, 2 * (n - 1))
    effect = test.detectable(level)
    rng = np.random.default_rng(4)
    a, b = (rng.normal(mean, 0.3 * (n / 2) ** 0.5, (20000, n)) for mean in (0, effect))
    assert np.mean(stats.ttest_ind(b, a, axis=1).pvalue < level) == pytest.approx(0.8, abs=0.012)
    assert found_with(effect / 0.3, test.freedom, level) == pytest.approx(0.8, abs=1e-9)
    assert found_with(0, test.freedom, level) == pytest.approx(level, rel=1e-3)


@pytest.mark.parametrize("given, outcome", [
    (dict(ratio=0.8), LOWER), (dict(ratio=1.25), HIGHER), (dict(ratio=1.0), SAME),
    (dict(ratio=1.25, pixels=0.9), DEPENDS), (dict(ratio=0.8, other=1.01), DEPENDS),
    (dict(ratio=1.0, pixels=0.5), DEPENDS), (dict(ratio=1.3, sd=0.5), OPEN),
    (dict(ratio=1.0, sd=0.5), OPEN),
    (dict(ratio=1.05, sd=0.02), HIGHER)])
def test_outcomes(given, outcome):
    """The last: a difference that is found is told even where it is within 10 %."""
    verdict = one(**given)
    assert verdict.outcome == outcome
    assert verdict.ratio == pytest.approx(given["ratio"], rel=1e-9)
    assert verdict.interval[0] < verdict.ratio < verdict.interval[1]
    assert verdict.seeds == (5, 5) and verdict.detectable > 0


@pytest.mark.parametrize("shift, outcome", [(-0.1, LOWER), (0.1, DEPENDS)])
def test_kid_may_be_negative_and_votes_by_its_difference(shift, outcome):
    given = contrast(0.8, key="kid")
    kid = (0.01 * Z, 0.01 * Z[::-1] + shift)
    assert verdicts([replace(given, measures=given.measures | {"kid": kid})])[0].outcome == outcome


def test_one_family_takes_a_verdict_back():
    """p = .03 alone, and among twenty that are equal; the detectable effect grows with the family."""
    weak = contrast(1.12, sd=0.065)
    alone = verdicts([weak])[0]
    page = verdicts([weak, *(contrast(1.0, sd=0.3, name=str(i)) for i in range(20))])
    assert alone.outcome == HIGHER and 0.01 < alone.p < 0.05
    assert page[0].outcome == OPEN and page[0].p == pytest.approx(min(1, 21 * alone.p))
    assert page[0].detectable > alone.detectable and page[0].family == 21


def test_a_missed_gate_gives_no_verdict_and_does_not_count_in_the_family():
    gate = Gate(BUDGET, False, "Doubling moves too much.")
    bad = contrast(0.5, name="blur")
    bad = replace(bad, gates={"hot": PASSED, "blur": (gate, *(g for g in PASSED if g.name != BUDGET))})
    good, none = verdicts([contrast(0.8), bad])
    assert (good.outcome, good.family, none.outcome) == (LOWER, 1, NONE)
    assert none.reasons == ("“blur” misses the budget gate: Doubling moves too much.",)
    assert none.test is none.ratio is none.interval is none.detectable is None


def test_a_conditional_gate_keeps_its_condition():
    gate = Gate(RESTORATION, False, "Least squares restores better at t = 5.", conditional=True)
    given = replace(contrast(0.8), gates={"hot": PASSED, "cold": (gate, *PASSED[1:])})
    found = verdicts([given])[0]
    assert found.outcome == LOWER and found.conditions == {"cold": gate.sentence}


def test_fewer_than_five_seeds_give_no_verdict():
    given = contrast(0.8)
    few = {key: (a[:4], b) for key, (a, b) in given.measures.items()}
    found = verdicts([replace(given, measures=few)])[0]
    assert found.outcome == NONE and "“hot” has 4 training seeds; 5 are needed." in found.reasons


def test_the_paired_test_is_for_the_same_trainings_alone():
    """Strongly correlated sides: Welch finds nothing, differences of the same trainings do."""
    seeds = np.exp(Z)
    other = 1.2 * seeds * np.exp(0.01 * Z[[2, 0, 4, 1, 3]])
    measures = {key: (seeds, other) for key in operating.MEASURES}
    given = replace(contrast(), measures=measures)
    assert verdicts([given])[0].outcome == OPEN
    assert verdicts([replace(given, same_trainings=True)])[0].outcome == HIGHER


@pytest.mark.parametrize("changes, message", [
    (dict(measures={"fmd": (Z + 5, Z + 5)}), "needs fd_pixels and fd_random or kid too"),
    (dict(colour=True), "needs fid too"),
    (dict(gates={"hot": PASSED, "cold": PASSED[:2]}), "on cold needs its gates first: severity, seeds"),
    (dict(measures=contrast().measures | {"fd_pixels": (Z, Z + 5)}), "finite fd_pixels above 0"),
    (dict(measures=contrast().measures | {"kid": (Z[:4], Z)}), "needs kid of the seeds"),
    (dict(measures=contrast().measures | {"fmd": (Z * 0 + 1, Z * 0 + 1)}), "not independent trainings")])
def test_refusals(changes, message):
    with pytest.raises(KelvinError, match=message):
        verdicts([replace(contrast(), **changes)])


def test_an_empty_page_has_no_verdicts():
    assert verdicts([]) == []


def test_the_simulated_spreads_are_those_of_the_record():
    record = read_json(ROOT / "reports" / "reference" / "digits-hot-cold" / "verdict" / "metrics.json")
    rows = {f"{name.partition('_')[0]} after {row['updates']:,} updates": row
            for name, row in record.items()}
    for name, spread in operating.SPREADS.items():
        shares = [rows[name][f"{key}_sd"] / rows[name][key]
                  for key in ("fmd_median", "fd_pixels", "fd_random")]
        assert spread == pytest.approx(shares, abs=6e-4), name
    most = f" after {max(row['updates'] for row in record.values()):,} updates"
    assert [name.removesuffix(most) for name in operating.PAGE] == [
        "tied-noise", "tied-blur-noise", "tied-blur"]


@pytest.mark.parametrize("seeds", [5, 10])
def test_equal_degradations_are_told_apart_on_at_most_one_page_in_twenty(seeds):
    """2,000 pages of the record's unequal spreads. And the rule is not mute: at least 2 % of pages."""
    assert 0.02 < operating.false_positives(seeds) <= 0.05


def test_without_holms_correction_a_page_would_be_wrong_more_often():
    """Pages of five equal contrasts exceed 5 % twice over: the simulation can fail."""
    rng = np.random.default_rng(0)
    spreads = [operating.SPREADS[operating.PAGE[1]]] * 6
    wrong = 0
    for _ in range(500):
        draws = [operating.normal_draws(rng, 5, sd) for sd in spreads]
        wrong += any(welch(draws[0][:, 0], b[:, 0]).p < 0.05 for b in draws[1:])
    assert wrong / 500 > 0.1


def test_a_difference_of_ten_percent_is_rarely_called_none():
    assert 0 < operating.false_equalities(5) <= 0.05


@pytest.mark.parametrize("name, seeds", [
    ("tied-noise after 224 updates", 5), ("tied-blur after 224 updates", 10), (operating.PAGE[1], 5)])
def test_simulated_power_is_the_closed_form_less_what_the_other_measures_take(name, seeds):
    """Simulated with signs that always agree (no spread in the others) it is at least the strictest
    step's closed form, and at most the first test's at 5 %: 600 contrasts, 4 standard errors."""
    sd = operating.SPREADS[name][0]
    found = operating.shares(seeds, [np.log(1.2)] * 2, [(sd, 0.01, 0.01)] * 3, 200)[HIGHER]
    slack = 4 * (0.25 / 200) ** 0.5 * 2 * (found * (1 - found)) ** 0.5
    least = operating.alone(seeds, sd)
    most = operating.alone(seeds, sd, family=1)
    assert least - slack <= found <= most + slack + 1e-3
