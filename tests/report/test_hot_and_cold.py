"""The verdict rule on a page: contrasts within one sampler, gates, tyings, choices, sentences."""

import json

import numpy as np
import pytest
from conftest import ROOT
from helpers import studied

from kelvin.config.resolve import Params, read
from kelvin.config.vary import points
from kelvin.metrics.gates import BUDGET, RESTORATION
from kelvin.metrics.verdict import HIGHER, LOWER, NONE, welch
from kelvin.pipeline.record import runs_of
from kelvin.report.kit import style
from kelvin.report.parts import contrast_figures as drawing
from kelvin.report.parts.arms import Arm
from kelvin.report.parts.contrasts import BEST, DISAGREE
from kelvin.report.results import collect

HOT, COLD = "tied-noise", "tied-blur"
NAMES = {"naive-20": 20, "improved-20": 20, "naive-50": 50, "improved-50": 50}
HARDER = {"naive": 1.5, "improved": 1.0}  # factor of FMD by sampler
Z = [-1.2, -0.5, 0.1, 0.4, 1.2, -0.9, 0.6, 0.2, -0.3, 0.4]


def sampled(base, fmd, seed):
    """Scores of every sampler; log FMD differs by 2 % over seeds."""
    def one(kind, nfe, start=1.0):
        value = fmd * HARDER[kind] * (20 / nfe) ** 0.1 * np.exp(0.02 * Z[seed]) * start
        return base | {"nfe": nfe, "fmd": 99.0, "fmd_median": value, "fmd_validation": 1.1 * value,
                       "fd_pixels": value / 2, "fd_random": value / 3}

    out = {name: one(name.partition("-")[0], nfe) for name, nfe in NAMES.items()}
    return out | {f"improved-50@start={start}": one("improved", 50, factor)
                  for start, factor in (("held-out", 0.8), ("constant", 3.0))}


def add(made, run, seeds, fmd, updates, one_shot=0.1, **process):
    """Results of a run after so many updates; `process` changes what training measured."""
    for seed in seeds:
        made.add(run, seed, fmd=fmd, updates=updates, sampler="improved-50",
                 training_flops=1e9 * updates)
        path = made.root / f"reports/runs/digits/{run}-{seed}.json"
        record = json.loads(path.read_text())
        record["samplers"] = sampled(record["samplers"]["raw"], fmd, seed % 10)
        path.write_text(json.dumps(record))
        folder = made.root / f"data/evaluations/digits/{run}-{seed}/details.json"
        details = json.loads(folder.read_text())
        details |= {"gates": [{"t": t, "one_shot_rmse": one_shot, "linear_rmse": 0.1, "ratio": None,
                               "n": 4, "clamped": False} for t in (25, 50)],
                    "consistency": [{"sampler": s, "t": t, "rmse": 0.001 * t, "rmse_se": 0.0, "n": 4}
                                    for s in NAMES for t in (100, 50, 1)]}
        folder.write_text(json.dumps(details))
        file = made.root / f"data/models/digits/{run}-{seed}/process.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | process))


def study_of(made):
    return studied(collect(made.plan))["hot-and-cold"]


def declared(samplers):
    """Changes of params.yaml: samplers that a record `tuner` declared."""
    if not samplers:
        return []
    tuner = {"title": "T", "folder": "tuner", "runs": [HOT], "replicates": [200]}
    return [("records.tuner", tuner), ("records.hot-cold-tuning.tuned_by", "tuner"),
            ("records.hot-cold-tuning.samplers", samplers)]


@pytest.fixture
def grid(project):
    """grid(vary, {(run, *values): options}, seeds): a project whose active runs are points of a grid."""
    def make(vary, options, seeds=range(5), samplers=None):
        names = {(p.run, *p.values.values()): name
                 for name, p in points("hot-cold-tuning", [HOT, COLD], vary).items()}
        made = project([names[key] for key in options], replicates=seeds,
                       changes=[("records.hot-cold-tuning.vary", vary), *declared(samplers)])
        for key, given in options.items():
            add(made, names[key], seeds, **given)
        return study_of(made)
    return make


