"""The first screen: what is answered from which numbers, and what is sent elsewhere."""

import json
import re
from types import SimpleNamespace

import pytest

from kelvin.config.plan import RecordPlan
from kelvin.report import front
from kelvin.report.build import build
from kelvin.report.kit.titles import sampler_words

CONTRAST = {"title": "blur against noise", "sampler": "declared: DDIM against Algorithm 2", "nfe": 50.0,
            "seeds": 5.0, "ratio": 1.8, "ratio_low": 1.4, "ratio_high": 2.3, "outcome": "higher"}
LEVEL = {"title": "noise", "family": "hot", "sampler": "ddim-50", "replicates": 5, "fmd": 6.0,
         "fmd_low": 5.5, "fmd_high": 6.5}


def test_ratios_are_told_with_interval_seeds_sampler_and_verdict():
    """All of them up to three, not the lowest alone; of more, the lowest and the highest."""
    rows = [CONTRAST, CONTRAST | {"title": "pixels against noise", "ratio": 3.0, "nfe": 20.0}]
    forest = front.ratios(rows, "this page")
    assert [line.value for line in forest.lines] == [1.8]  # the most evaluations alone
    assert forest.answer.effect == "FMD × 1.80"
    assert forest.answer.under == "95 % intervals 1.40 to 2.30; 5 training seeds; 50 evaluations an image"
    longer = front.ratios([CONTRAST | {"updates": 8960.0}], "this page")
    assert longer.answer.under.endswith("; 50 evaluations an image; 8,960 updates")
    assert "Blur against noise (declared: DDIM against Algorithm 2): higher." in forest.answer.sentence
    assert front.ratios([CONTRAST | {"ratio_low": None}], "") is None
    warm = CONTRAST | {"title": "warm against noise", "ratio": 0.7, "outcome": "no verdict"}
    both = front.ratios([CONTRAST, warm], "").answer
    assert both.effect == "FMD × 0.70 and 1.80" and "Warm against noise" in both.sentence
    many = front.ratios([CONTRAST | {"ratio": ratio} for ratio in (1.1, 0.5, 2.5, 1.4)], "").answer
    assert many.effect == "FMD × 0.50 and 2.50" and "lowest and the highest" in many.sentence
    ties = front.ratios([CONTRAST | {"tie": tie} for tie in ("variance", "recoverability")], "")
    assert [line.title for line in ties.lines] == [
        f"blur, tied by {how}, declared: DDIM against Algorithm 2"
        for how in ("the variance left", "recoverability")]


def test_levels_need_several_seeds_and_both_families():
    cold = LEVEL | {"family": "cold", "title": "blur", "fmd": 9.0, "fmd_low": 6.2, "fmd_high": 12.0}
    forest = front.levels({"a": LEVEL, "b": cold}, "this page")
    assert [line.family for line in forest.lines] == ["hot", "cold"]
    assert "the intervals overlap" in forest.answer.sentence
    apart = front.levels({"a": LEVEL, "b": cold | {"fmd_low": 7.0}}, "")
    assert "the intervals part" in apart.answer.sentence
    assert front.levels({"a": LEVEL}, "") is None
    assert front.levels({"a": LEVEL, "b": cold | {"replicates": 1}}, "") is None


@pytest.mark.parametrize("families, is_record, question", [
    (["hot", "hot"], True, "folds?"), (["cold"], True, "folds?"), (["hot", "cold"], True, front.QUESTION),
    (["hot"], False, front.QUESTION)])
def test_a_record_of_one_family_asks_its_own_question(families, is_record, question):
    assert front.asked(families, "folds?", is_record) == question


@pytest.mark.parametrize("name, words", [
    ("ddim-50", "DDIM, 50 steps"), ("ddim-all", "DDIM, all steps"), ("improved", "Algorithm 2"),
    ("direct", "one step"), ("my-own-3x", "my-own-3x"), ("odd-50", "odd-50")])
def test_a_sampler_in_words(name, words):
    assert sampler_words(name) == words


