"""summary.json: the best of each family, and few enough numbers to be read in a terminal."""

import json

from helpers import ROOT
from ruamel.yaml import YAML

from kelvin.common.trees import leaves
from kelvin.report.build import FIRST, build


def test_the_best_of_each_family_with_its_sampler(project):
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
    assert names[0] == "01-ranking.png" and len(names) <= len(FIRST)
    for name in names:
        same = made.root / "reports/figures" / name.partition("-")[2]
        assert (made.root / "reports/plots" / name).read_bytes() == same.read_bytes()


def test_it_is_the_one_metrics_file_of_dvc():
    pipeline = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())
    assert pipeline["metrics"] == ["reports/summary.json"]
    stages = pipeline["stages"].values()
    assert not [stage for stage in stages if {"metrics", "plots", "params"} & set(stage)]
    assert len((ROOT / "dvc.yaml").read_text().splitlines()) <= 130
