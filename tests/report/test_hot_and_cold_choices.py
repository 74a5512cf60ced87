"""What is tuned, drawn and recorded of hot against cold."""

import pytest
from conftest import ROOT
from grids import COLD, EPOCHS, HOT, budgets

from kelvin.config.resolve import Params, read
from kelvin.metrics.verdict import NONE
from kelvin.pipeline.record import runs_of
from kelvin.report.kit import style
from kelvin.report.parts import contrast_figures as drawing
from kelvin.report.parts import contrast_words as words
from kelvin.report.parts.arms import Arm

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
    # the chosen runs' declared sampler of each number of evaluations
    declared = study.tables()[3]
    assert [(r["run"], r["nfe"], r["name"]) for r in declared.rows] == [
        (r["run"], nfe, f"improved-{nfe}") for r in table.rows if r["chosen"] for nfe in (20, 50)]
    # seeds that chose a learning rate judge nothing
    assert all(e.verdict.outcome == NONE for e in study.page.effects)
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
    study = grid(EPOCHS, budgets(0.8))
    row, _ = study.tables()[-1].rows
    assert row["title"] == "Gaussian noise" and row["sampler"] == "Algorithm 2 with 50 evaluations"
    assert row["held-out"] / row["prior"] == pytest.approx(0.8)
    assert row["constant"] / row["prior"] == pytest.approx(3.0)
    assert ("FMD over that from the prior's x_T is 0.80 times for “Gaussian noise” by Algorithm 2 with "
            "50 evaluations; 0.80 times for “blur” by") in " ".join(study.findings())


def test_the_priors_part_has_an_interval_over_seeds():
    """Ratios of 0.4, 0.5 and 0.625: their logs have mean ln 0.5 and standard error 0.129; t = 4.303."""
    scores = {"": [1.0, 2.0, 4.0], "held-out": [0.4, 1.0, 2.5]}
    assert words.starts([("blur", "DDIM", scores), ("noise", "DDIM", {"": [1.0]})]) == (
        "The prior's part: from x_T of held-out images, FMD over that from the prior's x_T is 0.50 times "
        "[0.29, 0.87] for “blur” by DDIM. A perfect prior would give the former; where x_T "
        "still tells its image, such a prior is as hard to have as a generator.")


def test_figures(grid):
    style.use()
    vary = {"training.lr": [1e-3, 2e-3, 4e-3], "training.epochs": [70, 140]}
    options = {(*key, epochs): value | {"updates": 16 * epochs} for key, value in rates().items()
               for epochs in (70, 140)}
    study = grid(vary, options)
    names = {figure.name for figure in study.page_figures()}
    assert names == {f"hot-and-cold-{part}" for part in (
        "declared", "updates", "samplers", "flops", "rates", "process", "consistency", "starts")}


def test_lines_have_the_hue_of_their_family(grid, monkeypatch):
    """As everywhere on a page: what is hot is never drawn in a cold colour."""
    drawn = {}
    monkeypatch.setattr(drawing, "finish", lambda figure, name, *_, **__: drawn.setdefault(name, figure))
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


@pytest.mark.parametrize("name, count, seeds", [("hot-cold-tuning", 20, [100, 101]),
                                                ("hot-cold-digits", 15, [0, 1, 2, 3, 4]),
                                                ("hot-cold-targets", 18, [0, 1, 2, 3, 4]),
                                                ("hot-cold-tyings", 12, [0, 1, 2, 3, 4]),
                                                ("hot-cold-mnist", 3, [0, 1, 2, 3, 4])])
def test_the_records_of_this_study(name, count, seeds):
    params = Params(read(ROOT / "params.yaml"))
    entry = params.house.records[name]
    assert len(runs_of(params, name)) == count and entry.replicates == seeds
