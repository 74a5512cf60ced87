"""Recorded studies: which runs and seeds they take, and which the data cannot carry."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT

from kelvin import networks
from kelvin.common.errors import KelvinError
from kelvin.config.resolve import Params, load, read
from kelvin.datasets.sources.raw import RawData
from kelvin.datasets.store import write_store
from kelvin.networks import Shape
from kelvin.pipeline import record
from kelvin.pipeline.throwaway import set_values


def test_full_is_every_run_the_images_can_carry(params, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images = np.zeros((6, 1, 8, 8), np.uint8)
    write_store(tmp_path / "data/prepared/digits", "digits",
                RawData(images, np.arange(6) % 2, ["a", "b"], np.arange(6)), np.repeat([0, 1, 2], 2),
                SimpleNamespace(licence="free", seed=0))
    names = record.wanted(params, "full")
    assert set(names) == set(params.runs) and params.house.records["full"].replicates == [0]
    assert names[:len(params.house.active)] == params.house.active
    kept, refused = record.possible(params, names)
    assert set(kept) == set(names) - {"tied-desaturate"}
    assert "needs RGB images" in refused["tied-desaturate"]


def test_replicates_are_five_seeds_of_the_runs_behind_d1_to_d3(params):
    names = record.wanted(params, "replicates")
    assert params.house.records["replicates"].replicates == [0, 1, 2, 3, 4]
    assert names == ["tied-noise", "tied-blur", "tied-blur-noise", "tied-pixels", "steps-noise-5",
                     "steps-blur-5"]


@pytest.mark.parametrize("name", [name for name in read(ROOT / "params.yaml")["records"]])
def test_every_record_can_be_set_and_builds_its_runs(name, tmp_path):
    """Whatever it sets, the networks of its runs fit the images that its data set would have."""
    entry = read(ROOT / "params.yaml")["records"][name]
    shutil.copy(ROOT / "params.yaml", tmp_path)
    set_values(tmp_path / "params.yaml", entry.get("set", {}))
    resolved = load(tmp_path / "params.yaml")
    size = resolved.images.image_size or {"digits": 8, "mnist": 28}[resolved.house.dataset]
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
        runs, wanted = {*made["runs"], *made["left_out"]}, set(record.wanted(params, name))
        assert runs <= wanted if entry.runs == "all" else runs == wanted, path


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


def test_an_unknown_record_is_named(monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(KelvinError, match="no entry 'nonsense'; known are full, replicates"):
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