EPOCHS = {"training.epochs": [70, 140]}


def budgets(ratio, short=1.02, **options):
    """Noise at FMD 5 and blur at `ratio` times that, on two budgets between which little changes."""
    return {(run, epochs): {"fmd": fmd * (short if epochs == 70 else 1), "updates": 16 * epochs,
                            **options}
            for run, fmd in ((HOT, 5.0), (COLD, 5.0 * ratio)) for epochs in (70, 140)}


def test_blur_wins_within_every_sampler_and_by_the_best(grid):
    study = grid(EPOCHS, budgets(0.8))
    held = study.page.held
    assert [h.place for h in held] == [("naive", 20), ("naive", 50), ("improved", 20), ("improved", 50),
                                       (BEST, 20), (BEST, 50)]
    assert {h.verdict.outcome for h in held} == {LOWER} and held[0].verdict.family == 6
    assert [h.kinds for h in held[4:]] == [("improved", "improved")] * 2
    assert all(arm.updates == 2240 for arm in study.page.sides.values())
    first, second, third, *_ = study.findings()
    assert first.startswith("“blur” has a lower FMD than “Gaussian noise” in 6 of 6 contrasts (by each "
                            "one's best sampler with 50 evaluations 20 % lower, 95 % interval 1")
    assert "Tested on 5 training seeds after 2,240 updates" in second and "as one family" in second
    assert "nothing is said of another tying" in second
    assert "FMD against the validation images, on these very seeds, chose each one's best" in second
    assert third == "Every contrast of this page is decided."
    assert "Every run passes the four gates." in study.findings()
    assert study.findings()[3].startswith(
        "By each one's best sampler with 50 evaluations an image, over 5 training seeds each, “blur” is "
        "better than “Gaussian noise”")


def test_the_best_sampler_is_the_one_that_another_record_declared(grid):
    """Not that of lowest FMD here: Algorithm 1 has 1.5 times the FMD, and was declared of noise."""
    study = grid(EPOCHS, budgets(0.8), samplers={HOT: ["naive-50"], COLD: ["improved-50", "naive-20"]})
    # 20 evaluations were declared of one side alone
    best, = (h for h in study.page.held if h.place[0] == BEST)
    assert best.place == (BEST, 50) and best.kinds == ("naive", "improved")
    assert best.ratio == pytest.approx(0.8 / 1.5)
    tested = study.findings()[1]
    assert "The record tuner declared each one's best sampler on other seeds." in tested
    assert "these very seeds" not in tested


def test_a_contrast_is_of_the_median_over_classifiers_and_is_welchs(grid):
    study = grid(EPOCHS, budgets(0.9))
    h = study.page.held[0]
    base, candidate = (np.log([fmd * 1.5 * np.exp(0.02 * z) for z in Z[:5]]) for fmd in (5.0, 4.5))
    expected = welch(base, candidate)
    assert h.ratio == pytest.approx(0.9, rel=1e-12)
    assert h.interval == pytest.approx(tuple(np.exp(expected.interval())), rel=1e-9)
    row = study.tables()[0].rows[0]
    assert (row["sampler"], row["nfe"], row["outcome"]) == ("Algorithm 1", 20, LOWER)
    assert row["ratio"] == h.ratio and row["detectable"] == pytest.approx(
        np.expm1(expected.detectable(0.05 / 6)))


