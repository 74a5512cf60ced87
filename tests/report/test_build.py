"""The report of invented results: what stands in it, and the same bytes twice."""

import base64
import csv
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from kelvin.common.errors import KelvinError
from kelvin.report.build import build
from kelvin.report.results import collect


def tree(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_same_bytes_twice(project, tmp_path):
    made = project(["blur-strong", "theirs"], channels=3)
    made.add("blur-strong")
    made.add("theirs")
    build(made.plan)
    first = tree(tmp_path / "reports")
    build(made.plan)
    assert tree(tmp_path / "reports") == first and len(first) > 30


def test_whole_report(project, tmp_path):
    made = project(["ddpm-default", "blur-strong", "theirs"])
    for run, fmd in (("ddpm-default", 5.0), ("blur-strong", 7.0), ("theirs", 3.0)):
        made.add(run, fmd=fmd)
    made.add("ddpm-long", fmd=0.001)  # stale: not active
    reports = tmp_path / "reports"
    (reports / "figures").mkdir(parents=True)
    (reports / "figures/old.png").write_bytes(b"of an earlier report")
    build(made.plan)
    first = tree(reports)

    assert not any(name.endswith((".part", "/old.png")) for name in first)
    assert set(json.loads(first["metrics.json"])) == {"ddpm-default", "blur-strong", "theirs"}
    assert b"second" not in first["metrics.json"]
    page = first["index.html"].decode()
    assert "&lt;b&gt;theirs&lt;/b&gt; &amp; co" in page and "<b>theirs" not in page
    assert "Not active, and so missing here: ddpm-long" in page
    assert "linear, T=5000" not in page  # its title would show that its stale record was read
    links = re.findall(r'(?:src|href)="(?!data:|#)([^"]+)', page)
    assert set(links) <= set(first) and all(link.startswith("tables/") for link in links)
    assert "src=" not in re.sub(r'src="data:image/png;base64,[^"]+"', "", page)  # nothing is loaded
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert len(pictures) > 20
    drawn = {base64.b64decode(p) for p in pictures}
    assert drawn == {data for name, data in first.items() if name.startswith("figures/")}
    for wanted in ("schedules-schedules", "schedules-x0-error", "blur-severity", "blur-samplers",
                   "hyperparameters-mistakes", "best-hot", "best-cold", "nearest", "overview"):
        assert f"figures/{wanted}.png" in first

    generation = list(csv.DictReader(io.StringIO(first["tables/generation.csv"].decode())))
    assert [r["run"] for r in generation] == ["held-out", "copies", "pixel-gaussian", "black",
                                              "ddpm-default", "blur-strong", "theirs"]
    assert not {"ssim", "psnr", "rmse"} & set(generation[0])  # restorations stand elsewhere
    restoration = list(csv.DictReader(io.StringIO(first["tables/restoration.csv"].decode())))
    assert {r["method"] for r in restoration} >= {"untouched", "linear", "one-shot", "improved"}
    assert "fmd" not in restoration[0]


@pytest.mark.parametrize("active, channels, absent", [("ddpm-default", 3, "best-cold"),
                                                      ("theirs", 1, "best-hot")])
def test_one_run_alone(project, tmp_path, active, channels, absent):
    made = project([active], channels=channels)
    made.add(active)
    build(made.plan)
    page = (tmp_path / "reports/index.html").read_text()
    idle = page[page.index('<h2 id="elsewhere">'):page.index('<h2 id="runs">')]
    assert "Does a wider network restore strong blur better, and does it overfit? 0 here" in idle
    assert "no such run is active" in page
    assert not (tmp_path / f"reports/figures/{absent}.png").exists()
    best = next((tmp_path / "reports/figures").glob("best-*.png"), None)
    assert (best is None) == (active == "theirs")
    if best:
        pixels = np.asarray(Image.open(best).convert("RGB")).astype(int)
        spread = pixels.max(-1) - pixels.min(-1)
        assert (spread.max() > 100) == (channels == 3)  # colour comes through, grey stays grey


@pytest.mark.parametrize("change, message", [
    ({"n": 21}, "calibration and blur-strong-0 cannot stand in one table: n is 20 and 21"),
    ({"reference_n": 9}, "reference_n is 30 and 9"),
    ({"extractor": "other"}, "extractor is abc and other"),
    ({"extractors": {"classifier": "other"}}, "the statistics of the extractor classifier"),
    ({"scale": "laptop"}, "was made at scale laptop")])
def test_records_of_another_protocol_are_refused(project, change, message):
    made = project(["ddpm-default", "blur-strong"])
    made.add("ddpm-default")
    made.add("blur-strong", **change)
    with pytest.raises(KelvinError, match=message):
        collect(made.plan)


def test_a_record_that_is_not_there_is_named(project):
    made = project(["ddpm-default", "blur-strong"])
    made.add("ddpm-default")
    with pytest.raises(KelvinError, match="blur-strong-0.json is not there"):
        collect(made.plan)
