"""A run on a fold: what it trains on, what it is scored on, and from training to its table."""

import json

import numpy as np
import pytest
from helpers import planned

from kelvin.artifacts.samples import SampleFolder
from kelvin.common.errors import KelvinError
from kelvin.config import resolve as P
from kelvin.config.schema import RunConfig
from kelvin.datasets.sources.raw import RawData
from kelvin.datasets.splitting.folds import folds_text, make_folds
from kelvin.datasets.splitting.held_out import FoldView, split_for
from kelvin.datasets.store import PreparedStore, write_store
from kelvin.evaluation.rows_over_t import brightness_rows, over_time_rows
from kelvin.restoration.rules import RULES
from kelvin.sampling.sample_run import sample_run
from kelvin.training.train_run import train_run

GROUPS = np.tile(np.arange(10), 24)  # ten objects, each in every part


@pytest.fixture
def store(tmp_path):
    from sklearn.datasets import load_digits

    images = (load_digits().images[:240, None] * 255 / 16).round().astype(np.uint8)
    labels, split = np.arange(240) % 2, np.repeat([0, 1, 2], [160, 20, 60])
    outside = split != 2
    folds = make_folds(labels[outside], GROUPS[outside], 5, 0)
    write_store(tmp_path / "data/prepared/digits", "digits",
                RawData(images, labels, ["a", "b"], GROUPS, checksums={}), split,
                P.Params(P.read()).images, {"folds.json": folds_text(folds)})
    return PreparedStore(tmp_path / "data/prepared/digits")


def test_given_is_the_store_itself(store):
    assert split_for(store, "given", 7) is store


def test_a_grouped_fold_is_scored_on_every_image_of_its_objects(store):
    view = FoldView(store, "grouped", 2)
    parts = {part: view.split(part) for part in ("train", "validation", "test", "seen")}
    unseen = set(parts["validation"].groups)
    assert set(parts["test"].indices) == set(np.flatnonzero(np.isin(store.groups, list(unseen))))
    assert not unseen & (set(parts["train"].groups) | set(parts["seen"].groups))
    assert set(store.parts[parts["seen"].indices]) == {2}
    rows = parts["train"].indices
    assert (rows != np.sort(rows)).any()  # a head of it stands for the whole
    assert np.array_equal(parts["train"].images, store.images[rows])
    assert len({FoldView(store, "grouped", r).digest for r in range(5)}) == 5


def test_leaky_is_scored_on_what_it_holds_out(store):
    view = FoldView(store, "leaky", 0)
    assert set(view.split("test").indices) == set(view.split("validation").indices)
    assert set(view.split("test").groups) & set(view.split("train").groups)


def test_a_fold_that_is_not_there(store):
    with pytest.raises(KelvinError, match="replicate 5 would hold out fold 5, but its folds are 0 to 4"):
        FoldView(store, "grouped", 5)


def test_split_and_classes_do_not_mix(params):
    run = params.run("fold-grouped").model_dump() | {"classes": [0, 1]}
    with pytest.raises(ValueError, match="split = 'grouped' divides the whole data set"):
        RunConfig(**run)


def test_from_training_to_rows(store, tmp_path, monkeypatch):
    raw = P.read()
    raw |= {"scale": "smoke", "active": ["fold-study-e"], "replicates": [1]}
    raw["runs"]["fold-study-e"] |= {
        "split": "grouped", "schedule": {"kind": "linear", "steps": 40, "beta_min": 1e-3,
                                         "beta_max": 0.02}}
    raw["runs"]["fold-study-e"]["scales"] = {"smoke": {
        "sampling": {"restore_at": 20, "samplers": ["ddim-5"], "epoch_images": 16},
        "training": {"epochs": 2, "batch": 32, "stop": {"patience": 1, "gain": 100.0}}}}
    params = P.Params(raw)
    monkeypatch.chdir(tmp_path)
    model, samples = tmp_path / "model", tmp_path / "samples"
    train_run(planned(params, "train", "fold-study-e", 1), store, model, tmp_path)
    cost = json.loads((model / "cost.json").read_text())
    assert cost["best_epoch"] == 1 and cost["stopped_epoch"] == 2  # no gain is above 100
    sample_run(planned(params, "sample", "fold-study-e", 1), store, model, samples)
    file = SampleFolder(samples).samples()
    parts, brightness = file.parts, file.brightness
    rows = over_time_rows(file.at_times, parts, 7)
    assert {(r["part"], r["rule"], r["t"]) for r in rows} == {
        (p, r, t) for p in ("test", "seen") for r in RULES for t in (20, 40)}
    for r in rows:  # by group of images, slowly; by image where groups are few
        part, k = parts[r["part"]], file.at_times.tolist().index(r["t"])
        truth, found = part.truth / 255.0, part.rules[r["rule"]][k] / 255.0
        errors = ((truth - found) ** 2).mean((1, 2, 3)) ** 0.5
        few = len(set(part.groups.tolist())) < 5
        groups = np.arange(len(errors)) if few else part.groups
        count = len(set(groups.tolist()))
        squares = sum((errors[groups == g] - errors.mean()).sum() ** 2 for g in set(groups.tolist()))
        expected = (count / (count - 1) * squares) ** 0.5 / len(groups)
        assert r["n"] == len(part.groups) and r["rmse_se"] == pytest.approx(expected, rel=1e-6)
    bright = brightness_rows(brightness, parts["test"].truth)
    ways = {*RULES, *(f"{rule}, {how}" for rule in RULES for how in ("clipped", "fed back"))}
    assert {r["way"] for r in bright} == ways and brightness.ways.keys() == ways
    assert all(r["finite"] == 1 for r in bright if r["way"] in RULES) and bright[0]["n"] == 16
    assert all(0 <= r["black"] <= 1 for r in bright)
    black = (parts["test"].truth.max(1) < 0.05 * 255).mean()
    assert bright[0]["real_black"] == pytest.approx(black, abs=1e-6) and 0 < black < 1
    assert brightness.ways["exact"].image.shape[1:] == (1, 8, 8)
    assert (brightness.low, brightness.high) == (-1, 1) and all(r["shown"] <= 1 for r in bright)
    unseen = FoldView(store, "grouped", 1).split("test").images
    assert np.array_equal(parts["test"].truth, unseen[:16])
