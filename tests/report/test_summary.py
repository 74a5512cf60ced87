"""summary.json: the best of each family, and few enough numbers to be read in a terminal."""

import json

from helpers import ROOT
from ruamel.yaml import YAML

from kelvin.common.trees import leaves
from kelvin.report.build import FIRST, build
from kelvin.report.kit.words import flags, score
from kelvin.report.parts.ranking import hot_against_cold
from kelvin.report.parts.tables_restoration import against_least_squares
from kelvin.report.results import collect


def test_the_best_of_each_family_with_its_sampler(project, undrawn):
    made = project(["ddpm-default", "ddpm-long", "blur-strong", "blur-weak"])
    for run, fmd in (("ddpm-default", 6.0), ("ddpm-long", 5.0), ("blur-strong", 4.0), ("blur-weak", 3.0)):
        made.add(run, fmd=fmd, copier=run == "blur-weak")
    build(made.plan, made.root / "reports")
    found = json.loads((made.root / "reports/summary.json").read_text())
    assert (found["hot"]["run"], found["hot"]["fmd"]) == ("ddpm-long", 5.0)
    assert (found["cold"]["run"], found["cold"]["sampler"]) == (
        "blur-strong", made.params.run("blur-strong").sampling.samplers[0])  # no copier is best
    assert "warm" not in found and found["protocol"]["runs"] == 4
    assert found["protocol"]["n"] == 20 and found["seconds"]["training"] == 6.0
    assert len(list(leaves(found))) <= 40


def test_the_figures_to_open_first_are_numbered(project):
    made = project(["ddpm-default", "blur-strong"])
    for run in made.plan.active:
        made.add(run)
    build(made.plan, made.root / "reports")
    names = [path.name for path in sorted((made.root / "reports/plots").iterdir())]
    assert names[0] == "01-overview.png" and len(names) <= len(FIRST)
    for name in names:
        same = made.root / "reports/figures" / name.partition("-")[2]
        assert (made.root / "reports/plots" / name).read_bytes() == same.read_bytes()


def test_it_is_the_one_metrics_file_of_dvc():
    pipeline = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())
    assert pipeline["metrics"] == ["reports/summary.json"]
    stages = pipeline["stages"].values()
    assert not [stage for stage in stages if {"metrics", "plots", "params"} & set(stage)]
    assert len((ROOT / "dvc.yaml").read_text().splitlines()) <= 130


def test_clamped_and_conditional_runs_and_copiers_by_c_t_do_not_win_in_silence(project, undrawn):
    made = project(["tied-noise", "guided", "blur-strong", "blur-weak", "tied-pixelate"])
    for run, fmd, c_t in (("tied-noise", 6.0, 0.0), ("guided", 1.0, 0.0), ("blur-strong", 5.0, -1.9),
                          ("blur-weak", 2.0, -4.3), ("tied-pixelate", 3.0, 0.0)):
        made.add(run, fmd=fmd, c_t_within=c_t)
    results = build(made.plan, made.root / "reports")
    found = json.loads((made.root / "reports/summary.json").read_text())
    assert (found["hot"]["run"], found["cold"]["run"]) == ("tied-noise", "blur-strong")
    records = json.loads((made.root / "reports/metrics.json").read_text())
    assert {run: record["apart"] for run, record in records.items()} == {
        "tied-noise": "", "guided": "class-conditional", "blur-strong": "", "blur-weak": "copier",
        "tied-pixelate": "clamped"}
    text = " ".join(hot_against_cold(results, records))
    title = {name: run.title for name, run in results.runs.items()}
    half = results.runs["tied-pixelate"].steps // 2
    assert f"Not ranked, with a lower FMD: “{title['guided']}” (1.00; class-conditional)." in text
    assert (f"Not ranked, with a lower FMD: “{title['blur-weak']}” (2.00; copier) and "
            f"“{title['tied-pixelate']}” (3.00; clamped from t = {half}).") in text
    assert "(C_T −4.3, below −2)" in flags([score(results.runs["blur-weak"], records["blur-weak"])])[0]


def test_in_how_many_runs_least_squares_restores_nearer(project):
    """Strictly nearer than one shot and every sampler, by each measure apart; no tie counts."""
    made = project(["blur-strong", "blur-weak", "tied-noise"])
    rows = {"blur-strong": {"linear": (0.9, 0.1), "one-shot": (0.8, 0.2)},  # by both
            "blur-weak": {"linear": (0.9, 0.3), "one-shot": (0.8, 0.2)},    # by SSIM alone
            "tied-noise": {"linear": (0.8, 0.2), "one-shot": (0.8, 0.2)}}   # a tie
    for run, methods in rows.items():
        made.add(run, restoration={
            method: {"psnr": 9.0, "fmd": 1.0, "fmd_normalised": 0.1, "ssim": ssim, "rmse": rmse}
            for method, (ssim, rmse) in methods.items()})
    text, = against_least_squares(collect(made.plan).runs.values())
    assert "in 2 of 3 runs by SSIM and in 1 by RMSE" in text
    assert against_least_squares([]) == []


def test_dvc_takes_it_for_text_whatever_alphabet_a_title_is_in(project, undrawn):
    """DVC refuses metrics of which 30 % of the first 512 bytes are not ASCII."""
    made = project(["ddpm-default"])
    run = made.plan.runs["ddpm-default"].model_copy(update={"title": "\u0448\u0443\u043c " * 200})
    made.plan = made.plan.model_copy(update={"runs": {**made.plan.runs, "ddpm-default": run}})
    made.add("ddpm-default")
    build(made.plan, made.root / "reports")
    assert "\u0448" in (made.root / "reports/metrics.json").read_text(encoding="utf-8")
    for path in (made.root / "reports/summary.json", *(made.root / "reports/curves").iterdir()):
        assert path.read_bytes().isascii(), path
