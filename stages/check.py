"""Refuse a wrong params.yaml in one sentence, before any stage works."""

from pathlib import Path

from kelvin.check import check
from kelvin.config.resolve import Params
from kelvin.files import write_text
from kelvin.stage import main


def work(params: Params) -> None:
    check(params)
    # the same bytes every time: later stages wait for this file, but are never remade by it
    write_text(Path("data/checked"), "params.yaml was checked\n")


main(work)
