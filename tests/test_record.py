"""Recorded studies: which runs and seeds they take, and which the data cannot carry."""

from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT

from kelvin import record
from kelvin.datasets.raw import RawData
from kelvin.datasets.store import write_store
from kelvin.errors import KelvinError
from kelvin.params import read
from kelvin.throwaway import set_values


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
    assert {"tied-noise", "tied-blur"} <= set(names)
    assert set(names) <= set(params.house.active) and "ddpm-default" not in names


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
