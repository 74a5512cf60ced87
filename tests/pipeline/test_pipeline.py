"""The pipeline end to end, at smoke scale: real DVC, real MLflow, in a throw-away copy."""

import json
import sqlite3
import subprocess
import sys

import pytest
from conftest import ROOT

from kelvin.pipeline.throwaway import make_copy

RUNS = ["ddpm-default", "blur-strong"]


class Copy:
    def __init__(self, folder):
        self.folder, self.python = folder, sys.executable
        self.environment = make_copy(ROOT, folder, {"scale": "smoke", "active": RUNS})

    def run(self, *command, ok=True):
        done = subprocess.run([self.python, "-m", *command], cwd=self.folder, text=True,
                              env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert (done.returncode == 0) == ok, done.stdout[-4000:]
        return done.stdout

    def commit(self):
        for command in (["add", "-A"], ["-c", "user.name=x", "-c", "user.email=x@localhost", "commit",
                                        "-qm", "results"]):
            subprocess.run(["git", *command], cwd=self.folder, check=True, env=self.environment)

    def json(self, path):
        return json.loads((self.folder / path).read_text())

    def tracked(self, tag):
        with sqlite3.connect(self.folder / "mlflow.db") as base:
            return [value for (value,) in base.execute(
                "select t.value from tags t join runs r on t.run_uuid = r.run_uuid "
                "where t.key = ? and r.lifecycle_stage = 'active'", (tag,))]


@pytest.fixture(scope="module")
def copy(tmp_path_factory, warm_python):
    """A copy in which plain `dvc repro` has run once, its results committed."""
    copy = Copy(tmp_path_factory.mktemp("pipeline") / "copy")
    copy.run("dvc", "repro")
    copy.commit()  # what later results are compared with
    copy.python = str(warm_python)  # what follows starts faster
    copy.environment["PATH"] = f"{warm_python.parent}:{copy.environment['PATH']}"
    return copy


def test_repro_makes_every_result(copy):
    metrics = copy.json("reports/metrics.json")
    assert set(metrics) == {"ddpm-default", "blur-strong"}
    for record in metrics.values():
        assert record["fid"] is None and "pt_inception" in record["fid_why"]
        assert record["fmd"] > 0 and record["n"] == 48 and -1 < record["ssim"] <= 1
        assert "seconds" not in json.dumps(record)
    page = (copy.folder / "reports/index.html").read_text()
    assert "data:image/png;base64" in page and "http://" not in page.split("<body", 1)[0]
    assert sorted(copy.tracked("run")) == ["blur-strong", "ddpm-default"]
    for file in ("tables/generation.csv", "tables/generation.md", "tables/generation.tex"):
        assert (copy.folder / "reports" / file).exists()


def test_a_second_repro_does_nothing(copy):
    ran = [line for line in copy.run("dvc", "repro").splitlines() if line.startswith("Running stage")]
    assert ran == ["Running stage 'plan':"]  # asks what there is, every time
    said = copy.run("kelvin", "repro")
    assert "Everything is up to date" in said and "reports/index.html" in said


def test_the_same_seed_gives_the_same_metrics(copy):
    """Trained, sampled and measured again from nothing: the same bytes, which the report only reads (of
    its own bytes, see tests/report/test_build.py)."""
    record = copy.folder / "reports/runs/digits/ddpm-default-0.json"
    weights = copy.folder / "data/models/digits/ddpm-default-0/ema.safetensors"
    before, seconds = (record.read_bytes(), weights.read_bytes()), weights.stat().st_mtime_ns
    copy.run("dvc", "repro", "-f", "-s", *(f"{stage}@ddpm-default-0" for stage in (
        "train", "sample", "evaluate")))
    assert (record.read_bytes(), weights.read_bytes()) == before
    assert weights.stat().st_mtime_ns != seconds


def test_an_experiment_runs_what_it_changes_and_nothing_else(copy, tmp_path):
    before = copy.json("reports/metrics.json")
    said = copy.run("dvc", "exp", "run", "-S", "runs.ddpm-default.schedule.steps=500")
    assert "train@ddpm-default-0" in said and "Running stage 'train@blur-strong-0'" not in said
    after = copy.json("reports/metrics.json")
    assert after["blur-strong"] == before["blur-strong"]
    assert after["ddpm-default"]["fmd"] != before["ddpm-default"]["fmd"]
    shown = copy.run("dvc", "exp", "show", "--only-changed", "--csv")
    assert "runs.ddpm-default.schedule.steps" in shown and "500" in shown
    assert len(shown.splitlines()[0].split(",")) < 60  # fits a terminal
    assert "ddpm-default" in copy.run("dvc", "params", "diff")
    assert "hot.fmd" in copy.run("dvc", "metrics", "show")
    assert len(copy.tracked("run")) == 3  # the experiment is a run of its own beside the first two
    differ = json.loads(copy.run("dvc", "metrics", "diff", "--json"))["reports/summary.json"]
    fmd = {way: record["ddpm-default"]["fmd"] for way, record in (("old", before), ("new", after))}
    assert fmd.items() <= differ["hot.fmd"].items()
    assert {key.split(".")[0] for key in differ} == {"hot", "seconds"}
    copy.run("dvc", "plots", "diff", "-o", str(tmp_path / "plots"))
    plotted, page = list((tmp_path / "plots").rglob("*.png")), tmp_path / "plots/index.html"
    for revision in ("HEAD", "workspace"):
        assert revision in page.read_text() and any(revision in str(file) for file in plotted)


def test_a_folder_of_images_is_scored_as_if_it_were_a_run(copy):
    from PIL import Image
    from sklearn.datasets import load_digits

    folder = copy.folder / "published samples"
    folder.mkdir()
    for i, image in enumerate(load_digits().images[:60]):
        Image.fromarray((image * 255 / 16).round().astype("uint8")).save(folder / f"{i}.png")
    copy.run("dvc", "exp", "run", "-S", "active=[blur-strong,mine]",
             "-S", "+runs.mine={title: theirs, source: folder, path: published samples}")
    mine = copy.json("reports/metrics.json")["mine"]
    assert mine["n"] == 48 and mine["nfe"] is None and "val_loss" not in mine
    assert mine["fmd_normalised"] < copy.json("reports/metrics.json")["blur-strong"]["fmd_normalised"]
    assert "theirs" in (copy.folder / "reports/index.html").read_text()


def test_a_wrong_parameter_is_refused_before_any_stage_works(copy):
    said = copy.run("dvc", "exp", "run", "-S", "runs.ddpm-default.schedule.beta_max=1.5", ok=False)
    assert "runs.ddpm-default.schedule.beta_max = 1.5" in said and "Traceback" not in said
    assert [line for line in said.splitlines() if line.startswith("Running stage")] == [
        "Running stage 'plan':"]
    subprocess.run(["git", "checkout", "-q", "params.yaml"], cwd=copy.folder, check=True)


def test_mnist_needs_only_its_files(copy):
    """Unknown data: one sentence says what was looked for, where, and how to supply it."""
    copy.environment["KELVIN_DATA"] = str(copy.folder / "nowhere")
    copy.environment["http_proxy"] = copy.environment["https_proxy"] = "http://127.0.0.1:9"
    said = copy.run("dvc", "exp", "run", "-S", "dataset=mnist", ok=False)
    assert "KELVIN_DATA" in said and "MNIST" in said and "Traceback" not in said