def test_fewer_seeds_than_the_gate_asks_give_numbers_and_no_verdict(grid):
    study = grid(EPOCHS, {key: value | {"updates": value["updates"] // 2}
                          for key, value in budgets(0.8).items()})
    assert {h.verdict.outcome for h in study.page.held} == {NONE}
    first, _, third, gates = study.findings()
    assert first.startswith("No degradation is shown to be better or worse than “Gaussian noise”")
    assert "the FMD of “blur” is 20 % lower, 95 % interval" in first
    assert "“Gaussian noise” and “blur” miss the seeds gate (5 fresh training seeds at 1,120" in gates
    assert "6 of 6 contrasts (6 without a verdict, by a missed gate)" in third
    row = study.tables()[0].rows[0]
    assert row["ratio"] == pytest.approx(0.8) and row["ratio_low"] < 0.8 and row["detectable"] > 0


def test_one_budget_is_no_gate_passed_and_one_seed_has_no_interval(grid):
    study = grid({"training.epochs": [140]}, {key: value for key, value in budgets(0.8).items()
                                              if key[1] == 140}, seeds=[0])
    gates = {gate.name: gate for gate in study.page.gates[study.page.held[0].verdict.contrast.candidate]}
    assert not gates[BUDGET].passed and "no budget of half of them" in gates[BUDGET].sentence
    assert study.page.held[0].interval is None and study.page.held[0].ratio == pytest.approx(0.8)


def test_a_budget_that_still_moves_fmd_is_missed(grid):
    study = grid(EPOCHS, budgets(0.8, short=1.2))
    assert {h.verdict.outcome for h in study.page.held} == {NONE}
    assert "miss the budget gate (Doubling the updates from 1,120 to 2,240 moves log FMD by −18 %" in \
        " ".join(study.findings())
    row = study.tables()[1].rows[0]
    assert row[BUDGET] == "missed" and row[f"{BUDGET}_numbers"] == "−18 % a doubling"


def test_losing_to_least_squares_at_the_largest_budget_makes_verdicts_conditional(grid):
    options = budgets(0.8)
    for epochs in (70, 140):
        options[COLD, epochs]["one_shot"] = 0.15
    study = grid(EPOCHS, options)
    assert {h.verdict.outcome for h in study.page.held} == {LOWER}
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
    assert {h.verdict.outcome for h in study.page.held} == {NONE}
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
    assert {(h.candidate, h.verdict.outcome) for h in study.page.held} == {
        (f"{COLD}/x0", LOWER), (f"{COLD}/residual", HIGHER)}
    assert {round(h.ratio, 6) for h in study.page.held} == {0.8, 1.1}
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
    assert study.page.ties == ["variance", "recoverability"] and len(study.page.held) == 12
    assert set(study.page.conclusions().values()) == {outcome}
    first, second, third, *_ = study.findings()
    if outcome == LOWER:
        assert "20 % lower, 95 % interval" in first and "lower, where tied by the variance left" in first
        assert "and 15 % lower" in first and "lower, where tied by recoverability" in first
    else:
        assert first.startswith("No degradation is shown to be better or worse")
        assert "6 not alike under both tyings" in third
        assert {h.verdict.outcome for h in study.page.held} == {LOWER, HIGHER}


RATES = {"training.lr": [1e-3, 2e-3, 4e-3]}


def rates():
    """Noise is best at the middle of the grid, blur at its edge."""
    fmd = {HOT: (6.0, 5.0, 5.5), COLD: (6.0, 5.0, 4.0)}
    return {(run, lr): {"fmd": value, "updates": 1120} for run, values in fmd.items()
            for lr, value in zip(RATES["training.lr"], values, strict=True)}


def test_the_learning_rate_is_chosen_by_validation_images(grid):
    study = grid(RATES, rates(), seeds=[100, 101])
    said = study.findings()[-1]
    assert "0.002 for “Gaussian noise” after 1,120 updates" in said
    assert "0.004 for “blur” after 1,120 updates (3.95 by Algorithm 2 with 50" in said
    assert said.endswith("At an edge of the grid, which should be wider: “blur”.")
    table = study.tables()[2]
    assert [r["lr"] for r in table.rows if r["chosen"]] == [2e-3, 4e-3]
    # the chosen runs' best sampler of each number of evaluations
    declared = study.tables()[3]
    assert [(r["run"], r["nfe"], r["name"]) for r in declared.rows] == [
        (r["run"], nfe, f"improved-{nfe}") for r in table.rows if r["chosen"] for nfe in (20, 50)]
    # seeds that chose a learning rate judge nothing
    assert all(h.verdict.outcome == NONE for h in study.page.held)
    assert "0 fresh training seeds" in " ".join(study.findings())
    assert "no run of this study" not in " ".join(study.paragraphs()).lower()


def test_test_images_choose_nothing():
    """The lowest FMD on the reference is not chosen where validation images say otherwise."""
    class Fake:
        def __init__(self, test, validation):
            self.record = {"sampler": "naive-20"}
            self.records = [{"samplers": {"naive-20": {"fmd": test, "fmd_validation": validation}}}]

    low_test, low_validation = Fake(1.0, 9.0), Fake(5.0, 2.0)
    arm = Arm("a", "a", "variance", 8, (low_test, low_validation), {("naive", 20): "naive-20"})
    assert arm.run is low_validation and arm.fmd() == [5.0]
    unscored = Arm("a", "a", "variance", 8, (Fake(1.0, None),), {("naive", 20): "naive-20"})
    assert unscored.place is None and unscored.declared == {}


def test_the_priors_part_is_a_table(grid):
    """From true x_T 0.8 and from a constant 3 times the FMD from the prior, as the fixture has it."""
    row, _ = grid(EPOCHS, budgets(0.8)).tables()[-1].rows
    assert row["title"] == "Gaussian noise" and row["sampler"] == "Algorithm 2, 50"
    assert row["held-out"] / row["prior"] == pytest.approx(0.8)
    assert row["constant"] / row["prior"] == pytest.approx(3.0)


def test_figures(grid):
    style.use()
    vary = {"training.lr": [1e-3, 2e-3, 4e-3], "training.epochs": [70, 140]}
    options = {(*key, epochs): value | {"updates": 16 * epochs} for key, value in rates().items()
               for epochs in (70, 140)}
    study = grid(vary, options)
    names = {figure.name for figure in study.page_figures()}
    assert names == {f"hot-and-cold-{part}" for part in (
        "best", "samplers", "flops", "rates", "process", "consistency", "starts")}


def test_lines_have_the_hue_of_their_family(grid, monkeypatch):
    """As everywhere on a page: what is hot is never drawn in a cold colour."""
    drawn = {}
    monkeypatch.setattr(drawing, "finish", lambda figure, name, caption: drawn.setdefault(name, figure))
    vary = {"training.lr": [1e-3, 2e-3, 4e-3], "training.epochs": [70, 140]}
    study = grid(vary, {(*key, epochs): value | {"updates": 16 * epochs} for key, value in rates().items()
                        for epochs in (70, 140)})
    study.figures()
    for part in ("flops", "rates", "process"):
        axes = drawn[f"hot-and-cold-{part}"].axes[0]
        handles, titles = axes.get_legend_handles_labels()
        lines = {title: handle[0] if isinstance(handle, tuple) else handle
                 for handle, title in zip(handles, titles, strict=True)}
        for title, family in (("Gaussian noise", "hot"), ("blur", "cold")):
            assert lines[title].get_color() in style.FAMILIES[family], part


def test_records_of_before_are_no_contrast(project):
    """Without every measure of every sampler there is nothing to contrast, and the page says so."""
    made = project([HOT, COLD])
    for run in (HOT, COLD):
        made.add(run)
    study = study_of(made)
    assert not study.page.held
    assert "There is nothing to contrast: no sampler was scored by all measures" in study.findings()[0]
    assert study.tables()[0] is None and study.page_figures()


def test_without_the_baseline(project):
    made = project([COLD])
    made.add(COLD)
    assert "is not active" in study_of(made).findings()[0]


@pytest.mark.parametrize("name, count, seeds", [("hot-cold-tuning", 20, [100, 101]),
                                                ("hot-cold-digits", 12, [0, 1, 2, 3, 4]),
                                                ("hot-cold-targets", 36, [0, 1, 2, 3, 4]),
                                                ("hot-cold-mnist", 8, [0, 1, 2])])
def test_the_records_of_this_study(name, count, seeds):
    params = Params(read(ROOT / "params.yaml"))
    entry = params.house.records[name]
    assert len(runs_of(params, name)) == count and entry.replicates == seeds
