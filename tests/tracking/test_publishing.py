"""What a published run holds, and when it is made again, completed or refused."""

import csv
import json
import os
import shutil
import subprocess

import pytest
from conftest import ROOT
from tracked import EPOCHS, KEPT, add_result, client, edit, files, only, plan, runs, write

from kelvin.common.errors import KelvinError
from kelvin.config.plan import PARAMETERS, plan_path
from kelvin.config.resolve import read
from kelvin.datasets.store import PreparedStore
from kelvin.metrics.measures import MEASURES
from kelvin.tracking import publishing
from kelvin.tracking.publishing import publish_missing
from kelvin.tracking.results import CONSTANT, Active, Result


def test_a_run_carries_tags_parameters_and_final_metrics(project):
    add_result(project, "blur-strong")
    assert publish_missing() == (2, 0)
    cold, hot = runs()
    assert (cold.info.run_name, hot.info.run_name) == ("blur-strong-0", "ddpm-default-0")
    tags = hot.data.tags
    serves = ", ".join(name for name, study in read(ROOT / "params.yaml")["studies"].items()
                       if "ddpm-default" in study["runs"])
    assert serves.startswith("schedules, hyperparameters")
    assert {k: tags[k] for k in ("run", "replicate", "scale", "dataset", "fingerprint", "studies")} \
        == {"run": "ddpm-default", "replicate": "0", "scale": "smoke", "dataset": "digits",
            "fingerprint": "0123456789abcdef", "studies": serves}
    assert tags["sampler"] == "ddim-50" and tags["fid_why"] == "not asked for"
    assert not {"partial", "dvc_exp_name", "mlflow.parentRunId", "mlflow.source.git.commit"} & set(tags)
    assert tags["updates"] == "1200" and tags["hardware"] == "an abacus"
    assert tags["mlflow.note.content"] == (f"{tags['title']}: FMD 0.25 by ddim-50. Data set digits, "
                                           f"scale smoke, replicate 0. Studies: {serves}.")
    assert tags["mlflow.source.name"] == "kelvin repro evaluate@ddpm-default-0" and tags["mlflow.user"]
    params = hot.data.params
    assert params["schedule.steps"] == "10" and tags["title"] == read(ROOT / "params.yaml")["runs"][
        "ddpm-default"]["title"]
    assert params == {"schedule.kind": "linear", "schedule.steps": "10", "notes": "x" * 6000,
                      "sampling.samplers": '["ddim-50"]'}
    final = {k: v for k, v in hot.data.metrics.items() if not k.startswith("epoch/")}
    assert final == {"fmd": 0.25, "measures/copier": 0, "samplers/ddim-50/fmd": 0.25,
                     "samplers/ddim-50_w_2/fmd": 1.5,  # a name that MLflow takes
                     "restoration/one-shot/ssim": 0.5, "cost/train_seconds": 2.5}
    assert hot.info.status == "FINISHED" and hot.info.end_time - hot.info.start_time == 2500


def test_headline_measures_come_first(project):
    """In the order of kelvin.metrics.measures; a measure that is missing leaves no gap."""
    edit(project / "reports/runs/digits/ddpm-default-0.json", recall=0.4, kid=0.01, fmd_low=0.2)
    first = Result(project / "reports/runs/digits/ddpm-default-0.json")
    assert list(first.final())[:4] == ["fmd", "kid", "recall", "measures/copier"]
    assert sum(measure.headline for measure in MEASURES.values()) == 8


def test_no_metric_of_a_recorded_run_is_a_constant():
    """Of the repository's own record; eight metrics stand alone, all others in MLflow's groups."""
    final = Result(ROOT / "reports/runs/digits/ddpm-best-0.json").final()
    alone = [key for key in final if "/" not in key]
    assert alone == list(final)[:8] == [key for key, m in MEASURES.items() if m.headline]
    assert "samplers/ancestral-50/fmd" in final and "restoration/ddim-50/ssim" in final
    assert not [key for key in final if key.rpartition("/")[2] in CONSTANT]
    groups = {key.partition("/")[0] for key in final if "/" in key}
    assert groups - {"cost"} == {"measures", "prior", "restoration", "samplers"}  # cost: where data/ is


