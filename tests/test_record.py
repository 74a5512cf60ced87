"""Recorded studies: which runs and seeds they take, and which the data cannot carry."""

from types import SimpleNamespace

import numpy as np

from kelvin import record
from kelvin.datasets.raw import RawData
from kelvin.datasets.store import write_store


def test_full_is_every_run_the_images_can_carry(params, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images = np.zeros((6, 1, 8, 8), np.uint8)
    write_store(tmp_path / "data/prepared/digits", "digits",
                RawData(images, np.arange(6) % 2, ["a", "b"], np.arange(6)), np.repeat([0, 1, 2], 2),
                SimpleNamespace(licence="free", seed=0))
    names, replicates = record.wanted(params, "full")
    assert set(names) == set(params.runs) and replicates == params.house.replicates
    assert names[:len(params.house.active)] == params.house.active
    kept, refused = record.possible(params, names)
    assert set(kept) == set(names) - {"tied-desaturate"}
    assert "needs RGB images" in refused["tied-desaturate"]


def test_replicates_are_five_seeds_of_the_runs_behind_d1_to_d3(params):
    names, replicates = record.wanted(params, "replicates")
    assert replicates == [0, 1, 2, 3, 4] and {"tied-noise", "tied-blur"} <= set(names)
    assert set(names) <= set(params.house.active) and "ddpm-default" not in names
