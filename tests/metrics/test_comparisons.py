"""Paired comparisons against scipy, Holm's correction by its definition, and the words they give."""

import numpy as np
import pytest
from scipy import stats

from kelvin.common.errors import KelvinError
from kelvin.metrics.comparisons import compare, holm, noncentral_t_cdf
from kelvin.report.kit.words import verdict

rng = np.random.default_rng(0)
BASE = rng.normal(10, 1, 8)


def test_p_and_interval_are_those_of_the_paired_t_test():
    other = BASE + rng.normal(0.4, 1, 8)
    found = compare(BASE, {"other": other})["other"]
    expected = stats.ttest_rel(other, BASE)
    low, high = expected.confidence_interval(0.95)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-10)
    assert (found.difference, found.low, found.high) == pytest.approx(
        ((other - BASE).mean(), low, high), rel=1e-10)


def test_interval_of_the_effect_covers_the_true_one():
    """d_z = 0.8 in 400 simulated comparisons of 8 seeds: 95 % to within 3 standard errors (3.3 %)."""
    inside = 0
    for _ in range(400):
        noise = rng.normal(0.8, 1, 8)
        found = compare(BASE, {"a": BASE + noise})["a"]
        assert found.effect == pytest.approx(noise.mean() / noise.std(ddof=1))
        inside += found.effect_low <= 0.8 <= found.effect_high
    assert abs(inside / 400 - 0.95) < 0.033


@pytest.mark.parametrize("t, freedom, shift", [(0.5, 4, 0.0), (2.0, 4, 3.0), (-1.5, 7, 0.4),
                                               (3.0, 9, -0.5)])
def test_noncentral_t_is_scipys_where_that_is_finite(t, freedom, shift):
    assert noncentral_t_cdf(t, freedom, shift) == pytest.approx(stats.nct.cdf(t, freedom, shift),
                                                                abs=1e-5)


def test_holm_is_closed_testing_with_bonferroni():
    """By definition: a hypothesis is rejected when every set holding it is, each by Bonferroni."""
    from itertools import combinations

    p = rng.uniform(0, 0.2, 5)
    for i, corrected in enumerate(holm(p)):
        sets = [s for k in range(1, 6) for s in combinations(range(5), k) if i in s]
        assert corrected == pytest.approx(min(1, max(len(s) * min(p[list(s)]) for s in sets)))


def test_words_go_by_the_corrected_p_alone():
    small = rng.normal(0, 0.1, 8)
    found = compare(BASE, {"lower": BASE - 3 + small, "higher": BASE + 3 + small,
                           "same": BASE + small - small.mean()})
    assert [found[k].verdict for k in ("lower", "higher", "same")] == [
        "better", "worse", "no significant difference"]


def test_correction_can_take_a_verdict_back():
    d = np.array([-1.0, -0.2, -1.1, 0.1, -0.9, -0.6, 0.0, -0.5])
    alone = compare(BASE, {"a": BASE + d})["a"]
    many = compare(BASE, {"a": BASE + d} | {str(i): BASE + rng.normal(0, 1, 8) for i in range(30)})["a"]
    assert alone.verdict == "better" and many.verdict == "no significant difference"
    assert many.p > alone.p


def test_equal_values_have_no_effect_size():
    found = compare(BASE, {"twin": BASE, "shifted": BASE - 1})
    assert (found["twin"].p, found["twin"].effect, found["twin"].verdict) == (
        1.0, None, "no significant difference")
    shifted = found["shifted"]  # which no five independent trainings give
    assert (shifted.p, shifted.verdict) == (None, "not tested, since it is one number on every seed")
    assert verdict(shifted) == f"{shifted.verdict} (FMD difference −1.00)"
    noisy = BASE + rng.normal(3, 0.1, 8)
    assert compare(BASE, {"a": noisy, "shifted": BASE - 1})["a"] == compare(BASE, {"a": noisy})["a"]


def test_what_is_no_p_value_is_refused():
    with pytest.raises(KelvinError, match=r"should be in \[0, 1\]"):
        holm([0.01, np.nan, 0.02])


@pytest.mark.parametrize("values, message", [(BASE[:4], "at least 5"), (BASE[:6], "equal numbers"),
                                             ([np.nan] * 8, "finite")])
def test_refusals(values, message):
    with pytest.raises(KelvinError, match=message):
        compare(BASE, {"other": values})
