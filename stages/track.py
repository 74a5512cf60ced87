"""Show every result in MLflow."""

from kelvin.common.progress import log
from kelvin.config.plan import TrackPlan
from kelvin.pipeline.stage import main
from kelvin.tracking.publishing import publish


def work(plan: TrackPlan) -> None:
    made, kept = publish(plan.studies, plan.titles)
    log.info("MLflow: %d runs published, %d were there", made, kept)


main(work, TrackPlan)
