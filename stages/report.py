"""metrics.json, tables, curves, figures and the page, from the records of the active runs."""

from kelvin.common.progress import log
from kelvin.config.plan import ReportPlan
from kelvin.pipeline.stage import main
from kelvin.report.build import build


def work(plan: ReportPlan) -> None:
    build(plan)
    log.info("reports/index.html is ready: open it in a browser")


main(work, ReportPlan)
