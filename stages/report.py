"""metrics.json, tables, curves, figures and the page, from the records of the active runs."""

from kelvin.config.resolve import Params
from kelvin.report.build import build
from kelvin.stage import log, main


def work(params: Params) -> None:
    build(params)
    log.info("reports/index.html is ready: open it in a browser")


main(work)
