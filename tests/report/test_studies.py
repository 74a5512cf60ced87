"""Every study of every kind is drawn, whichever of its runs are active."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT, every_table, studied, with_values

from kelvin.common.errors import KelvinError
from kelvin.config.digest import Code
from kelvin.config.resolve import Params, read
from kelvin.pipeline.checks.params import check
from kelvin.report.kit import style
from kelvin.report.parts.curves import loss_meaning
from kelvin.report.parts.strips import moments
from kelvin.report.results import collect
from kelvin.report.studies import base

FULL = ["blur-narrow", "blur-wide", "tied-noise", "tied-noise-eps", "tied-blur", "tied-pixelate",
        "tied-blur-noise", "steps-noise-5", "steps-blur-5"]


@pytest.mark.parametrize("active, figures, absent", [
    (FULL, {"widths-overlay", "widths-epochs", "widths-reconstructions", "temperature-variance",
            "temperature-plane", "temperature-encoding", "steps-fmd-over-steps", "iterations-over-t",
            "iterations-direct"}, set()),
    (["blur-wide"], {"widths-overlay"}, {"temperature", "steps", "iterations"}),
    (["tied-noise-eps"], {"temperature-plane"}, {"widths", "steps", "iterations"}),
    (["steps-noise-5"], {"steps-fmd-over-steps"}, {"widths", "temperature", "iterations"}),
    (["tied-blur-noise"], {"temperature-variance", "iterations-over-t"}, {"widths", "steps"})])
def test_any_part_of_the_runs(project, active, figures, absent):
    made = project(active)
    for i, run in enumerate(active):
        made.add(run, fmd=3.0 + i)
    results = collect(made.plan)
    style.use()
    drawn = {s.name: s.page_figures() for s in studied(results).values()}
    names = [figure.name for of in drawn.values() for figure in of]
    assert figures <= set(names) and len(names) == len(set(names))
    written = set(every_table(results))
    for study in studied(results).values():
        said = study.paragraphs()
        assert said and all(said)
        if study.name in absent:
            assert not drawn[study.name] and "No run of this study is active" in said[0]
            assert not {name for name in written if name.startswith(study.name)}
        elif study.runs and study.study.missing:
            assert "Not active, and so missing here" in said[-1]


@pytest.mark.parametrize("runs, different", [
    (["ddpm-default", "ddpm-cosine"], "different noise schedules, so"),
    (["blur-strong", "blur-single"], "different degradations, so"),
    (["steps-blur-5", "steps-blur-20"], "different schedules, so"),
    (["ddpm-default", "blur-strong"], "different losses, targets, degradations and noise schedules, so"),
    (["ddpm-default", "bad-lr-low"], "one measure and comparable"), (["ddpm-default"], "")])
def test_what_makes_losses_incomparable_is_named(project, runs, different):
    made = project(runs)
    for run in runs:
        made.add(run)
    said = loss_meaning(list(collect(made.plan).runs.values()))
    assert different in said and bool(said) == (len(runs) > 1)


@pytest.mark.parametrize("runs, kind", [(["fold-grouped", "fold-leaky"], "folds"),
                                        (["ddpm-default", "bad-no-noise"], "hyperparameters")])
def test_folds_are_not_judged_by_their_fmd(project, runs, kind):
    """Their FMD is taken against all objects, and replicates differ in what is held out."""
    made = project(runs, replicates=range(5))
    for i, run in enumerate(runs):
        for r in range(5):
            made.add(run, r, fmd=3.0 + i + 0.1 * r * (1 + i), best_epoch=2, stopped_epoch=None,
                     val_loss_ema=0.1 + 0.01 * r * (1 + i))
    results = collect(made.plan)
    study = studied(results)[kind]
    said = " ".join(study.paragraphs())
    assert ("paired t-tests of FMD" in said) == (kind != "folds")
    written = every_table(results)
    assert ("each with another fold held out" in written["generation"].caption) == (kind == "folds")


def test_moments_are_the_middle_and_the_last():
    assert moments(np.array([1, 5, 10, 20])) == [2, 3]
    assert moments(np.array([20, 9, 1])) == [1, 0]
    assert moments(np.array([5])) == [0]


def test_every_file_is_a_kind_and_every_kind_has_a_study():
    files = {file.stem.replace("_", "-") for file in Path(base.__file__).parent.glob("*.py")}
    assert set(base.studies.kinds()) == files - {"--init--", "base"}
    entries = Params(read(ROOT / "params.yaml")).house.studies.values()
    assert set(base.studies.kinds()) == {entry.kind for entry in entries}


def test_a_kind_entered_twice_is_refused():
    with pytest.raises(KelvinError, match="study 'steps' is registered twice: by Steps and by Study"):
        base.studies.register("steps")(base.Study)


def test_an_unknown_kind_is_refused():
    raw = with_values(read(ROOT / "params.yaml"), ("studies.steps.kind", "stairs"))
    with pytest.raises(KelvinError, match="studies.steps.kind = 'stairs': no such kind of study; known "
                                          "are averaging, blur"):
        check(Params(raw))


def test_the_digest_of_the_report_covers_every_study_and_no_degradation():
    """A study is imported by its place alone: the files beside the package's __init__ count."""
    reached = set(Code(ROOT).reach(ROOT / "stages/report.py"))
    files = [kind.replace("-", "_") for kind in base.studies.kinds()]
    assert {f"kelvin.report.studies.{file}" for file in files} <= reached
    assert not any(name.startswith(("kelvin.degradations", "kelvin.sampling")) for name in reached)


BUILD = """
import sys
from pathlib import Path
from kelvin.config.plan import ReportPlan
from kelvin.report.build import build

imported = "torch" in sys.modules
build(ReportPlan.model_validate_json(Path("plan.json").read_text()))
sys.exit(f"torch: {imported}, {'torch' in sys.modules}")
"""


def test_a_report_is_built_without_torch(project):
    made = project(["ddpm-default", "tied-flow", "blur-best"])
    for run in ("ddpm-default", "tied-flow", "blur-best"):
        made.add(run)
    (made.root / "plan.json").write_text(made.plan.model_dump_json())
    done = subprocess.run([sys.executable, "-c", BUILD], cwd=made.root, text=True, capture_output=True)
    assert done.stderr.strip().endswith("torch: False, False"), done.stderr
