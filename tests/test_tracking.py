"""Tracking against a real MLflow database: tiny records of three runs, no network trained."""

import csv
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT

from kelvin.datasets import PreparedStore
from kelvin.datasets.raw import RawData
from kelvin.datasets.store import write_store
from kelvin.errors import KelvinError
from kelvin.params import project_root, read
from kelvin.tracking import __main__ as command
from kelvin.tracking import publish_missing, publishing
from kelvin.tracking import store as tracking_store

EPOCHS, KEPT = 300, (100, 300)
FOREIGN = ("DVC_ROOT", "DVC_EXP_NAME", "MLFLOW_TRACKING_URI", "GIT_DIR", "GIT_WORK_TREE")
ASK = ("import sys; from kelvin.tracking import publish_missing; print(*publish_missing(), "
       "*sorted({'mlflow', 'numpy', 'pydantic', 'sqlalchemy'} & set(sys.modules)))")


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))


def edit(path, **values):
    write(path, json.loads(path.read_text()) | values)


def add_store(root):
    n = 12
    raw = RawData(np.arange(n * 16, dtype=np.uint8).reshape(n, 1, 4, 4), np.arange(n) % 2, ["a", "b"],
                  np.arange(n), checksums={"raw.gz": "md5:0"})
    return write_store(root / "data/prepared/digits", "digits", raw, np.repeat([0, 1, 2], 4),
                       SimpleNamespace(licence="free for all", seed=0))


def add_result(root, run="ddpm-default", fmd=0.25, mark="0123456789abcdef", source="train",
               dataset="digits"):
    """What the stages leave of one run, replicate 0."""
    name, digest = f"{dataset}/{run}-0", PreparedStore(root / "data/prepared/digits").digest
    trained, sampler = source == "train", "ddim-50" if source == "train" else "folder"
    head = {"run": run, "replicate": 0, "dataset": dataset, "scale": "smoke", "fingerprint": mark}
    write(root / f"reports/runs/{name}.json", head | {
        "sampler": sampler, "fmd": fmd, "updates": 8, "fid": None, "fid_why": "not asked for",
        "copier": False, "samplers": {sampler: {"fmd": fmd, "fid": None},
                                      **({f"{sampler}@w=2": {"fmd": 1.5}} if trained else {})},
        "restoration": {"one-shot": {"ssim": 0.5}}})
    write(root / f"data/models/{name}/config.json", head | {"data": digest, "config": {
        "title": "words", "source": source, "path": None, "schedule": {"kind": "linear", "steps": 10},
        "sampling": {"samplers": ["ddim-50"]}, "notes": "x" * 7000}})
    shape = (8, 1, 4, 4)
    arrays = {f"samples/{sampler}": np.zeros(shape, np.uint8)}
    if trained:
        write(root / f"data/models/{name}/ema.safetensors", "weights")
        write(root / f"data/models/{name}/history.csv", "epoch,updates,train_loss,val_loss\n" + "".join(
            f"{e},{4 * e},{1 / e},{2 / e}\n" for e in range(1, EPOCHS + 1)))
        arrays |= {"encoding": np.zeros((3, *shape), np.uint8),
                   f"decoding/{sampler}": np.zeros((3, *shape), np.uint8)}
    write(root / f"data/evaluations/{name}/details.json", {"epochs": [
        {"epoch": e, "n": 8, "fmd": 1 / e, "small_fmd": None} for e in KEPT], "cost": {
        "updates": 8, "train_seconds": 2.5, "hardware": "an abacus", "nfe": {"ddim-50": 50}}}
        if trained else {"histograms": {}})
    (root / f"data/samples/{name}").mkdir(parents=True, exist_ok=True)
    np.savez(root / f"data/samples/{name}/samples.npz", **arrays)