def test_active_runs_and_replicates_alone_are_shown(project):
    """Not what an earlier experiment left: other runs, replicates and data sets."""
    add_result(project, "blur-strong")
    add_result(project, "left-over")
    write(project / "reports/runs/digits/ddpm-default-1.json",
          (project / "reports/runs/digits/ddpm-default-0.json").read_text())
    write(project / "reports/runs/digits/calibration.json", "{}")
    write(project / "reports/runs/other/ddpm-default-0.json", "{}")
    assert publish_missing() == (2, 0)
    assert [run.info.run_name for run in runs()] == ["blur-strong-0", "ddpm-default-0"]
    assert client().get_experiment_by_name("kelvin-other") is None


def test_what_is_active_is_as_planned_until_params_yaml_changes(project):
    """An edited params.yaml is read anew."""
    assert plan_path("track") == publishing.PLAN and publishing.PARAMETERS == PARAMETERS
    own = {"dataset": "digits", "replicates": [0], "titles": {"a": "A"}, "studies": {"s": ["a"]}}
    plan(project, code="0", **own)
    assert publishing.active_runs() == Active(**own)
    with (project / "params.yaml").open("a") as file:
        file.write("# edited\n")
    assert "ddpm-default" in publishing.active_runs().titles


def test_the_repositorys_records_are_those_of_its_active_runs(params):
    """No leftover of an earlier experiment lies among them."""
    wanted = {f"{run}-{replicate}" for run, replicate in params.active()} | {"calibration"}
    kept = subprocess.run(["git", "ls-files", "reports/runs"], cwd=ROOT, text=True,
                          capture_output=True).stdout.split()
    assert {path.rpartition("/")[2].removesuffix(".json") for path in kept} <= wanted
    assert {path.split("/")[2] for path in kept} <= {params.house.dataset}


def test_curves_have_every_epoch_once(project):
    publish_missing()
    run = only().info.run_id
    history = [(m.step, m.value) for m in client().get_metric_history(run, "epoch/val_loss")]
    assert history == [(e, 2 / e) for e in range(1, EPOCHS + 1)]
    kept = [(m.step, m.value) for m in client().get_metric_history(run, "epoch/fmd")]
    assert kept == [(e, 1 / e) for e in KEPT]
    assert not {"epoch/n", "epoch/epoch", "epoch/small_fmd"} & set(only().data.metrics)


def test_the_data_set_is_an_input_with_its_checksum(project):
    import mlflow.data

    publish_missing()
    (used,) = only().inputs.dataset_inputs
    digest = PreparedStore(project / "data/prepared/digits").digest
    assert used.dataset.name == "digits" and used.dataset.digest == digest[:36]
    assert {tag.key: tag.value for tag in used.tags} == {"mlflow.data.context": "training",
                                                         "sha256": digest}
    profile = json.loads(used.dataset.profile)
    assert profile["sizes"] == {"train": 4, "validation": 4, "test": 4}
    assert json.loads(used.dataset.source)["licence"] == "free for all"
    assert mlflow.data.get_source(used).uri == "data/prepared/digits"


def test_weights_configuration_and_pictures_are_artifacts(project):
    from PIL import Image

    publish_missing()
    run = only()
    assert files(run, "model") == ["model/config.json", "model/ema.safetensors", "model/history.csv"]
    assert files(run, "figures") == [f"figures/{n}.png" for n in ("decoding", "encoding", "samples")]
    place = project / "mlartifacts/kelvin-digits" / run.info.run_id / "artifacts"
    assert (place / "model/ema.safetensors").read_text() == "weights"
    with Image.open(place / "figures/encoding.png") as picture:
        assert picture.size == (3 * 42, 8 * 42)  # times across, images down, 4 pixels as 40 + 2


def test_what_is_shown_is_not_made_again(project):
    assert publish_missing() == (1, 0)
    before = only().info.run_id
    assert publish_missing() == (0, 1)
    assert publishing.publish(publishing.active_runs()) == (0, 1)
    assert only().info.run_id == before


def test_a_changed_record_replaces_its_run_and_another_training_does_not(project):
    publish_missing()
    add_result(project, fmd=0.5)
    assert publish_missing() == (1, 0)
    assert only().data.metrics["fmd"] == 0.5
    add_result(project, fmd=0.5, mark="fedcba9876543210")
    assert publish_missing() == (1, 0)
    assert len(runs()) == 2


