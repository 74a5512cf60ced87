"""D3: counts of runs, and the sentence that they add up to."""

import pytest
from helpers import studied

from kelvin.report.results import collect
from kelvin.report.studies.iterations import Pair, counted


def pair(title, ssim=(0.8, 0.7), rmse=(0.1, 0.2), fmd=(9.0, 3.0), **more):
    return Pair(title, ssim, rmse, fmd, **{"steps": 50, **more})


@pytest.mark.parametrize("changes, words", [
    ({}, "buy distribution and pay with distortion"),
    ({"rmse": (0.2, 0.1)}, "mostly not away from their own truth"),
    ({"fmd": (3.0, 9.0)}, "neither lower the FMD of restored images nor keep their distortion"),
    ({"fmd": (3.0, 9.0), "rmse": (0.2, 0.1)}, "mostly do not bring restored images nearer")])
def test_the_answer_follows_the_counts(changes, words):
    said = counted([pair("a", **changes), pair("b", **changes)], 1)[0]
    assert said.startswith("The other 49 steps") and words in said and "on this seed" in said


def test_counts_and_exceptions():
    pairs = [pair("a"), pair("b"), pair("c", ssim=(0.5, 0.6), fmd=(3.0, 4.0), steps=20)]
    answer, near, distortion = counted(pairs, 3)
    assert answer.startswith("The steps after the first") and "on these 3 seeds" in answer
    assert "in 2 of 3 runs" in near and "Not in “c”." in near
    assert "higher SSIM in 2 of 3 runs and the lower RMSE in 3 of 3 runs" in distortion


def test_generation_is_counted_apart():
    pairs = [pair("a", sample_fmd=(9.0, 2.0), evenness=(0.5, 0.9)), pair("b", sample_fmd=(1.0, 2.0),
                                                                evenness=(0.9, 0.8)), pair("c")]
    assert "in 1 of 2 runs, and the more even classes in 1 of 2 runs" in counted(pairs, 1)[-1]


def test_of_records(project):
    made = project(["tied-noise", "tied-blur"])
    ways = {"untouched": 30.0, "one-shot": 9.0, "linear": 12.0}
    for run, sampler in (("tied-noise", "ddim-50"), ("tied-blur", "improved-50")):
        made.add(run, restoration={m: {"ssim": 0.9 - fmd / 100, "psnr": 1.0, "rmse": fmd / 100,
                                       "fmd": fmd, "fmd_normalised": fmd / 50}
                                   for m, fmd in {**ways, sampler: 3.0}.items()})
    results = collect(made.plan)
    study = studied(results)["iterations"]
    said = " ".join(study.findings())
    assert "lower FMD (restoration) in 2 of 2 runs" in said and "higher SSIM in 0 of 2 runs" in said
    row = study.tables()[0].rows[0]
    assert row["restoration_fmd_difference"] == -6.0
    assert row["restoration_rmse_difference"] == pytest.approx(-0.06)
    assert row["generation_fmd_one"] == 9.0  # the fifth sampler, direct: 5 + 4
    assert row["generation_fmd_iterated"] == 5.0
