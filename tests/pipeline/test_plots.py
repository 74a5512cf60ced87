"""`dvc plots show` and `dvc exp show` of the repository's own results, by DVC itself."""

import json
import re
import shlex
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT
from tiny_project import ENVIRONMENT

from kelvin.report.build import FIRST

CURVES = {"Validation loss": ("epoch", "val_loss"), "FMD per epoch": ("epoch", "fmd"),
          "Error of x0_hat": ("log_snr", "x0_error")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """dvc.yaml with the results of the repository, committed."""
    folder = tmp_path_factory.mktemp("plots")
    for name in ("params.yaml", "dvc.yaml", "dvc.lock"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "reports", folder / "reports", ignore=shutil.ignore_patterns("reference"))
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=folder, check=True, env=ENVIRONMENT, capture_output=True)
    shutil.copytree(ROOT / ".dvc/plots", folder / ".dvc/plots")
    for command in (["add", "-A"], ["-c", "user.name=x", "-c", "user.email=x@localhost", "commit", "-qm",
                                    "results"]):
        subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True)
    return folder


def dvc(folder, *words, **variables):
    done = subprocess.run([sys.executable, "-m", "dvc", *words], cwd=folder, text=True,
                          env=ENVIRONMENT | variables, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_are_eight_to_twelve_plots_and_curves_have_a_line_for_each_run(folder):
    assert 8 <= len(FIRST) + len(CURVES) <= 12
    dvc(folder, "plots", "show", "-o", "shown")
    page = (folder / "shown/index.html").read_text()
    specs = {spec["title"]["text"]: spec for text in re.findall(
        r"^\s*var spec = (\{.*\});?$", page, re.M) for spec in [json.loads(text)]}
    assert {name: (spec["encoding"]["x"]["field"], spec["encoding"]["y"]["field"])
            for name, spec in specs.items()} == CURVES
    for name, spec in specs.items():
        rows = spec["data"]["values"]
        assert len({row["run"] for row in rows}) > 5 and spec["encoding"]["color"]["field"] == "run"
        assert all(float(row[CURVES[name][1]]) > 0 for row in rows)  # the axis is logarithmic
    pictures = set(re.findall(r"static/\S*?(\d\d-[\w-]+\.png)", page))
    assert len(pictures) >= 8
    assert {path.name for path in (folder / "reports/plots").iterdir()} == pictures


def test_experiments_fit_a_terminal(folder):
    """README's own command, of one that changed a parameter, a best run's values and the seconds."""
    (line,) = re.findall(r"^dvc (exp show [^#]*)", (ROOT / "README.md").read_text(), re.M)
    params, summary = folder / "params.yaml", folder / "reports/summary.json"
    text, values = params.read_text(), json.loads(summary.read_text())
    for key in ("fmd", "fmd_low", "fmd_high"):
        values["hot"][key] += 0.123456
    values["seconds"] = {key: value + 1 for key, value in values["seconds"].items()}
    summary.write_text(json.dumps(values))
    old = "schedule: {kind: linear, steps: 1000"
    assert old in text
    params.write_text(text.replace(old, "schedule: {kind: linear, steps: 500", 1))
    shown = dvc(folder, *shlex.split(line), "--no-pager", COLUMNS="400")
    assert "hot.fmd" in shown and "schedule.steps" in shown and " 500 " in shown
    assert max(map(len, shown.splitlines())) <= 100, shown
