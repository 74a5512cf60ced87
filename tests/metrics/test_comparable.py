"""Records that differ in what makes their numbers comparable are refused, by name."""

import pytest

from kelvin.common.errors import KelvinError
from kelvin.metrics.comparable import refuse_mixed

ONE = {"run": "ddpm", "n": 270, "dataset": "digits", "reference": "train", "reference_n": 1257,
       "extractor": "ab12", "fmd": 1.0}


@pytest.mark.parametrize(("key", "other"), [("n", 32), ("dataset", "mnist"), ("reference", "test"),
                                            ("reference_n", 512), ("extractor", "ff00")])
def test_one_difference_is_enough(key, other):
    records = [ONE, {**ONE, "run": "blur"}, {**ONE, "run": "odd", key: other}]
    with pytest.raises(KelvinError) as caught:
        refuse_mixed(records)
    assert str(caught.value) == ("runs ddpm and odd cannot stand in one table: "
                                 f"{key} is {ONE[key]} and {other}; evaluate both by one protocol")


def test_statistics_of_any_extractor_are_of_one_kind():
    """An extractor that one of both lacks is no matter, and neither is a record that names none."""
    one = {**ONE, "extractors": {"inception": "ab", "random": "cd"}}
    refuse_mixed([one, {**ONE, "run": "b", "extractors": {"inception": "ab"}}, ONE])
    odd = {**ONE, "run": "odd", "extractors": {"inception": "ee", "random": "cd"}}
    with pytest.raises(KelvinError, match="ddpm and odd .* the extractor inception are not the same"):
        refuse_mixed([one, odd])


def test_all_differences_are_named():
    with pytest.raises(KelvinError, match="n is 270 and 32, extractor is ab12 and ff00"):
        refuse_mixed([ONE, {**ONE, "run": "odd", "n": 32, "extractor": "ff00"}])


def test_comparable_records_pass_whatever_else_they_hold():
    unnamed = {k: v for k, v in ONE.items() if k != "reference"}
    assert refuse_mixed([]) is None
    assert refuse_mixed(r for r in [ONE, {**ONE, "run": "blur", "fmd": None, "replicate": 3}]) is None
    assert refuse_mixed([unnamed, {**unnamed, "run": "blur"}]) is None


@pytest.mark.parametrize("key", ["n", "dataset", "reference_n", "extractor"])
@pytest.mark.parametrize("place", [0, 1])
def test_a_record_that_does_not_say_is_refused(key, place):
    records = [dict(ONE), {**ONE, "run": "blur"}]
    records[place][key] = None
    with pytest.raises(KelvinError, match=f"run {records[place]['run']} .* its record lacks {key}"):
        refuse_mixed(records)


def test_precisions_are_not_mixed_and_images_from_elsewhere_have_none():
    fp32, bf16 = ({**ONE, "run": name, "training_precision": name} for name in ("fp32", "bf16"))
    refuse_mixed([ONE, fp32, {**ONE, "run": "folder"}, fp32])
    with pytest.raises(KelvinError, match="fp32 and bf16 cannot stand in one table: they were trained "
                                          "in fp32 and bf16; set one training.precision for both"):
        refuse_mixed([ONE, fp32, {**ONE, "run": "folder"}, bf16])
