"""The page in a browser: widths, contrast, sorting, print. Skipped where no Chromium is."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from kelvin.report.build import build

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM = next((path for name in NAMES if (path := shutil.which(name))), None)
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files",
           "--virtual-time-budget=8000", "--enable-logging=stderr")
DARK = "--blink-settings=preferredColorScheme=0"
A4 = 688  # CSS pixels: 210 mm without two margins of 14 mm
PROBE = Path(__file__).with_name("probe.html")


@pytest.fixture
def measure(project, tmp_path):
    """measure(width, options, print) -> what a browser says of the page of three invented runs."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed here, so widths, contrast and sorting are not checked")
    runs = ("tied-noise", "tied-blur", "tied-blur-noise")
    made = project(runs)
    for i, run in enumerate(runs):
        made.add(run, fmd=3.0 + i)
    build(made.plan)
    shutil.copy(PROBE, tmp_path)

    def measured(width, *options, print_rules=False):
        page = f"file://{tmp_path}/reports/index.html"
        asked = f"file://{tmp_path}/probe.html?w={width}&p={page}" + "&print=1" * print_rules
        done = subprocess.run([CHROMIUM, *OPTIONS, *options, "--dump-dom", asked], capture_output=True,
                              text=True, timeout=120)
        assert "CONSOLE" not in done.stderr, done.stderr
        found = re.search(r"<pre>(.*)</pre>", done.stdout, re.S)
        assert found, done.stderr
        return json.loads(found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))

    return measured


def test_the_page_in_a_browser(measure, tmp_path):
    """One build, several looks at it."""
    wide = measure(1280)
    assert wide["height"] < 12_000 and wide["width"] <= 1280 and not wide["wide"] and not wide["images"]
    assert wide["up"] == sorted(wide["up"]) and wide["down"] == wide["up"][::-1] and len(wide["up"]) > 2
    assert wide["focus"] and wide["sticky"] == "sticky"
    assert min(wide["ratios"]) >= 4.5 and len(wide["ratios"]) > 50
    phone = measure(400)
    assert phone["width"] <= 400 and not phone["wide"]
    dark = measure(1280, DARK)
    assert dark["paper"] != wide["paper"] and min(dark["ratios"]) >= 4.5
    printed = measure(A4, print_rules=True)
    assert not printed["wide"]
    subprocess.run([CHROMIUM, *OPTIONS, f"--print-to-pdf={tmp_path}/page.pdf",
                    f"file://{tmp_path}/reports/index.html"], capture_output=True, timeout=120)
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
