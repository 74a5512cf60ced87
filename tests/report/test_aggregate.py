"""One record per run: the values themselves for one seed, means and t intervals over several."""

import numpy as np
import pytest
from scipy import stats

from kelvin.common.files import read_json
from kelvin.report.aggregate import costs, metrics, over_seeds
from kelvin.report.parts.tables import generation_table, samplers_table
from kelvin.report.results import collect

FMD = [5.0, 5.5, 4.0]


def test_one_replicate_keeps_its_values(project):
    made = project(["ddpm-default"])
    made.add("ddpm-default", fmd=5.0)
    found = metrics(collect(made.plan))["ddpm-default"]
    record = read_json(made.root / "reports/runs/digits/ddpm-default-0.json")
    assert found["interval"] == "over images" and found["replicates"] == 1
    assert found["restoration"] == record["restoration"]
    for key in ("fmd", "fmd_low", "fmd_high", "ssim", "fid", "fid_why", "n", "nfe", "copier"):
        assert found[key] == record[key]
    assert set(found["samplers"]["raw"]) == {"fmd", "fmd_normalised", "nfe", "precision", "recall",
                                             "class_evenness", "nearest_ratio"}
    assert found["prior"]["recall"] == 0.1 and "nfe" not in found["prior"]


def test_replicates_are_aggregated(project):
    made = project(["ddpm-default"], replicates=(0, 1, 2))
    for r, fmd in enumerate(FMD):
        made.add("ddpm-default", r, fmd, copier=r == 2)
    results = collect(made.plan)
    found = metrics(results)["ddpm-default"]
    low, high = stats.t.interval(0.95, 2, np.mean(FMD), stats.sem(FMD))
    assert found["fmd"] == pytest.approx(np.mean(FMD))
    assert found["fmd_sd"] == pytest.approx(np.std(FMD, ddof=1))
    assert (found["fmd_low"], found["fmd_high"]) == pytest.approx((low, high))
    assert found["fmd_normalised_low"] == pytest.approx((low - 1) / 49)
    assert found["interval"] == "over training seeds" and found["replicates"] == 3
    assert found["copier"] is True  # one copying seed is enough
    assert found["n"] == 20 and "n_sd" not in found and found["fmd_debiased"] is None
    assert found["samplers"]["raw"]["fmd"] == pytest.approx(np.mean(FMD) + 1)
    assert not any("seconds" in key for key in found)
    assert costs(results)["ddpm-default"]["train_seconds"] == 1.5


@pytest.mark.parametrize("null", [0, 1])
def test_a_value_that_one_seed_lacks_is_null_with_that_seeds_reason(null):
    """The keys beside the value differ: its error, or why there is none."""
    whole = {"fmd": 2.0, "bits_per_dim": 3.0, "bits_per_dim_se": 0.1}
    other = {"fmd": 4.0, "bits_per_dim": None, "bits_why": "too large"}
    found = over_seeds([other, whole] if null == 0 else [whole, other], 0.95)
    assert found["bits_per_dim"] is None and found["bits_why"] == "too large"
    assert found["bits_per_dim_se"] is None and found["fmd"] == 3.0


def test_a_copier_is_never_the_best(project):
    made = project(["ddpm-default", "ddpm-long", "ddpm-short"])
    made.add("ddpm-default", fmd=5.0)
    made.add("ddpm-long", fmd=2.0, copier=True, copy_fraction=0.4)
    made.add("ddpm-short", fmd=3.0)
    results = collect(made.plan)
    assert results.best("hot").name == "ddpm-short" and results.best("cold") is None
    table = generation_table(results, metrics(results))
    bold = [row["run"] for row, cells in zip(table.rows, table.cells(), strict=True) if cells[4][1]]
    assert bold == ["ddpm-short"]
    assert [c.title for c in table.columns][4] == "FMD"


def test_samplers_tell_ema_from_raw(project):
    made = project(["blur-strong"])
    made.add("blur-strong")
    rows = samplers_table(collect(made.plan)).rows
    assert [(r["sampler"], r["weights"]) for r in rows] == [
        ("improved", "EMA"), ("naive", "EMA"), ("direct", "EMA"), ("improved", "raw")]


@pytest.mark.parametrize(("normalised", "below"), [([-0.1, 0.3], False), ([-0.3, 0.1], True)])
def test_below_the_floor_is_of_the_mean_over_seeds(normalised, below):
    """Not of any seed: each is below it now and then."""
    records = [{"fmd_normalised": value, "below_floor": value < 0} for value in normalised]
    assert over_seeds(records, 0.95)["below_floor"] is below