def start(command, root):
    environment = {k: v for k, v in os.environ.items() if k not in FOREIGN}
    return subprocess.Popen([sys.executable, "-c", command], cwd=root, text=True, env=environment,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.fixture(scope="session")
def first(tmp_path_factory):
    """A project in which two processes published at once and first; what they said."""
    root = tmp_path_factory.mktemp("first")
    shutil.copy(ROOT / "params.yaml", root)
    add_store(root)
    add_result(root, dataset="race")  # in an experiment of its own: the tests copy this database
    add_result(root, "blur-strong", dataset="race")
    shutil.copytree(root / "data/prepared/digits", root / "data/prepared/race")
    processes = [start(ASK, root) for _ in range(2)]
    said = [process.communicate(timeout=120) for process in processes]
    return SimpleNamespace(root=root, said=said, codes=[p.returncode for p in processes])


@pytest.fixture
def project(first, tmp_path, monkeypatch):
    """A project with one result, the working directory; its database has been migrated."""
    root = tmp_path / "project"
    root.mkdir()
    shutil.copy(ROOT / "params.yaml", root)
    shutil.copy(first.root / "mlflow.db", root)
    add_store(root)
    add_result(root)
    monkeypatch.chdir(root)
    for name in FOREIGN:
        monkeypatch.delenv(name, raising=False)
    return root


def client(root="."):
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{Path(root).resolve() / 'mlflow.db'}")


def runs(root=".", **search):
    found = client(root)
    at = found.get_experiment_by_name("kelvin-digits").experiment_id
    return sorted(found.search_runs([at], **search), key=lambda run: run.info.run_name)


def only(root="."):
    (run,) = runs(root)
    return run


def files(run, folder):
    return [f.path for f in client().list_artifacts(run.info.run_id, folder)]


def test_parallel_first_writers_make_each_run_once(first):
    assert first.codes == [0, 0], first.said
    made = [int(out.split()[0]) for out, _ in first.said]
    assert sorted(made) == [0, 2]
    with sqlite3.connect(first.root / "mlflow.db") as base:
        assert base.execute("select count(*) from runs").fetchone() == (2,)


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
    assert not {"partial", "git_commit", "dvc_exp_name", "mlflow.parentRunId"} & set(tags)
    params = hot.data.params
    assert params["schedule.steps"] == "10" and params["title"] == "words" and params["path"] == "null"
    assert params["sampling.samplers"] == '["ddim-50"]' and params["cost.hardware"] == "an abacus"
    assert params["notes"] == "x" * 6000
    final = {k: v for k, v in hot.data.metrics.items() if not k.startswith("epoch/")}
    assert final == {"fmd": 0.25, "updates": 8, "copier": 0, "samplers.ddim-50.fmd": 0.25,
                     "samplers.ddim-50_w_2.fmd": 1.5,  # a name that MLflow takes
                     "restoration.one-shot.ssim": 0.5, "cost.train_seconds": 2.5,
                     "cost.nfe.ddim-50": 50}
    assert hot.info.status == "FINISHED" and hot.info.end_time - hot.info.start_time == 2500


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
    assert publishing.publish(SimpleNamespace(house=SimpleNamespace(studies={}))) == (0, 1)
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


def test_a_dvc_experiment_stands_beside_the_workspace(project, monkeypatch):
    publish_missing()
    monkeypatch.setenv("DVC_EXP_NAME", "vocal-mink")
    assert publish_missing() == (0, 1)  # it changed nothing of this run
    add_result(project, fmd=0.5)
    assert publish_missing() == (1, 0)
    assert sorted((run.data.tags.get("dvc_exp_name"), run.data.metrics["fmd"]) for run in runs()
                  if "dvc_exp_name" in run.data.tags) == [("vocal-mink", 0.5)]
    assert len(runs()) == 2
    add_result(project, fmd=0.75)
    assert publish_missing() == (1, 0)
    assert sorted(run.data.metrics["fmd"] for run in runs()) == [0.25, 0.75]


def test_a_queued_experiment_is_shown_by_the_repository_that_owns_it(project, tmp_path, monkeypatch):
    queued = tmp_path / "queued"
    shutil.copytree(project, queued)
    (queued / "mlflow.db").unlink()
    monkeypatch.chdir(queued)
    monkeypatch.setenv("DVC_ROOT", str(project))
    assert tracking_store.root() == project_root() == project
    assert publish_missing() == (1, 0)
    assert len(runs(project)) == 1 and not (queued / "mlflow.db").exists()


def test_nothing_missing_is_found_out_without_heavy_imports(project):
    publish_missing()
    out, err = start(ASK, project).communicate(timeout=60)
    assert out.split() == ["0", "1"], out + err
    shutil.rmtree(project / "reports")
    (project / "mlflow.db").unlink()
    out, err = start(ASK, project).communicate(timeout=60)
    assert out.split() == ["0", "0"], out + err
    assert not (project / "mlflow.db").exists()


def test_a_copied_project_keeps_its_artifacts_to_itself(project, tmp_path, monkeypatch):
    publish_missing()
    copy = tmp_path / "else where"
    shutil.copytree(project, copy)
    shutil.rmtree(project / "mlartifacts")
    monkeypatch.chdir(copy)
    assert publish_missing() == (0, 1)
    assert files(only(), "model")
    add_result(copy, fmd=0.5)
    assert publish_missing() == (1, 0)
    assert files(only(), "model") and not (project / "mlartifacts").exists()
    assert only(project).data.metrics["fmd"] == 0.25


def test_another_store_is_used_where_the_environment_names_one(project, tmp_path, monkeypatch):
    shutil.copy("mlflow.db", tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert publish_missing() == (1, 0)
    assert publish_missing() == (0, 1)
    assert len(runs(tmp_path)) == 1
    assert client().get_experiment_by_name("kelvin-digits") is None


def test_a_deleted_experiment_is_taken_back(project):
    publish_missing()
    found = client()
    found.delete_experiment(found.get_experiment_by_name("kelvin-digits").experiment_id)
    publish_missing()
    assert len(runs()) == 1


def test_a_scored_folder_has_no_curves_and_no_weights(project):
    shutil.rmtree("reports/runs")
    add_result(project, "theirs", source="folder")
    assert publish_missing() == (1, 0)
    run = only()
    assert "partial" not in run.data.tags and run.data.metrics["samplers.folder.fmd"] == 0.25
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


@pytest.mark.parametrize("text, said", [("{", "is not JSON"), ("{}", "has no 'run'")])
def test_a_damaged_record_is_named(project, text, said):
    write(project / "reports/runs/digits/ddpm-default-0.json", text)
    with pytest.raises(KelvinError, match=rf"ddpm-default-0\.json {said}"):
        publish_missing()


def test_a_database_that_mlflow_refuses_is_said_in_a_sentence(project):
    with sqlite3.connect("mlflow.db") as base:
        base.execute("update alembic_version set version_num = '451aebb31d03'")
    with pytest.raises(KelvinError, match="out-of-date database schema"):
        publish_missing()


def test_the_commit_is_marked_where_the_sources_differ(project):
    def git(*arguments):
        subprocess.run(["git", "-c", "user.name=k", "-c", "user.email=k@localhost", *arguments],
                       check=True, capture_output=True)

    assert publishing.origin() == {}
    git("init", "-q")
    assert publishing.origin() == {}  # no commit yet
    git("add", "params.yaml", "reports")
    git("commit", "-qm", "first")
    short = publishing.git("rev-parse", "--short", "HEAD")
    add_result(project, fmd=0.5)
    assert publishing.origin() == {"git_commit": short}  # results are not sources
    with open("params.yaml", "a") as file:
        file.write("# edited\n")
    assert publishing.origin() == {"git_commit": f"{short}-dirty"}
    (project / "inner").mkdir()
    os.chdir("inner")
    assert publishing.origin() == {}  # that repository merely holds this folder


def test_ui_publishes_and_becomes_mlflow_on_this_machine_only(project, monkeypatch):
    ran = []
    monkeypatch.setattr(os, "execv", lambda _, arguments: ran.append(arguments))
    monkeypatch.setattr(sys, "argv", ["tracking", "ui", "--port", "5055"])
    command.main()
    assert len(runs()) == 1
    assert ran[0][1:10] == ["-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", "5055",
                            "--backend-store-uri", f"sqlite:///{project / 'mlflow.db'}"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(SystemExit, match="open http://127.0.0.1:9 in a browser"):
        command.main()
    os.remove("params.yaml")
    with pytest.raises(SystemExit, match="project's root"):
        command.main()
    assert len(ran) == 1
