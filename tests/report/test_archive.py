"""What a record keeps is enough to draw its page again, and no more than a page shows."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import results_of_every_kind

from kelvin.artifacts.samples import SampleFolder
from kelvin.common.errors import KelvinError
from kelvin.config.plan import plan_path
from kelvin.pipeline import archive, record
from kelvin.report.build import build

RUNS = ("tied-noise", "tied-blur", "guided")


@pytest.fixture(params=[RUNS, ("ddpm-default", "fold-grouped", "fold-leaky")], ids=["varied", "plain"])
def made(request, project):
    """Of runs whose variety is measured, and of others: of these fewer images are kept."""
    made = project(request.param)
    for run in request.param:
        made.add(run)
    path = made.root / plan_path("report")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(made.plan.model_dump_json())
    return made


def pages(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted((folder / "reports").rglob("*"))
            if path.is_file() and "/runs/" not in path.as_posix()}


def test_a_page_drawn_from_what_is_kept_is_the_same_page(made, tmp_path, monkeypatch):
    build(made.plan)
    first = pages(made.root)
    assert all(archive.pack(made.root, tmp_path / f"{name}.tar.xz") for name in ("one", "two"))
    assert (tmp_path / "one.tar.xz").read_bytes() == (tmp_path / "two.tar.xz").read_bytes()
    fresh = tmp_path / "fresh"
    archive.unpack(tmp_path / "one.tar.xz", fresh)
    assert not list(fresh.rglob("*.safetensors"))
    monkeypatch.chdir(fresh)
    build(made.plan)
    assert pages(fresh) == first


def test_images_that_no_page_shows_turn_black_in_their_places(made, tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "FIRST", 4)
    monkeypatch.setattr(archive, "OTHERS", 2)
    archive.pack(made.root, tmp_path / "small.tar.xz")
    archive.unpack(tmp_path / "small.tar.xz", tmp_path / "fresh")
    run = made.plan.active[0]
    path = f"data/samples/digits/{run}-0/samples.npz"
    with np.load(made.root / path) as whole, np.load(tmp_path / "fresh" / path) as part:
        names = [name for name in part.files if name.startswith("samples/")]
        for name, count in zip(names, (4, *[2] * len(names)), strict=False):
            assert (part[name][:count] == whole[name][:count]).all() and not part[name][count:].any()
        # the spread of x_T is a number of the page where a study measures it
        assert (part["prior"] == whole["prior"]).all() == (run == "tied-noise")
    images = "data/prepared/digits/images.npy"
    parts = np.load(made.root / "data/prepared/digits/split.npy")
    kept = np.load(tmp_path / "fresh" / images)[parts == 2].any((1, 2, 3))
    assert kept[:4].all() and kept[4:].any() == (run == "tied-noise")


def test_of_restorations_over_t_the_first_image_of_each_class_is_kept(made, tmp_path):
    """At the times and of the part that a figure shows; of an epoch's samples the 16 of its figure."""
    samples = made.root / f"data/samples/digits/{made.plan.active[0]}-0/samples.npz"
    epochs = made.root / f"data/models/digits/{made.plan.active[0]}-0/samples.npz"
    with np.load(samples) as file:
        arrays = dict(file)
    ones = np.ones((20, 5, 1, 8, 8), np.uint8)
    np.savez(samples, **arrays, **{f"at/{part}/{name}": value for part in ("test", "seen")
                                   for name, value in {"kinds": np.array(["b", "a", "b", "c", "a"]),
                                                       "truth": ones[0], "degraded": ones,
                                                       "rule/exact": ones}.items()})
    np.savez(epochs, samples=np.ones((2, 20, 1, 8, 8), np.uint8), epochs=np.arange(2))
    archive.pack(made.root, tmp_path / "small.tar.xz")
    archive.unpack(tmp_path / "small.tar.xz", tmp_path / "fresh")
    with np.load(tmp_path / "fresh" / samples.relative_to(made.root)) as part:
        assert part["at/test/truth"].all((1, 2, 3)).tolist() == [True, True, False, True, False]
        for name in ("degraded", "rule/exact"):
            kept = part[f"at/test/{name}"].any((2, 3, 4))
            assert kept.tolist() == [[False] * 5, [True, True, False, True, False]] * 10  # of 20 times
            assert not part[f"at/seen/{name}"].any()  # no page shows that part
    with np.load(tmp_path / "fresh" / epochs.relative_to(made.root)) as part:
        assert part["samples"].any((2, 3, 4)).sum(1).tolist() == [16, 16]
        assert part["epochs"].tolist() == [0, 1]


def test_what_is_kept_of_samples_of_every_kind_can_be_read(tmp_path):
    """Whole: what no page shows is left out by the part that one reader wants, never by one array."""
    whole = results_of_every_kind.samples(tmp_path / "samples").samples()
    model = results_of_every_kind.model(tmp_path / "model")
    kept = tmp_path / "kept"
    for path, data in archive.pictures(tmp_path, SimpleNamespace(
            samples=tmp_path / "samples", model=model.path), [], varied=False):
        (kept / path.relative_to(tmp_path).parent).mkdir(parents=True, exist_ok=True)
        (kept / path.relative_to(tmp_path)).write_bytes(data)
    part = SampleFolder(kept / "samples").samples()
    assert part.bound is None and part.snr_errors is None and not part.consistency
    assert part.brightness.near_black == whole.brightness.near_black
    assert (part.brightness.real_black == whole.brightness.real_black).all()
    assert part.brightness.ways.keys() == whole.brightness.ways.keys()
    assert part.parts.keys() == whole.parts.keys() and part.encoding is not None
    assert part.restorations.methods.keys() == whole.restorations.methods.keys()
    assert part.samplers == whole.samplers and (part.at_times == whole.at_times).all()


def test_too_large_is_not_kept_and_damaged_is_one_sentence(made, tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MOST", 10)
    assert not archive.pack(made.root, tmp_path / "large.tar.xz")
    assert not (tmp_path / "large.tar.xz").exists()
    (tmp_path / "damaged.tar.xz").write_bytes(b"no archive")
    with pytest.raises(KelvinError, match="damaged.tar.xz is damaged"):
        archive.unpack(tmp_path / "damaged.tar.xz", tmp_path / "fresh")


def test_redraw_replaces_the_pages_and_keeps_the_rest(made, tmp_path, monkeypatch):
    from conftest import ROOT

    shutil.copy(ROOT / "params.yaml", made.root)
    target = made.root / "reports/reference/digits-folds"
    target.mkdir(parents=True)
    about = '{"command": "make record NAME=digits-folds", "title": "T", "folder": "digits-folds"}'
    (target / "record.json").write_text(about)
    with pytest.raises(KelvinError, match="holds no results.tar.xz"):
        record.redraw("digits-folds")
    archive.pack(made.root, target / archive.ARCHIVE)
    before = (target / archive.ARCHIVE).read_bytes()
    (target / "index.html").write_text("of an earlier version")
    assert record.redraw("digits-folds") == target.relative_to(made.root)
    assert "<h1>Record: T (digits)</h1>" in (target / "index.html").read_text()
    assert (target / archive.ARCHIVE).read_bytes() == before
    assert (target / "tables/generation.csv").exists() and (target / "metrics.json").exists()
