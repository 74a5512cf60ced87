"""The classes of the samples: real images first, means over seeds, and no figure without numbers."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from kelvin.report.build import build
from kelvin.report.kit import style
from kelvin.report.parts import histograms
from kelvin.report.results import collect
from kelvin.report.studies.base import Study


def change(path, edit):
    found = json.loads(path.read_text())
    edit(found)
    path.write_text(json.dumps(found))


def details(made, run, seed=0):
    return made.root / f"data/evaluations/digits/{run}-{seed}/details.json"


@pytest.fixture
def made(project):
    """Two seeds of a run whose first sampler draws class a alone, then both alike; and a folder."""
    found = project(["blur-strong", "theirs"], replicates=(0, 1))
    for run in ("blur-strong", "theirs"):
        for r in (0, 1):
            found.add(run, r)
    for r, shares in enumerate(([1.0, 0.0], [0.5, 0.5])):
        change(details(found, "blur-strong", r), lambda d, s=shares: d["histograms"].update(improved=s))
    return found


def test_real_images_then_means_of_first_samplers(made):
    found = histograms.lines(collect(made.plan))
    assert [line.name for line in found] == ["held-out", "blur-strong", "theirs"]
    assert [line.shares.tolist() for line in found] == [[0.25, 0.75], [0.75, 0.25], [0.25, 0.75]]


def test_table(made):
    table = histograms.table(collect(made.plan))
    assert table.rows[1] == {"run": "blur-strong", "title": table.rows[1]["title"], "family": "cold",
                             "sampler": "improved", "n": 20, "share of a": 0.75, "share of b": 0.25}
    assert [text for text, _ in table.cells()[0]] == ["held-out", "–", "25.0 %", "75.0 %"]
    assert set(table.files()) == {f"class-histograms.{end}" for end in ("csv", "md", "tex")}


def test_page_shows_the_figure_beside_the_table_of_generation(made, monkeypatch):
    monkeypatch.setattr(Study, "page_figures", lambda _: [])  # figures of the whole alone
    build(made.plan, made.root / "reports")
    page = (made.root / "reports/index.html").read_text()
    summary = page[page.index('<h2 id="runs">'):page.index('<h2 id="data">')]
    assert summary.index("tables/generation.csv") < summary.index('<figure id="class-histograms">')
    assert "n = 20 held-out real images" in summary and "mean over 2 training seeds" in summary
    assert "equal shares are no proof of quality" in summary
    assert (made.root / "reports/figures/class-histograms.png").exists()
    assert (made.root / "reports/tables/class-histograms.csv").exists()


def test_records_without_histograms(made):
    for r in (0, 1):
        change(details(made, "theirs", r), lambda d: d["histograms"].clear())
    change(made.root / "reports/runs/digits/calibration.json",
           lambda c: c["rows"]["held-out"].pop("histogram"))
    results = collect(made.plan)
    assert [line.name for line in histograms.lines(results)] == ["blur-strong"]
    assert histograms.figure(results).png
    for r in (0, 1):
        change(details(made, "blur-strong", r), lambda d: d["histograms"].clear())
    results = collect(made.plan)
    assert histograms.figure(results) is None and histograms.table(results) is None


@pytest.mark.parametrize("classes, written", [(10, 30), (12, 36), (13, 0), (131, 0)])
def test_percents_are_written_where_there_is_room(monkeypatch, classes, written):
    style.use()
    said = []
    monkeypatch.setattr(histograms, "heat_map",
                        lambda figure, axes, values, texts, *_: said.extend(texts.flat))
    one = SimpleNamespace(record={"sampler": "s"},
                          details={"histograms": {"s": np.eye(classes)[0].tolist()}})
    run = SimpleNamespace(name="r", title="a $run", family="hot", record=one.record, replicates=[one])
    real = {"title": "real", "histogram": [1 / classes] * classes}
    results = SimpleNamespace(calibration={"n": 9, "rows": {"held-out": real}}, replicates=[0],
                              runs={"r": run, "s": run}, store=SimpleNamespace(
                                  class_names=[f"Apple Braeburn {k}" for k in range(classes)]))
    assert histograms.figure(results).width > 0 and len(said) == written
