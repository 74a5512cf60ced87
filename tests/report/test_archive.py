"""What a record keeps is enough to draw its page again, and no more than a page shows."""

import shutil

import numpy as np
import pytest

from kelvin.common.errors import KelvinError
from kelvin.config.plan import plan_path
from kelvin.pipeline import archive, record
from kelvin.report.build import build

RUNS = ("tied-noise", "tied-blur", "guided")


@pytest.fixture
def made(project):
    made = project(RUNS)
    for run in RUNS:
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
    path = "data/samples/digits/tied-noise-0/samples.npz"
    with np.load(made.root / path) as whole, np.load(tmp_path / "fresh" / path) as part:
        names = [name for name in part.files if name.startswith("samples/")]
        for name, count in zip(names, (4, *[2] * len(names)), strict=False):
            assert (part[name][:count] == whole[name][:count]).all() and not part[name][count:].any()
        assert (part["prior"] == whole["prior"]).all()  # its spread is a number of the page


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