@pytest.mark.parametrize("gaussian, first", [
    (9.0, "The lowest FMD"),
    (7.0, "A Gaussian fitted to the pixels (FMD 7.00) is nearer to real images than the best cold run"),
    (6.0, "A Gaussian fitted to the pixels (FMD 6.00) is nearer to real images than the best hot and")])
def test_a_gaussian_that_is_nearer_comes_first(gaussian, first):
    best = [SimpleNamespace(name=family, family=family, record={"sampler": "ddim-50", "updates": 1})
            for family in ("hot", "cold")]
    results = SimpleNamespace(
        replicates=[0], plan=SimpleNamespace(metrics=SimpleNamespace(confidence=0.95)),
        calibration={"rows": {"pixel-gaussian": {"fmd": gaussian}}, "n": 270, "floor": 0.4,
                     "ceiling": 90.0})
    answer = front.distance_to_real(best, results, {"hot": LEVEL, "cold": LEVEL | {"fmd": 8.0}})
    assert answer.effect == "hot 6.00, cold 8.00" and answer.sentence.startswith(first)


@pytest.mark.parametrize("records, words", [
    ([(8, "ddim-50"), (8, "ddim-50")], ""),
    ([(8, "ddim-50"), (8, "improved-50")], " These runs differ in sampler."),
    ([(8, "ddim-50"), (9, "improved-50")], " These runs differ in length of training and sampler.")])
def test_runs_are_said_to_differ_where_they_do(records, words):
    runs = [SimpleNamespace(record={"updates": updates, "sampler": sampler})
            for updates, sampler in records]
    assert front.differ(runs) == words


def test_with_one_seed_the_figure_is_of_a_record_and_the_page_says_so(project):
    """And a study of too few runs is one line, with a link to the record that has them."""
    runs = ["tied-noise", "tied-blur", "tied-blur-noise", "ddpm-default"]
    made = project(runs)
    for run in runs:
        made.add(run)
    folder = made.root / "reports/reference/five"
    folder.mkdir(parents=True)
    metrics = {"tied-noise": LEVEL, "tied-blur": LEVEL | {"family": "cold", "title": "blur"}}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "record.json").write_text(json.dumps({
        "runs": ["ddpm-default", "ddpm-cosine", "ddpm-vlb"], "replicates": [0, 1, 2, 3, 4],
        "set": {"dataset": "digits"}}))
    (folder / "tables").mkdir()
    (folder / "tables/findings.json").write_text(json.dumps({"hot-and-cold": ["Noise wins.", "More."]}))
    record = RecordPlan(title="Five seeds", folder="five", made="x")
    build(made.plan.model_copy(update={"records": {"five": record}}))
    page = (made.root / "reports/index.html").read_text()
    assert page.count('href="reference/five/index.html"') > 1
    assert "from the record “Five seeds”" in page and "This page has one training seed" in page
    assert "<strong>On 5 training seeds</strong>" in page and "Five seeds</a>): Noise wins.</p>" in page
    there = page[page.index('<h2 id="elsewhere">'):page.index('<h2 id="runs">')]
    assert '1 here; 3 in <a href="reference/five/index.html">Five seeds</a>' in there
    assert '<h2 id="schedules">' not in page and '<h2 id="temperature">' in page


def test_a_record_says_which_it_is(project):
    made = project(["tied-noise"])
    made.add("tied-noise")
    about = {"title": "A & B", "folder": "a/b", "command": "make record NAME=x", "commit": "abc",
             "seconds": "of nine runs side by side"}
    build(made.plan, record=about)
    page = (made.root / "reports/index.html").read_text()
    assert "<h1>Record: A &amp; B (digits)</h1>" in page and "commit abc" in page
    asked = page.split('<p class="ask">')[1]
    question, answer = re.match(r"(.*?)</p>\s+<p>(.*?)</p>", asked).groups()
    assert page.count(question) == page.count(answer) == 1 and question != front.QUESTION
    assert "wall-clock seconds on the hardware named, of nine runs side by side." in page
    assert 'href="../../../index.html"' in page  # from reports/reference/a/b