def test_a_fresh_clone_shows_the_record_and_completes_it_later(project):
    os.rename("data", "elsewhere")
    assert publish_missing() == (1, 0)
    assert only().data.tags["partial"] == "true" and only().data.metrics["fmd"] == 0.25
    assert not only().data.params and not only().inputs.dataset_inputs
    assert publish_missing() == (0, 1)
    os.rename("elsewhere", "data")
    assert publish_missing() == (1, 0)
    whole = only()
    assert "partial" not in whole.data.tags and whole.data.params
    shutil.rmtree("data")
    assert publish_missing() == (0, 1)  # a record alone does not displace the whole
    assert only().info.run_id == whole.info.run_id


@pytest.mark.parametrize("file", ["data/models/digits/ddpm-default-0/config.json",
                                  "data/prepared/digits/manifest.json"])
def test_data_of_another_training_is_not_mixed_in(project, file):
    edit(project / file, fingerprint="fedcba9876543210")
    publish_missing()
    assert only().data.tags["partial"] == "true" and not only().data.params


def test_what_a_crash_left_is_made_again(project, monkeypatch):
    def crash(*_):
        raise RuntimeError("the power went")

    with monkeypatch.context() as patched, pytest.raises(RuntimeError):
        patched.setattr(publishing, "log_files", crash)
        publish_missing()
    assert only().info.status == "RUNNING"
    assert publish_missing() == (1, 0)
    assert only().info.status == "FINISHED" and files(only(), "model")


def test_a_scored_folder_has_no_curves_and_no_weights(project):
    shutil.rmtree("reports/runs")
    add_result(project, "theirs", source="folder")
    assert publishing.publish(Active("digits", [0], {"theirs": "Theirs"}, {})) == (1, 0)
    run = only()
    assert "partial" not in run.data.tags and run.data.metrics["samplers/folder/fmd"] == 0.25
    assert files(run, "figures") == ["figures/samples.png"] and files(run, "model") == [
        "model/config.json"]
    assert {tag.value for tag in run.inputs.dataset_inputs[0].tags} >= {"evaluation"}


def test_numbers_that_are_not_finite_are_refused(project):
    record = project / "reports/runs/digits/ddpm-default-0.json"
    publish_missing()
    edit(record, fmd=float("nan"))
    with pytest.raises(KelvinError, match=r"ddpm-default-0\.json: fmd is nan"):
        publish_missing()
    assert only().data.metrics["fmd"] == 0.25  # the run that stood there still does
    edit(record, fmd=0.5)
    path = project / "data/models/digits/ddpm-default-0/history.csv"
    rows = list(csv.reader(path.open()))
    rows[7][3] = "inf"
    write(path, "\n".join(",".join(row) for row in rows) + "\n")
    with pytest.raises(KelvinError, match="val_loss of epoch 7 is inf"):
        publish_missing()


@pytest.mark.parametrize("text, said", [("{", "Expecting property name"), ("{}", "it has no 'run'")])
def test_a_damaged_record_is_named(project, text, said):
    write(project / "reports/runs/digits/ddpm-default-0.json", text)
    with pytest.raises(KelvinError, match=rf"ddpm-default-0.json is damaged .{said}"):
        publish_missing()


def test_the_commit_is_marked_where_the_sources_differ(project):
    def git(*arguments):
        words = ["git", "-c", "user.name=k", "-c", "user.email=k@localhost", *arguments]
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()

    assert publishing.origin() == {}
    git("init", "-q")
    assert publishing.origin() == {}  # no commit yet
    git("add", "params.yaml", "reports")
    git("commit", "-qm", "first")
    commit = {"mlflow.source.git.commit": git("rev-parse", "HEAD"),
              "mlflow.source.git.dirty": "false"}
    add_result(project, fmd=0.5)
    assert publishing.origin() == commit  # results are not sources
    with open("params.yaml", "a") as file:
        file.write("# edited\n")
    assert publishing.origin() == commit | {"mlflow.source.git.dirty": "true"}
    (project / "inner").mkdir()
    os.chdir("inner")
    assert publishing.origin() == {}  # that repository merely holds this folder
