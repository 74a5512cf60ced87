"""Who is ranked with whom, and the sampler declared on tuning seeds."""

import numpy as np
import pytest

from kelvin.common.errors import KelvinError
from kelvin.metrics.ranking import Entry, Tuned, declare, rank


@pytest.mark.parametrize("changes, word", [
    (dict(clamped_from=63), "clamped"), (dict(conditional=True), "class-conditional"),
    (dict(guided=True), "guided"), (dict(copier=True), "copier")])
def test_what_stands_apart_never_wins_in_silence(changes, word):
    found = rank([Entry("honest", "ddim", 2.0), Entry("odd", "naive", 1.0, **changes),
                  Entry("odd, and worse", "naive", 3.0, **changes), Entry("last", "ddim", 9.0)])
    assert [e.run for e in found.ranked] == ["honest", "last"] and found.best.run == "honest"
    assert [e.run for e in found.passed_over] == ["odd"] and found.passed_over[0].apart == (word,)
    assert [e.run for e in found.apart] == ["odd", "odd, and worse"]


def test_none_but_odd_ones():
    found = rank([Entry("a", "ddim", 1.0, clamped_from=0, guided=True)])
    assert found.best is None and found.passed_over[0].apart == ("clamped", "guided")
    assert rank([]).best is None
    with pytest.raises(KelvinError, match="a has none"):
        rank([Entry("a", "ddim", np.nan)])


def tuned(**scores):
    return [Tuned("blur", sampler, 20, seed, fmd) for sampler, values in scores.items()
            for seed, fmd in enumerate(values)]


def test_the_declared_sampler_is_lowest_on_tuning_seeds_and_judges_others():
    """By geometric means: 1 and 9 (3) beat 4 and 4, whose arithmetic mean is lower."""
    found = declare([*tuned(improved=[4, 4], naive=[1, 9]), Tuned("noise", "ddim", 20, 0, 1.0)])
    assert found.sampler("blur", 20) == "naive" and found.sampler("noise", 20) == "ddim"
    scores = {"naive": {0: 1.0, 1: 9.0, 2: 5.0, 3: 6.0}, "improved": {2: 0.1, 3: 0.1}}
    assert found.of("blur", 20, scores) == {2: 5.0, 3: 6.0}


def test_each_number_of_evaluations_has_its_own():
    other = [Tuned("blur", "improved", 5, 0, 1.0), Tuned("blur", "naive", 5, 0, 2.0)]
    found = declare([*tuned(improved=[4], naive=[3]), *other])
    assert (found.sampler("blur", 20), found.sampler("blur", 5)) == ("naive", "improved")


@pytest.mark.parametrize("records, message", [
    ([], "no record"), (tuned(naive=[1, 2], improved=[1]), "different seeds"),
    (tuned(naive=[1]) * 2, "given twice"), (tuned(naive=[0.0]), "positive FMD")])
def test_declaring_refuses(records, message):
    with pytest.raises(KelvinError, match=message):
        declare(records)


def test_an_undeclared_sampler_is_refused():
    found = declare(tuned(naive=[1]))
    with pytest.raises(KelvinError, match="no sampler of blur was declared at 50"):
        found.sampler("blur", 50)
    with pytest.raises(KelvinError, match="no samples by naive"):
        found.of("blur", 20, {"improved": {2: 1.0}})
