"""Recorded studies: which runs and seeds they take, and which the data cannot carry."""

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import ROOT

from kelvin import networks
from kelvin.common.errors import KelvinError
from kelvin.common.hardware import hardware
from kelvin.config.resolve import Params, load, read
from kelvin.datasets.sources.raw import RawData
from kelvin.datasets.store import write_store
from kelvin.networks import Shape
from kelvin.pipeline import record, release
from kelvin.pipeline.throwaway import set_values


def test_full_is_every_run_the_images_can_carry(params, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images = np.zeros((6, 1, 8, 8), np.uint8)
    write_store(tmp_path / "data/prepared/digits", "digits",
                RawData(images, np.arange(6) % 2, ["a", "b"], np.arange(6)), np.repeat([0, 1, 2], 2),
                SimpleNamespace(licence="free", seed=0))
    names = record.runs_of(params, "full")
    assert set(names) == set(params.runs) and params.house.records["full"].replicates == [0]
    assert names[:len(params.house.active)] == params.house.active
    kept, refused = record.possible(params, names)
    assert set(kept) == set(names) - {"tied-desaturate"}
    assert "needs RGB images" in refused["tied-desaturate"]


@pytest.mark.parametrize("name", [name for name in read(ROOT / "params.yaml")["records"]])
def test_every_record_can_be_set_and_builds_its_runs(name, tmp_path):
    """Whatever it sets, the networks of its runs fit the images that its data set would have."""
    entry = read(ROOT / "params.yaml")["records"][name]
    shutil.copy(ROOT / "params.yaml", tmp_path)
    set_values(tmp_path / "params.yaml", entry.get("set", {}))
    resolved = load(tmp_path / "params.yaml")
    native = {"digits": 8, "mnist": 28, "cifar10-jpeg": 32}
    size = resolved.images.image_size or native[resolved.house.dataset]
    for run in entry["runs"] if isinstance(entry["runs"], list) else []:
        config = resolved.run(run)
        shape = Shape(resolved.images.channels, size, size)
        assert networks.parameter_count(networks.build(config.network.model_dump(), shape, run)) > 0


def test_committed_records_are_what_params_would_make_again():
    """Runs, seeds and settings; a record made before an entry was edited would otherwise pass for its."""
    params = Params(read(ROOT / "params.yaml"))
    for path in (ROOT / "reports/reference").rglob("record.json"):
        made = json.loads(path.read_text())
        name = made["command"].replace("make record NAME=", "").replace("make ", "")
        entry = params.house.records[name]
        assert path.parent == ROOT / "reports/reference" / entry.folder
        assert (made["replicates"], made.get("set", {})) == (entry.replicates, entry.set), path
        runs, wanted = {*made["runs"], *made["left_out"]}, set(record.runs_of(params, name))
        assert runs <= wanted if entry.runs == "all" else runs == wanted, path


def test_a_record_publishes_its_best_hot_and_cold_run(params, tmp_path, monkeypatch):
    """By normalised FMD, the first seed's averaged weights, each with its own sampler."""
    monkeypatch.chdir(tmp_path)
    made = []
    monkeypatch.setattr(release, "publish", lambda *call: (made.append(call), call[3].write_text("w")))
    row = {"copier": False, "sampler": "ddim-50"}
    metrics = {f"tied-noise_epochs-{epochs}": {**row, "family": "hot", "fmd_normalised": 1 / epochs}
               for epochs in (1, 3)}
    metrics["tied-blur"] = {**row, "family": "cold", "fmd_normalised": 1, "sampler": "improved-50"}
    metrics["tied-blur-noise"] = {**row, "family": "warm", "fmd_normalised": 0}
    release.publish_best(params, metrics, Path("copy"), "mnist-{}")
    models = Path("copy/data/models/digits")
    assert [(source, sampler["kind"], about["run"], str(path))
            for source, sampler, about, path in made] == [
        (models / "tied-noise_epochs-3-0/ema.safetensors", "ddim", "tied-noise_epochs-3",
         "weights/mnist-hot.safetensors"),
        (models / "tied-blur-0/ema.safetensors", "improved", "tied-blur",
         "weights/mnist-cold.safetensors")]


def test_what_a_record_sets_must_be_written_in_params(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("dataset: digits  # why\nruns:\n  a: {training: {epochs: 3}}\nactive:\n  - a\n")
    set_values(path, {"dataset": "mnist", "runs.a.training.epochs": 4, "active": ["b", "c"]})
    assert "# why" in path.read_text()
    assert read(path) == {"dataset": "mnist", "runs": {"a": {"training": {"epochs": 4}}},
                          "active": ["b", "c"]}
    for key in ("runs.a.training.lr", "runs.b.title", "dataset.name"):
        with pytest.raises(KelvinError, match=f"no key '{key}'"):
            set_values(path, {key: 1})


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_text()
            for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def reports(tmp_path, monkeypatch):
    """A copy's reports; the working directory is a project without a record."""
    (tmp_path / "copy/tables").mkdir(parents=True)
    for name in ("metrics.json", "cost.json", "index.html", "tables/a.csv", "left out.png"):
        (tmp_path / "copy" / name).write_text("new")
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "copy"


def test_a_record_replaces_its_own_alone(reports):
    target = Path("reports/reference/mine")
    for minutes in (1, 2):
        record.replace(target, reports, {"command": "make record NAME=tiny", "minutes": minutes}, "tiny")
        (target / "left over").write_text("of the first")
    record.replace(target, reports, {"command": "make tiny", "minutes": 3}, "tiny")
    kept = files(Path("reports"))
    assert json.loads(kept.pop("reference/mine/record.json"))["minutes"] == 3
    assert kept == {f"reference/mine/{name}": "new"
                    for name in ("cost.json", "index.html", "metrics.json", "tables/a.csv")}


def test_a_record_keeps_its_archive_and_picture_where_there_are_any(reports):
    (reports / "figures").mkdir()
    for name in ("results.tar.xz", "figures/overview.png", "figures/other.png"):
        (reports / name).write_text(name)
    record.replace(Path("reports/reference/mine"), reports, {"command": "make record NAME=tiny"}, "tiny")
    kept = files(Path("reports/reference/mine"))
    assert {name for name, text in kept.items() if text != "new"} == {
        "record.json", "results.tar.xz", "overview.png"}
    assert kept["overview.png"] == "figures/overview.png"


@pytest.mark.parametrize("there", ["a foreign folder", "another's record", "no record", "a file",
                                   "a link", "a link above"])
def test_what_is_no_record_of_that_name_is_never_removed(reports, tmp_path, there):
    target, precious = Path("reports/reference/mine"), tmp_path / "precious"
    place = precious if "link" in there else target
    (place if there != "a file" else place.parent).mkdir(parents=True)
    if there == "a file":
        target.write_text("precious")
    elif there == "a link above":
        (precious / "mine").mkdir()
        (precious / "mine/photo.jpg").write_text("precious")
        Path("reports").mkdir()
        Path("reports/reference").mkdir()
        Path("reports/reference/linked").symlink_to(precious)
        target = Path("reports/reference/linked/mine")
    else:
        (place / "photo.jpg").write_text("precious")
        about = {"another's record": '{"command": "make record NAME=tiny-too"}', "no record": "{"}
        if there in about:
            (place / "record.json").write_text(about[there])
        if there == "a link":
            (place / "record.json").write_text('{"command": "make record NAME=tiny"}')
            target.parent.mkdir(parents=True)
            target.symlink_to(precious)
    before = files(tmp_path)
    with pytest.raises(KelvinError, match="^(records.tiny.folder: )?reports/reference/(linked/)?mine "):
        record.replace(target, reports, {"command": "make record NAME=tiny"}, "tiny")
    assert files(tmp_path) == before


@pytest.mark.parametrize("folder", ["", ".", "..", "../../precious", "/precious", "a/../b", "a//b", "a/",
                                    "~", "a b", "full", "digits-full/x"])
def test_a_folder_is_names_below_the_records_and_no_others(folder):
    raw = read(ROOT / "params.yaml")
    name = next(name for name in raw["records"] if name != "full")
    assert raw["records"]["full"]["folder"] == "digits-full"
    raw["records"][name]["folder"] = "digits-full" if folder == "full" else folder
    with pytest.raises(KelvinError, match=rf"records.{name}.folder = "):
        Params(raw)


def test_a_foreign_folder_is_told_of_before_any_work(tmp_path, monkeypatch):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    folder = Path("reports/reference") / load().house.records["digits-folds"].folder
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")
    monkeypatch.setattr(record, "temporary_copy", lambda *_: pytest.fail("worked"))
    with pytest.raises(KelvinError, match="holds no record of digits-folds and would be deleted"):
        record.record("digits-folds", "1")
    assert (folder / "notes.txt").exists()


def test_an_unknown_record_is_named(monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(KelvinError, match="no entry 'nonsense'; known are full, hot-cold-tuning"):
        record.record("nonsense", "1")


def test_minutes_of_every_call_with_the_same_settings_are_kept(tmp_path):
    path, of = tmp_path / "record.json", {"set": {"scale": "smoke"}, "runs": ["a"], "replicates": [0]}
    ask = {"scale": "smoke"}, ["a"], [0]
    assert record.earlier(path, *ask) == []
    path.write_text(json.dumps({**of, "minutes": [27.1, 0.6]}))
    assert record.earlier(path, *ask) == [27.1, 0.6]
    assert record.earlier(path, {}, ["a"], [0]) == record.earlier(path, ask[0], ["a"], [0, 1]) == []
    path.write_text(json.dumps({**of, "minutes": 27.1}))
    assert record.earlier(path, *ask) == [27.1]


def test_other_machines_that_trained_are_named():
    here = hardware(torch.device("cpu"))
    costs = {"a": {"hardware": "NVIDIA H100"}, "b": {"hardware": here}, "c": {"hardware": "NVIDIA H100"},
             "d": {}}
    own = f"{here}, {os.cpu_count()} cores"
    assert record.hardware_of(costs) == f"trained on NVIDIA H100 and {here}; {own}"
    assert record.hardware_of({"a": {"hardware": "NVIDIA H100"}}) == f"trained on NVIDIA H100; {own}"
    assert record.hardware_of({"b": {"hardware": here}}) == own
