"""Documents say what is there: each measure has its words, and each link and test they name exists."""

import re

import numpy as np
import pytest
from conftest import ROOT

from kelvin.common.files import read_json
from kelvin.config.resolve import load
from kelvin.evaluation.protocol import DISTANCES, JUDGE
from kelvin.features.inception import RESIZES
from kelvin.metrics import gates, operating, verdict
from kelvin.metrics.measures import MEASURES
from kelvin.pipeline.release import (
    bias_table,
    calibration_table,
    numbers_table,
    write_between,
)

METRICS = ROOT / "docs" / "metrics.md"
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXT = METRICS.read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S))
# how values are measured and compared, not a measure of samples
ABOUT = {"Numbers", "One protocol", "Extractors", "Comparisons and Holm's correction", "Kendall's tau",
         "Acceptance", "Verdicts"}


def links(text):
    return re.findall(r"\]\(([^)\s]+)\)", text)


def anchors(text):
    """GitHub's names of headings: lower case, punctuation dropped, spaces to hyphens."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
            for heading in re.findall(r"^#+ (.+)$", text, re.M)}


def test_every_key_of_the_results_is_named():
    keys = {key for record in read_json(ROOT / "reports" / "metrics.json").values() for key in record}
    keys = {key.removesuffix("_sd") for key in keys}  # over training seeds
    keys |= {*MEASURES, *DISTANCES, JUDGE, *RESIZES}
    assert len(keys) > 50 and sorted(key for key in keys if f"`{key}`" not in TEXT) == []


@pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
def test_a_measure_has_its_section_which_names_its_key(measure):
    assert f"`{measure.key}`" in SECTIONS[measure.section]


def test_every_section_has_its_measure():
    assert SECTIONS.keys() - ABOUT == {measure.section for measure in MEASURES.values()}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    text = document.read_text(encoding="utf-8")
    for link in links(text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), f"{document.name}: {link}"
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{document.name}: {link}"


def test_every_section_of_a_measure_says_how_it_was_verified_by_a_test_that_exists():
    assert len(SECTIONS) > 20
    for heading, text in SECTIONS.items():
        if heading in ("Numbers", "One protocol", "Other keys", "Extractors"):
            continue
        named = {(METRICS.parent / link).resolve() for link in links(text) if "/test_" in link}
        assert named and all(path.is_file() for path in named), heading
    for name in re.findall(r"`(?:tests/\S*)?(test_\w+\.py)`|\[(test_\w+\.py)\]", TEXT):
        assert list((ROOT / "tests").rglob(max(name))), name


def test_error_rates_of_the_verdict_rule_are_those_simulated():
    """Exact: python -m kelvin.metrics.operating prints what stands between the marks."""
    text = (ROOT / "docs" / "verdict.md").read_text(encoding="utf-8")
    for mark, expected in (("errors", operating.errors()), ("power", operating.table())):
        assert re.search(rf"<!-- {mark} -->\n(.*?)\n<!-- /{mark} -->", text, re.S)[1] == expected


def test_constants_of_the_verdict_rule_are_those_of_the_code():
    text = " ".join((ROOT / "docs" / "verdict.md").read_text(encoding="utf-8").split())
    for sentence in (
            f"at most {gates.FACTOR} times that of linear least squares",
            f"moves log FMD by less than {100 * gates.MOVE:.0f} %",
            f"At least {gates.FRESH} fresh training seeds; at no more than {gates.SHORT:,} updates, "
            f"{gates.FRESH_SHORT}.",
            f"corrected by Holm's procedure at {100 * verdict.LEVEL:.0f} %",
            f"place FMD within {100 * np.expm1(verdict.MARGIN):.0f} %",
            f"found in {10 * verdict.POWER / 2:.0f} of 5 such experiments",
            f"an assumed correlation of {operating.SHARED}", "pages of two contrasts"):
        assert sentence in text, sentence
    assert len(operating.PAGE) == 3


@pytest.fixture(scope="module")
def calibration():
    return read_json(ROOT / "reports" / "runs" / "digits" / "calibration.json")


def test_the_numbers_of_the_core_are_those_of_its_calibration(calibration):
    """Exact: `kelvin publish` writes them."""
    written = re.search(r"<!-- numbers -->\n(.*?)\n<!-- /numbers -->", TEXT, re.S)[1]
    assert written == numbers_table(calibration, load(ROOT / "params.yaml").metrics)


def test_the_numbers_of_the_core_stand_in_their_table_alone(calibration):
    """Elsewhere they would be those of an older core one day. Sentences about them are true."""
    text = re.sub(r"<!-- (\w+) -->.*?<!-- /\1 -->", "", TEXT, flags=re.S)
    n, test, reference = (calibration[key] for key in ("n", "test_n", "reference_n"))
    numbers = {n, test, test - n, reference, calibration["bias"]["study_a"]["against"]}
    assert [k for k in numbers if re.search(rf"(?<![\d,.]){k}(?![\d]|[,.]\d)|\b{k:,}\b", text)] == []
    assert "`n` is half of the test images" in text and n == test // 2
    needed = 8 * calibration["extractors"]["classifier"]["dim"]
    assert "all test images suffice, the `n` samples of a run do not" in text and n < needed <= test
    fewer = {name for name, record in read_json(ROOT / "reports" / "metrics.json").items()
             if (record["n"], record["reference_n"]) != (n, reference)}
    line = re.search(r"(`pretrain-0`.*) are scored on some classes only", text)[1]
    assert fewer == set(re.findall(r"`(.+?)`", line))


def test_what_params_says_of_the_digits_is_what_was_prepared(calibration):
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    for comment in (f"four: {calibration['test_n']}, {100 * calibration['test_n'] / 1797:.0f} %",
                    f"the reference has {calibration['reference_n']:,} images",
                    f"{100 * calibration['classifier_accuracy']:.0f} % of the test set",
                    f"half of the test set ({calibration['n']})",
                    f"on a test set of {calibration['test_n']}\n"):
        assert comment in text, comment


def test_numbers_by_hand():
    """10 samples, 21 test images, 11 of them the rest; 4 features, 5 classes. Coverage: Naeem et al.'s
    product; Wilson's width at a half: z / sqrt(n + z^2); C_T: U = 0, its variance with 10 ties."""
    stub = {"n": 10, "test_n": 21, "reference_n": 1040, "small_n": 3, "bias": {"study_a": {"against": 7}},
            "extractors": {"classifier": {"dim": 4}}, "rows": {"held-out": {"histogram": [0.2] * 5}}}
    rows_ = numbers_table(stub, load(ROOT / "params.yaml").metrics).splitlines()[2:]
    coverage = 1 - 10 * 9 * 8 / (20 * 19 * 18)
    variance = 10 * 21 / 12 * (32 - (10**3 - 10) / (31 * 30))
    assert [row.split("|")[2].strip() for row in rows_] == [
        "10", "21", "11", "1,040", "3, 7", "4", "8", "32", "1/201", f"{coverage:.3f}", "0.200", "0.158",
        f"{1.959964 / (10 + 1.959964**2)**0.5:.3f}", "0.2", f"{-105 / variance**0.5:.1f}"]


def test_make_publish_finds_where_its_tables_go(tmp_path, calibration):
    """Every measure of every calibrating row; what a record lacks is said to be so."""
    path = tmp_path / "metrics.md"
    path.write_text(TEXT, encoding="utf-8")
    write_between(path, "numbers", numbers_table(calibration, load(ROOT / "params.yaml").metrics))
    write_between(path, "calibration", calibration_table(calibration))
    write_between(path, "bias", bias_table(calibration["bias"]))
    text = path.read_text(encoding="utf-8")
    for key in (measure.key for measure in MEASURES.within("calibration")):
        values = re.search(rf"^\| `{key}` \|(.+)\|$", text, re.M)[1].split("|")
        expected = [row.get(key) for row in calibration["rows"].values()]
        for value, number in zip(values, expected, strict=True):
            shown = None if value.strip() == "n/a" else float(value)
            assert shown == (number if number is None else pytest.approx(number, rel=0.006)), key
    assert f"| {calibration['bias']['study_d']['fmd']:.3g} |" in text
