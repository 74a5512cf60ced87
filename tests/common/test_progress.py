"""A bar that stands still says what is being done."""

import io
import re

import pytest

from kelvin.common.progress import doing, progress_bar


@pytest.mark.parametrize("seconds, printed", [("0", True), ("3600", False)])
def test_what_is_done_stands_beside_the_bar_where_its_interval_has_passed(monkeypatch, seconds, printed):
    monkeypatch.setenv("KELVIN_BAR_SECONDS", seconds)
    out = io.StringIO()
    with progress_bar(10, "sample run-0", "image", file=out, miniters=20) as bar:
        bar.update(9)
        doing(bar, "gates")
        assert ("gates" in out.getvalue()) is printed
        bar.update(1)
    assert re.search(r"10/10 .*, gates\]", out.getvalue())  # the last line of a bar that ends
